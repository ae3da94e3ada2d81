"""Sweep the output scale. Usage: python run.py --seed 0 --out results/seed_0"""
import argparse
import csv
import json
import os

import numpy as np

import descent
import kernel
import net
import plot
import task

HERE = os.path.dirname(os.path.abspath(__file__))


def sweep(cfg, seed):
    x, y, x_test, y_test = task.load(cfg, seed)
    rng = np.random.default_rng(seed)
    inits = [net.init(rng, cfg["d"], cfg["width"]) for _ in range(cfg["n_init"])]
    res = {"alpha": cfg["alphas"], "test_error": {}, "kernel_change": {}, "distance": {}}
    preds = []
    for alpha in cfg["alphas"]:
        err, change, dist = [], [], []
        for i, p0 in enumerate(inits):
            p = descent.train(p0, x, y, alpha, cfg)
            score = net.centred(p, p0, x_test, alpha)
            err.append(float(np.mean(np.sign(score) != y_test)))
            change.append(float(kernel.relative_change(p, p0, x_test[: cfg["n_kernel"]], alpha)))
            dist.append(float(net.distance(p, p0)))
            if i == 0:
                for j in range(0, len(y_test), 8):
                    preds.append(["alpha=%g" % alpha, seed, "test", j, int(y_test[j]), int(np.sign(score[j])), "%.4f" % score[j]])
        key = "%g" % alpha
        res["test_error"][key] = err
        res["kernel_change"][key] = change
        res["distance"][key] = dist
    return res, preds


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--out", required=True)
    ap.add_argument("--config", default=os.path.join(HERE, "config.json"))
    args = ap.parse_args()
    with open(args.config) as fh:
        cfg = json.load(fh)

    res, preds = sweep(cfg, args.seed)

    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.out, "results.json"), "w") as fh:
        json.dump(res, fh, indent=2)
        fh.write("\n")
    with open(os.path.join(args.out, "predictions.csv"), "w", newline="") as fh:
        w = csv.writer(fh, lineterminator="\n")
        w.writerow(["arm", "seed", "split", "index", "label", "prediction", "score"])
        w.writerows(preds)
    mean = {m: [float(np.mean(v)) for v in res[m].values()] for m in ("test_error", "kernel_change", "distance")}
    plot.save(os.path.join(args.out, "alpha.svg"), cfg["alphas"], mean["test_error"], mean["kernel_change"])

    print("%8s %10s %14s %10s" % ("alpha", "error", "kernel change", "distance"))
    for i, alpha in enumerate(cfg["alphas"]):
        print("%8g %10.3f %14.4f %10.4f" % (alpha, mean["test_error"][i], mean["kernel_change"][i], mean["distance"][i]))


if __name__ == "__main__":
    main()
