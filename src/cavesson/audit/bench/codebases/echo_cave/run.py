"""Train on the raw and on the deduplicated corpus, attack both.   python run.py --seed 0 --out results/seed_0"""
import argparse
import csv
import json
import logging
from pathlib import Path

import numpy as np
import yaml

from attacks import extraction, membership
from charts import bars
from corpus import build
from dedup import deduplicate
from lm import fit

log = logging.getLogger("run")
HERE = Path(__file__).resolve().parent


def experiment(C, seed):
    rng = np.random.default_rng([seed, 11])
    train, members, held_out, secrets = build(C, rng)
    corpora = {"raw": train, "dedup": deduplicate(train, C["header_len"])}
    R = {"documents": {}, "extraction": {}, "membership": {}, "held_out_loss": {}}
    rows = []
    for arm, docs in corpora.items():
        lm = fit(C, docs, np.random.default_rng([seed, 12]))
        R["documents"][arm] = len(docs)
        R["extraction"][arm] = {str(k): float(extraction(lm, b, C).mean()) for k, b in secrets.items()}
        auc, s1, s0 = membership(lm, members[: len(held_out)], held_out, C)
        R["membership"][arm] = auc
        R["held_out_loss"][arm] = float(-s0.mean())
        for label, scores in ((1, s1), (0, s0)):
            threshold = np.median(np.concatenate([s1, s0]))
            for i, s in enumerate(scores):
                rows.append([arm, seed, "membership", i, label, int(s > threshold), round(float(s), 4)])
        for k, bodies in secrets.items():
            for i, hit in enumerate(extraction(lm, bodies, C)):
                rows.append([arm, seed, f"extraction_{k}", i, 1, int(hit), ""])
        log.info("%s: %d documents, loss %.3f, membership %.3f", arm, len(docs), R["held_out_loss"][arm], auc)
    return R, rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    C = yaml.safe_load((HERE / "config.yaml").read_text())
    args.out.mkdir(parents=True, exist_ok=True)
    R, rows = experiment(C, args.seed)
    with open(args.out / "results.json", "w") as f:
        json.dump(R, f, indent=2)
        f.write("\n")
    with open(args.out / "predictions.csv", "w", newline="") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(["arm", "seed", "split", "index", "label", "prediction", "score"])
        w.writerows(rows)
    bars(R["extraction"], args.out / "extraction.svg")
    print("extraction by copies:")
    for arm, by_copies in R["extraction"].items():
        print(f"  {arm:<6}", "  ".join(f"{k}: {x:.3f}" for k, x in by_copies.items()))
    print("membership AUROC:", {arm: round(x, 3) for arm, x in R["membership"].items()})
