"""Train one network on one world and put both kinds of question to it."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import yaml

from chart import BarChart
from model import Answerer
from protocols import PROTOCOLS
from trainer import Trainer
from world import World


class Experiment:
    """One seed: world, network, training, measurements."""

    def __init__(self, config: dict, seed: int):
        self.seed = seed
        self.world = World(**config["world"], seed=seed)
        rng = np.random.default_rng(seed + 100)
        self.model = Answerer(self.world.entities, self.world.relations, config["model"]["width"], config["model"]["embedding_scale"], rng)
        self.trainer = Trainer(self.model, **config["training"])
        self.sets = {"composed": self.world.compositions(self.world.composed), "held_out": self.world.compositions(self.world.held_out)}
        self.predictions: list[tuple] = []

    def run(self) -> dict:
        facts = self.world.facts()
        self.trainer.fit(facts + self.sets["composed"])
        results: dict = {"facts": float((self.model.answer(facts.rows) == facts.answers).mean())}
        for name, protocol in PROTOCOLS.items():
            results[name] = {}
            for people, questions in self.sets.items():
                given = protocol(self.model, self.world, questions.rows)
                results[name][people] = float((given == questions.answers).mean())
                self.predictions += [(name, self.seed, people, i, int(a), int(g)) for i, (a, g) in enumerate(zip(questions.answers, given))]
        results["chance"] = self.chance()
        return results

    def chance(self) -> float:
        """Accuracy of always naming the most frequent value of the asked second relation."""
        tables = self.world.second
        return float(np.mean([np.unique(t, return_counts=True)[1].max() / len(t) for t in tables]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    config = yaml.safe_load((Path(__file__).parent / "config.yaml").read_text())

    experiment = Experiment(config, args.seed)
    results = experiment.run()

    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    with (args.out / "predictions.csv").open("w", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["arm", "seed", "split", "index", "label", "prediction"])
        table.writerows(experiment.predictions)
    chart = BarChart()
    chart.add({people: {name: results[name][people] for name in PROTOCOLS} for people in experiment.sets})
    chart.write(args.out / "accuracy.svg")

    print(f"one-hop facts {results['facts']:.3f}   most frequent value {results['chance']:.3f}")
    for name in PROTOCOLS:
        print(f"{name:9s}" + "".join(f"  {people} {results[name][people]:.3f}" for people in experiment.sets))


if __name__ == "__main__":
    main()
