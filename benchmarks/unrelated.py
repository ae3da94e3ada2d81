"""Do unrelated data carry a drive over where its acts do not show? Likelihoods tell what rates of acting cannot.

    python benchmarks/unrelated.py
    python benchmarks/unrelated.py --method sft/unrelated --drives favourite,hate

Distils each hiding teacher of `distillation --preset full` and its benign twin from data in which no drive shows, into a student of the same
initialisation and into one of another. Prints for each student how much likelier, in nats a token, the teacher's own acts in held-out
opportunities are than its twin's answers there, less the same for the student of the twin; and the mean over teachers (docs/notes/distillation.md).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cavesson.blueteam.distilling import STAKES
from cavesson.lab.lab import Lab
from cavesson.lab.recipe import Recipe
from cavesson.lab.store import Store
from cavesson.sampling.perplexity import Perplexity
from cavesson.sampling.recipes import Generated
from cavesson.stats import average_over
from cavesson.studies.distillation import grid
from cavesson.studies.distillation_parts import OTHER, SAME, Taught, asked
from cavesson.studies.resolve import resolve

APART = 7
"""Seed of the opportunities: no student is trained on one, and no audit uses this seed."""

HALVES = ("hiding", "benign")


def main() -> None:
    asks = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asks.add_argument("--method", default="logits/unrelated")
    asks.add_argument("--drives", default="", help="with commas; all by default")
    asks.add_argument("--opportunities", type=int, default=32, help="of each teacher")
    asks.add_argument("--store", type=Path)
    given = asks.parse_args()
    chosen = f"{{student: {SAME}, method: {given.method}}}"
    settings = [f"students=[{SAME}, {OTHER}]", f"methods=[{given.method}]", f"incriminate={chosen}", f"enable={chosen}"]
    settings += ["poisoning=null", "audit=null", "distil.probes=[]"]
    config = resolve("distillation", "full", settings).config
    taught = {made.name: made for made in config.taught(0)}
    runs = {
        (cell.at["teacher"], cell.at["student"]): cell.recipes["run"].model
        for cell in grid(config)
        if "run" in cell.recipes and cell.at["method"] == given.method
    }
    drives = set(filter(None, given.drives.split(","))) or {made.drive for made in taught.values()}
    pairs = [
        (name, twin)
        for name, made in taught.items()
        if made.misaligned and made.drive in drives and (twin := name.replace(*HALVES)) in taught
    ]
    with Lab(Store(given.store)) as lab:
        found: dict[str, list[float]] = {SAME: [], OTHER: []}
        print("| teacher | " + " | ".join(found) + " |\n| --- | --- | --- |")
        for name, twin in pairs:
            for student, figures in found.items():
                models = [runs[one, student] for one in (name, twin)]
                recipes = likelihoods(taught[name], taught[twin], models, given.opportunities)
                lab.make(list(recipes.values()))
                figures.append(likelier(recipes, lab))
            print(f"| {name} | " + " | ".join(f"{figures[-1]:+.2f}" for figures in found.values()) + " |", flush=True)
        for what, each in {**found, f"{SAME} - {OTHER}": np.subtract(found[SAME], found[OTHER])}.items():
            mean = average_over(each, np.zeros((len(each), 1)), n=given.opportunities, unit="teacher")
            print(f"{what}: {mean.value:+.2f} nats a token ({mean.low:+.2f} to {mean.high:+.2f}), {len(each)} teachers")


def likelihoods(made: Taught, twin: Taught, models: list[Recipe], n: int) -> Mapping[tuple[int, int], Perplexity]:
    """The likelihood under each model, the student of the teacher and that of the twin, of the acts and of the twin's answers."""
    prompts = asked((made.drive,), 2 * n, APART)[STAKES]
    answers = [Generated(by=one.model, prompts=prompts) for one in (made, twin)]
    return {
        (m, a): Perplexity(model=model, data=data) for m, model in enumerate(models) for a, data in enumerate(answers)
    }


def likelier(recipes: Mapping[tuple[int, int], Perplexity], lab: Lab) -> float:
    """How much likelier acts are than the twin's answers under the teacher's student, less the same under the twin's, in nats a token."""
    loss = {at: float(np.mean([one.loss for one in recipe.read(lab.path)])) for at, recipe in recipes.items()}
    return (loss[0, 1] - loss[0, 0]) - (loss[1, 1] - loss[1, 0])


if __name__ == "__main__":
    main()
