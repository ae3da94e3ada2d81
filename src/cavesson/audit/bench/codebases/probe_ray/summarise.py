"""Mean and standard deviation over seeds: reads results/seed_*/results.json, writes results/summary.json and a figure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from figures import auroc_curves


def combine(runs: list, function) -> dict | float:
    if isinstance(runs[0], dict):
        return {key: combine([run[key] for run in runs], function) for key in runs[0]}
    return round(float(function(runs)), 6)


def main() -> None:
    folder = Path(__file__).with_name("results")
    paths = sorted(folder.glob("seed_*/results.json"))
    runs = [json.loads(path.read_text()) for path in paths]
    summary = {"runs": len(runs), "mean": combine(runs, np.mean), "std": combine(runs, np.std)}
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    auroc_curves(summary["mean"]["auroc"], folder / "auroc.svg")


if __name__ == "__main__":
    main()
