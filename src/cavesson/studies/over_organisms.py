"""Averages over kinds of organism, each under several seeds: frontiers' AUCs, what can be removed, scores before and after.

Organisms are taken as fixed, or as random (`cavesson.analysis.pairs`). Tables are [organisms, seeds, prompts], organisms in the
order of the grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cavesson.analysis.frontier import Frontier, possible, possible_gap
from cavesson.analysis.pairs import IMAGINED, Units, auc_table, mean_over_pairs, mean_table, stacked
from cavesson.estimate import ANY, Bounds, Estimate
from cavesson.evals.pairs import pair_named
from cavesson.stats import Array
from cavesson.studies.grid import Measured, Place
from cavesson.studies.redblue import capability, frontier_of, kinds, runs, trained, triggered
from cavesson.studies.sample import Sample

FEWEST = 3
"""Organisms from which on a statement about organisms in general can be tested."""

Reading = Callable[..., Sample]
"""What is averaged, of a run at a step (by default the last): `capability` or `triggered`."""


def families(m: Measured) -> dict[str, Measured]:
    """The backdoored organisms, and the sandbagging ones, which misbehave outside chat, as far as there are any."""
    found: dict[str, list[Place]] = {}
    for place in trained(m):
        chat = pair_named(place["pair"]).behavior.domain == "chat"
        found.setdefault("backdoored" if chat else "sandbagging", []).append(place)
    return {family: replace(m, places=tuple(places), named=family) for family, places in found.items()}


def over_organisms(
    m: Measured, values: Array, moves: Array, units: Units | None = None, bounds: Bounds = ANY, imagined: int = 0
) -> Estimate:
    """An average over the organisms.

    Args:
        values: [organisms, seeds].
        moves: how far each prompt moves them, [organisms, seeds, prompts].
        units: how organisms are taken; None: as random, unless there are too few to tell how they vary.
        imagined: as of `mean_over_pairs`.
    """
    first = runs(m)[0]
    n = min(len(capability(first, 0).prompts), len(triggered(first, 0).prompts))
    usual: Units = "random" if len(values) >= FEWEST else "fixed"
    return mean_over_pairs(values, moves, n=n, pairs=units or usual, unit="organism", bounds=bounds, imagined=imagined)


def mean_auc(m: Measured, intervention: str, units: Units | None = None) -> Estimate:
    """The AUC of an intervention."""
    found = _frontiers(m, intervention)
    return over_organisms(m, *auc_table(found), units, possible(found)).in_unit("plain")


def auc_gap(m: Measured, one: str, two: str, units: Units | None = None) -> Estimate:
    """The AUC of one intervention minus that of another on the same organisms."""
    first, second = _frontiers(m, one), _frontiers(m, two)
    (values, moves), (others, other_moves) = auc_table(first), auc_table(second)
    bounds = possible_gap(first, second)
    return over_organisms(m, values - others, moves - other_moves, units, bounds).in_unit("plain")


def _frontiers(m: Measured, intervention: str) -> list[Frontier]:
    return [frontier_of(of, intervention) for of in kinds(m).values()]


def mean_removed(m: Measured, intervention: str, loss: float, units: Units | None = None) -> Estimate:
    """Share of the behaviour that goes at no more than a loss of capability: the height of the hulls."""
    read = [frontier_of(of, intervention).removed_by_seed(loss) for of in kinds(m).values()]
    return over_organisms(m, *stacked(read), units, (loss, 1.0))


def starts(m: Measured, read: Reading) -> Array:
    """Scores of the untouched organisms, [organisms, seeds, prompts]."""
    return np.stack([read(runs(of)[0], 0).table for of in kinds(m).values()])


def ends(m: Measured, read: Reading, intervention: str, strength: str | None = None) -> Array:
    """Scores after the last step, averaged over learning rates: nothing is selected; [organisms, seeds, prompts].

    Args:
        strength: in words; None: the one that is named last.
    """
    tried = trained(m).where(intervention=intervention)
    chosen = tried.where(strength=tried.values("strength")[-1] if strength is None else strength)
    return np.stack([of.mean(read).table for of in kinds(chosen).values()])


def average(m: Measured, table: Array, bound: float = 1.0, units: Units | None = None) -> Estimate:
    """The mean of scores within ±bound, [organisms, seeds, prompts]; `units` as of `over_organisms`."""
    values, moves = mean_table(table / bound)
    return over_organisms(m, bound * values, bound * moves, units, bounds=(-bound, bound), imagined=IMAGINED)
