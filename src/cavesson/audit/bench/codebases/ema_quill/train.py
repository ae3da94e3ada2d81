"""python train.py --config configs/main.yaml --seed 0 --out results/seed_0 [key.key=value ...]"""

import argparse
from pathlib import Path

import torch
import yaml

from averaging import loop, report
from averaging.registry import DATASETS


def override(cfg, assignment):
    keys, _, value = assignment.partition("=")
    *path, last = keys.split(".")
    node = cfg
    for key in path:
        node = node[key]
    if last not in node:
        raise SystemExit(f"{keys} is not in the config")
    node[last] = yaml.safe_load(value)


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("--config", type=Path, default=Path(__file__).parent / "configs" / "main.yaml")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, default=Path("out"))
    p.add_argument("overrides", nargs="*")
    args = p.parse_args()

    torch.set_num_threads(1)
    cfg = yaml.safe_load(args.config.read_text())
    for assignment in args.overrides:
        override(cfg, assignment)

    data = DATASETS.build(cfg["dataset"], seed=args.seed)
    results = {"test": {}, "train": {}, "norm": {}}
    curves = {}
    for name, arm in cfg["arms"].items():
        per_tracker, curves[name] = loop.train(cfg, data, arm, seed=args.seed)
        for measure in results:
            results[measure][name] = {key: values[measure] for key, values in per_tracker.items()}
        print(name.ljust(10), "  ".join(f"{k} {v['test']:.4f}" for k, v in per_tracker.items()))
    report.write(args.out, results, curves)


if __name__ == "__main__":
    main()
