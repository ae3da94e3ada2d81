"""Command line: ``python -m opelab --seed 0 --out results/seed_0``."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from opelab.figures import rmse_bars
from opelab.study import Study, StudyConfig


def main() -> int:
    """Run the study for one seed and write its results."""
    parser = argparse.ArgumentParser(prog="opelab", description="Off-policy evaluation on a synthetic bandit.")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for results.json and rmse.svg")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING if arguments.quiet else logging.INFO, format="%(name)s: %(message)s")

    results = Study(StudyConfig(), arguments.seed).run()
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    rmse_bars(results["rmse"], arguments.out / "rmse.svg")
    print(f"true value {results['value']['target']:.3f}, logging policy {results['value']['logging']:.3f}")
    for size, errors in results["rmse"].items():
        print(f"n = {size:>5}  " + "  ".join(f"{name} {error:.4f} ({results['bias'][size][name]:+.4f})" for name, error in errors.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
