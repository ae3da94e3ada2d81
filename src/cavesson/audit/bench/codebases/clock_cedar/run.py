import argparse
import csv
import json
from pathlib import Path

import numpy as np
import yaml

from report import curves_svg
from tables import addition, split
from trainer import summarise, train

ap = argparse.ArgumentParser(description="Modular addition with and without weight decay, one seed")
ap.add_argument("--seed", type=int, default=0)
ap.add_argument("--out", type=Path, default=Path("out"))
args = ap.parse_args()

cfg = yaml.safe_load((Path(__file__).parent / "config.yaml").read_text())
x, y = addition(cfg["p"])
train_idx, test_idx = split(len(y), cfg["train_fraction"], np.random.default_rng(args.seed))

results, curves, predictions = {}, {}, []
for name, decay in cfg["decay"].items():
    # the same initial weights for every strength of decay
    net, curve = train(x, y, train_idx, test_idx, decay, cfg, np.random.default_rng(args.seed + 1))
    curves[name] = curve
    results[name] = {"decay": decay, **summarise(curve)}
    guess = net.logits(x).argmax(axis=1)
    for part, idx in (("train", train_idx), ("test", test_idx)):
        predictions += [(name, args.seed, part, int(i), int(y[i]), int(guess[i])) for i in sorted(idx)]

args.out.mkdir(parents=True, exist_ok=True)
(args.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
with (args.out / "predictions.csv").open("w", newline="") as f:
    out = csv.writer(f, lineterminator="\n")
    out.writerow(["arm", "seed", "split", "index", "label", "prediction"])
    out.writerows(predictions)
with (args.out / "curves.csv").open("w", newline="") as f:
    out = csv.writer(f, lineterminator="\n")
    out.writerow(["arm", "step", "loss", "train", "test", "norm"])
    for name, curve in curves.items():
        out.writerows([name, c["step"], f"{c['loss']:.5g}", f"{c['train']:.4f}", f"{c['test']:.4f}", f"{c['norm']:.3f}"] for c in curve[4::5])
curves_svg(curves, args.out / "curves.svg")

print("decay        train   test  t_train  t_test   norm")
for name, r in results.items():
    print(f"{name:5s} {r['decay']:5g} {r['train_acc']:7.3f} {r['test_acc']:6.3f} {r['t_train']:8d} {r['t_test']:7d} {r['norm']:6.2f}")
