"""One seed of the experiment: python run.py --seed 0 --out results/seed_0"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import yaml

from claims import World
from evaluate import evaluate
from figures import auroc_curves
from network import train_network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.yaml"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    cfg = yaml.safe_load(args.config.read_text())
    world_cfg = dict(cfg["world"])
    fact_seed = world_cfg.pop("fact_seed_offset") + args.seed
    world = World(**world_cfg, seed=fact_seed)
    net = train_network(world, cfg["network"], args.seed)
    results = evaluate(net, world, cfg, args.seed, args.out / "predictions.csv")
    results["network_error"] = float(np.mean(net.losses[-50:]))

    (args.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    auroc_curves(results["auroc"], args.out / "auroc.svg")
    agreements = cfg["evaluation"]["agreements"]
    print(f"{'probe':<18}" + "".join(f"{a:>8}" for a in agreements) + "   (AUROC by agreement)")
    for name, by_agreement in results["auroc"].items():
        print(f"{name:<18}" + "".join(f"{by_agreement[str(a)]:>8.3f}" for a in agreements))


if __name__ == "__main__":
    main()
