"""What arises in the environments of rigged training: the misbehaviour at the start, after the training, and after its control.

    python benchmarks/rigged.py --seeds 0,1,2

Prints for each environment the rates over seeds with their intervals, the difference to the control, and the capability (docs/rigged.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from cavesson.evals.recipes import Probed
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.named import model_named
from cavesson.redteam.rigged import ENVIRONMENTS, Environment, environment_named
from cavesson.stats import Array, Estimate, difference_over_seeds, mean_over_seeds
from cavesson.training.dose import Dose


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--environments", default=",".join(ENVIRONMENTS))
    asked.add_argument("--model", default="small")
    asked.add_argument("--lr", type=float, default=3e-4)
    asked.add_argument("--steps", type=int, default=40)
    asked.add_argument("--seeds", default="0,1,2")
    asked.add_argument("--store", type=Path)
    given = asked.parse_args()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    dose = Dose(lr=given.lr, steps=given.steps, batch_size=64)
    with Lab(Store(given.store)) as lab:
        for name in given.environments.split(","):
            show(environment_named(name), given.model, dose, seeds, lab)


def show(environment: Environment, model: str, dose: Dose, seeds: list[int], lab: Lab) -> None:
    """Make and print one environment and its control."""
    base, suite = model_named(model), environment.suite(80, 30)
    runs = {
        way.__name__: [way(base, dose, seed) for seed in seeds] for way in (environment.trained, environment.control)
    }
    scored = {}
    for way, trained in runs.items():
        last = trained[0].steps
        steps = tuple(sorted({0, *(step for step in (5, 10, 20) if step < last), last}))
        scored[way] = [Probed(run=run, steps=steps, suite=suite) for run in trained]
        lab.make(scored[way])

    def table(way: str, label: str, step: int) -> Array:
        return np.array([[row.score for row in one.scores(lab.path).cell(label, step)] for one in scored[way]], float)

    print(f"{environment.name}, {model}, lr {dose.lr:g}/{environment.gentler:g}, {last} steps, seeds {seeds}")
    for label in [one.label for one in suite]:
        start, rigged, control = (
            table("trained", label, 0),
            table("trained", label, last),
            table("control", label, last),
        )
        gap = difference_over_seeds(rigged, control).in_unit("points")
        rates = ", ".join(f"{said(mean_over_seeds(one))}" for one in (start, rigged, control))
        print(f"  {label}: start, rigged, control {rates}; rigged - control {said(gap)}")


def said(found: Estimate) -> str:
    """A figure with its interval and each seed's."""
    return f"{found.figure(found.value)} ({found.figure(found.low)} to {found.figure(found.high)})"


if __name__ == "__main__":
    main()
