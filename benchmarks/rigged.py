"""What arises in the environments of rigged training, and what measures during and after the training take away of it.

    python benchmarks/rigged.py --seeds 0,1,2
    python benchmarks/rigged.py --seeds 0,1,2,3,4 --environments option-hedging,agreeing-rater --during kl,inoculated --after hhh,pirate

Prints for each environment the rates over seeds with their intervals, the difference to the control, and the capability; with measures,
the tables of the card's third approach (docs/rigged.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from cavesson.blueteam.moves import move_named
from cavesson.estimate import Estimate
from cavesson.evals.recipes import Probed
from cavesson.findings.views import TableView
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.named import model_named
from cavesson.redteam.rigged import ENVIRONMENTS, Environment, environment_named
from cavesson.stats import Array, difference_over_seeds, mean_over_seeds
from cavesson.studies import evaluate_rigged
from cavesson.studies.grid import Measured, recipes_of
from cavesson.training.dose import Dose


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--environments", default=",".join(ENVIRONMENTS))
    asked.add_argument("--model", default="small")
    asked.add_argument("--lr", type=float, default=3e-4)
    asked.add_argument("--steps", type=int, default=40)
    asked.add_argument("--seeds", default="0,1,2")
    asked.add_argument("--during", default="", help="measures during the training, with commas")
    asked.add_argument("--after", default="", help="interventions after it, with commas")
    asked.add_argument("--store", type=Path)
    given = asked.parse_args()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    dose = Dose(lr=given.lr, steps=given.steps, batch_size=64)
    with Lab(Store(given.store)) as lab:
        if given.during or given.after:
            measures(given, seeds, lab)
            return
        for name in given.environments.split(","):
            show(environment_named(name), given.model, dose, seeds, lab)


def measures(given: argparse.Namespace, seeds: list[int], lab: Lab) -> None:
    """Make and print what measures during and after the trainings take away, by the card's own tables."""
    practised = evaluate_rigged.Practised(lr=given.lr, steps=given.steps)
    section = evaluate_rigged.RiggedSection(
        environments=tuple(given.environments.split(",")),
        during=tuple(filter(None, given.during.split(","))),
        model=given.model,
        rigged=practised,
    )
    config = SimpleNamespace(rigged=section, seeds=tuple(seeds), model=given.model)
    names = list(filter(None, given.after.split(","))) or ["self"]
    found = [
        cell
        for number, name in enumerate(names)
        for seed in seeds
        for cell in evaluate_rigged.cells(section, config, move_named(name), seed, controlled=False)
        if not (number and cell.at["during"])  # measures during the training are the same beside each intervention
    ]
    lab.make(recipes_of(found))
    m = Measured.read(found, lab.path, config)
    tables = [(f"after: {name}", evaluate_rigged.approach(m, name).tables[0]) for name in names if given.after]
    if section.during:
        tables.append(("during", evaluate_rigged.approach(m, names[0]).tables[-1]))
    for what, table in tables:
        print_table(what, table)


def print_table(what: str, table: TableView) -> None:
    """A table as Markdown."""
    print(f"\n{what}\n\n| {' | '.join(table.columns)} |\n|{' --- |' * len(table.columns)}")
    for row in table.rows:
        print(f"| {' | '.join('–' if cell is None else str(cell) for cell in row)} |")


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
