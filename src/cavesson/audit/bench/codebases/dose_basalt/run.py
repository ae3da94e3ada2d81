"""python run.py --seed SEED --out FOLDER"""

import argparse
import json
from pathlib import Path

import yaml

from poisoning.plotting import success_curves
from poisoning.sweep import needed, run_sweep

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", default="results/seed_0")


def main(seed, out):
    cfg = yaml.safe_load(Path(__file__).with_name("config.yaml").read_text())
    success, accuracy = run_sweep(cfg, seed)
    counts = cfg["counts"]
    count = {n: needed(counts, rates) for n, rates in success.items()}
    results = {
        "counts": counts,
        "success": success,
        "accuracy": accuracy,
        "needed_count": count,
        "needed_share": {n: c / int(n) for n, c in count.items()},
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    success_curves(counts, success, out / "success.svg")

    print("       n  needed   share   success rate at " + " ".join(f"{c:5d}" for c in counts))
    for n, rates in success.items():
        print(f"{n:>8s} {count[n]:7.1f} {count[n] / int(n):7.2%}" + " " * 19 + " ".join(f"{r:5.2f}" for r in rates))


if __name__ == "__main__":
    args = parser.parse_args()
    main(args.seed, Path(args.out))
