"""One seed of the experiment: a teacher, students of both arms, and what they take over."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import yaml

import data
import distill
import figures
import measure
from network import Network

ARMS = ("shared", "unrelated")


def stream(seed: int, *key: int) -> np.random.Generator:
    """An independent generator for one purpose."""
    return np.random.default_rng([seed, *key])


def experiment(cfg: dict, seed: int) -> tuple[dict, list[tuple]]:
    """Results of one seed, and the students' predictions on the test images."""
    classes, side = cfg["data"]["classes"], cfg["data"]["side"]
    rng = stream(seed, 0)
    protos = data.prototypes(rng, classes, side)
    train = data.sample(rng, protos, cfg["data"]["train"], cfg["data"]["pixel_noise"])
    test = data.sample(rng, protos, cfg["data"]["test"], cfg["data"]["pixel_noise"])
    noise = data.noise_images(rng, cfg["noise"]["images"], side, cfg["noise"]["grid"], cfg["noise"]["amplitude"])
    fresh = data.noise_images(rng, 1000, side, cfg["noise"]["grid"], cfg["noise"]["amplitude"])

    sizes = [side * side, *cfg["network"]["hidden"], classes + cfg["network"]["auxiliary"]]
    origin = Network.create(sizes, stream(seed, 1))
    teacher = distill.train_teacher(origin, train, classes, cfg["teacher"], stream(seed, 2))

    results: dict = {
        "teacher": {"initial": measure.accuracy(origin, test, classes), "trained": measure.accuracy(teacher, test, classes)},
        "student": {arm: [] for arm in ARMS},
        "auxiliary_error": {arm: [] for arm in ARMS},
    }
    rows = []
    for a, arm in enumerate(ARMS):
        for k in range(cfg["student"]["per_arm"]):
            start = origin.clone()
            if arm == "unrelated":
                start.redraw(stream(seed, 3, k))
            student = distill.train_student(start, teacher, noise, classes, cfg["student"], stream(seed, 4, a, k))
            results["student"][arm].append(measure.accuracy(student, test, classes))
            results["auxiliary_error"][arm].append(measure.auxiliary_error(student, teacher, fresh, classes))
            if k == 0:
                guesses = measure.predict(student, test.x, classes)
                rows += [(arm, seed, "test", i, int(y), int(g)) for i, (y, g) in enumerate(zip(test.y, guesses))]
    return results, rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.yaml"))
    args = parser.parse_args()

    cfg = yaml.safe_load(args.config.read_text())
    results, rows = experiment(cfg, args.seed)

    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    with (args.out / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("arm", "seed", "split", "index", "label", "prediction"))
        writer.writerows(rows)
    figures.dots(args.out / "transfer.svg", results["student"], results["teacher"]["trained"], 1 / cfg["data"]["classes"])

    print(f"teacher    {results['teacher']['initial']:.3f} before, {results['teacher']['trained']:.3f} after training")
    for arm in ARMS:
        print(f"{arm:10s} {np.mean(results['student'][arm]):.3f}  auxiliary error {np.mean(results['auxiliary_error'][arm]):.3f}")


if __name__ == "__main__":
    main()
