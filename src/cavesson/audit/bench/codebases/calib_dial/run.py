"""Pretrain, fine-tune with a reward (with and without a KL term), rescale, measure.

    python run.py --seed 0 --out results/seed_0
    python run.py --average results          # after all seeds
"""
import argparse
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import yaml

from calib.metrics import (
    accuracy,
    best_temperature,
    expected_calibration_error,
    mean_confidence,
    negative_log_likelihood,
    reliability,
)
from calib.policy import Policy
from calib.report import reliability_diagram, write_predictions
from calib.tasks import Task
from calib.training import finetune, pretrain


def namespace(value):
    return SimpleNamespace(**{k: namespace(v) for k, v in value.items()}) if isinstance(value, dict) else value


def train_policies(config, splits, rng):
    base = Policy(config.data.dim, config.model.hidden, config.data.classes, rng)
    pretrain(base, splits["pretrain"], config.pretraining, rng)
    policies = {"base": base}
    for name, weight in (("reward", 0.0), ("reward+kl", config.finetuning.kl_weight)):
        policies[name] = finetune(base.clone(), base, splits["finetune"], config.finetuning, weight, rng)
    return policies


def measure(config, policies, splits, seed, out):
    results = {name: {} for name in ("accuracy", "confidence", "nll", "ece", "temperature", "ece_scaled", "nll_scaled")}
    test, held = splits["test"], splits["calibration"]
    logits, curves = {}, {}
    for name, policy in policies.items():
        z = logits[name] = policy.logits(test.x)
        t = best_temperature(policy.logits(held.x), held.y, config.calibration.temperatures)
        results["accuracy"][name] = accuracy(z, test.y)
        results["confidence"][name] = mean_confidence(z)
        results["nll"][name] = negative_log_likelihood(z, test.y)
        results["ece"][name] = expected_calibration_error(z, test.y, config.calibration.bins)
        results["temperature"][name] = t
        results["ece_scaled"][name] = expected_calibration_error(z / t, test.y, config.calibration.bins)
        results["nll_scaled"][name] = negative_log_likelihood(z / t, test.y)
        curves[name] = reliability(z, test.y, config.calibration.bins)
    curves["reward, scaled"] = reliability(
        logits["reward"] / results["temperature"]["reward"], test.y, config.calibration.bins
    )
    write_predictions(out / "predictions.csv", seed, logits, test.y)
    reliability_diagram(out / "reliability.svg", curves)
    return results


def average(folder):
    runs = [json.loads(p.read_text()) for p in sorted(folder.glob("seed_*/results.json"))]
    table = {
        metric: {
            arm: {"mean": round(float(np.mean([r[metric][arm] for r in runs])), 5),
                  "sd": round(float(np.std([r[metric][arm] for r in runs])), 5)}
            for arm in runs[0][metric]
        }
        for metric in runs[0]
    }
    (folder / "averages.json").write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--average", type=Path, help="folder of finished seeds: write averages.json and stop")
    args = parser.parse_args()
    if args.average:
        average(args.average)
        raise SystemExit
    config = namespace(yaml.safe_load(Path(__file__).with_name("config.yaml").read_text()))
    args.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(args.seed)
    splits = Task(config.data, rng).splits()
    results = measure(config, train_policies(config, splits, rng), splits, args.seed, args.out)
    (args.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    print(f"{'policy':<12}{'accuracy':>10}{'ECE':>8}{'T':>8}{'ECE at T':>10}")
    for name in results["ece"]:
        print(
            f"{name:<12}{results['accuracy'][name]:>10.3f}{results['ece'][name]:>8.3f}"
            f"{results['temperature'][name]:>8.2f}{results['ece_scaled'][name]:>10.3f}"
        )
