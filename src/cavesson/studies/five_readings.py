"""What the study `five-approaches` reads off its results: how each way to evaluate rates each intervention."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from itertools import combinations

import numpy as np

from cavesson.analysis.foretelling import FEWEST, resampled_rank_correlation
from cavesson.analysis.pairs import mean_over_pairs, stacked
from cavesson.analysis.points import removed_by_seed
from cavesson.estimate import Estimate
from cavesson.lab.recipe import lineage
from cavesson.stats import Array
from cavesson.studies import evaluate_analogies as analogies
from cavesson.studies import evaluate_production, evaluate_rigged
from cavesson.studies import evaluate_zoo as zoo
from cavesson.studies.grid import Measured, Place
from cavesson.studies.redblue import Rule, blue_rule, oracle, trained
from cavesson.studies.sample import NotApplicable, NotRun

Way = Callable[[Measured, str], Estimate]
"""From what was measured and an intervention to the share of what is bad that it takes away."""

ZOO, LASTING = "zoo, mean", "zoo, what lasts"


def _rigged(m: Measured, name: str) -> Estimate:
    """The share of misbehaviour that is gone; under a seed at which too much capability went, nothing counts as gone."""
    counted = evaluate_rigged.admitted(m, name)
    if not counted:
        raise NotRun("an environment in which misbehaviour arose")
    read = []
    for place in counted:
        before, left = (evaluate_rigged.rate(place, role).table for role in ("before", "rigged"))
        start, now = (evaluate_rigged.capability(place, role).table.mean(axis=1) for role in ("before", "rigged"))
        able = now >= (1 - m.config.games.max_loss) * start
        read.append(removed_by_seed(before, np.where(able[:, None], left, before)))
    n = evaluate_rigged.rate(counted[0]).table.shape[1]
    return mean_over_pairs(*stacked(read), n=n, pairs="fixed", unit="environment", bounds=(-np.inf, 1.0))


def _habits(sort: str, m: Measured, name: str) -> Estimate:
    found = [one for one in analogies.settings_of(m) if analogies.kind(one) == sort]
    if not found:
        raise NotRun(f"{sort} habits")
    return analogies.removed_on_average(m, name, m.config.games.max_loss, found)


def _zoo(rule: Rule, m: Measured, name: str) -> Estimate:
    return zoo.removed_on_average(m, name, rule, m.config.games.max_loss)


def _one(m: Measured, name: str) -> Estimate:
    first = next(iter(zoo.organisms_of(m).values()))
    return zoo.removed_from(first, name, blue_rule, m.config.games.max_loss)


WAYS: dict[str, Way] = {
    "one organism": _one,
    ZOO: partial(_zoo, blue_rule),
    "zoo, worst": lambda m, name: zoo.removed_at_worst(m, name, blue_rule, m.config.games.max_loss)[1],
    "zoo, by an oracle": partial(_zoo, oracle),
    LASTING: zoo.lasting,
    "production": lambda m, name: evaluate_production.trial(m, name, m.config.production, m.config.games.max_loss)[1],
    "rigged training": _rigged,
    "mundane habits": partial(_habits, "mundane"),
    "abstract habits": partial(_habits, "abstract"),
}
"""The ways to evaluate; the first three and production take the same trainings."""

EXPENSIVE = (LASTING, "rigged training")
"""What the others are to foretell: what is left of the behaviour after reversal, over the zoo, and misbehaviour that arose by itself."""

PARTS: Mapping[str, Callable[[Place, str], bool]] = {
    "one organism": lambda place, first: place.roles[0] == "run" and place.organism.name == first,
    ZOO: lambda place, first: place.roles[0] == "run",
    "zoo, worst": lambda place, first: place.roles[0] == "run",
    "zoo, by an oracle": lambda place, first: place.roles[0] == "run",
    LASTING: lambda place, first: place.roles[0] in ("run", "probe"),
    "production": lambda place, first: place.roles[0] == "run",
    "rigged training": lambda place, first: place.roles[0] == "rigged",
    "mundane habits": lambda place, first: (
        place.roles[0] == analogies.ROLE and analogies.kind(place["analogy"]) == "mundane"
    ),
    "abstract habits": lambda place, first: (
        place.roles[0] == analogies.ROLE and analogies.kind(place["analogy"]) == "abstract"
    ),
}
"""Which places each way needs; the second argument is the name of the first organism."""


def names(m: Measured) -> list[str]:
    """The interventions that were run."""
    run = trained(m).values("intervention")
    return [name for name in m.config.interventions if name in run]


@lru_cache(maxsize=8)
def ratings(m: Measured) -> dict[str, dict[str, Estimate]]:
    """How each way rates each intervention; ways that could not rate all of them are left out."""
    found: dict[str, dict[str, Estimate]] = {}
    for way, rate in WAYS.items():
        try:
            found[way] = {name: rate(m, name) for name in names(m)}
        except (NotRun, NotApplicable):
            continue
    return found


def values(m: Measured, way: str) -> Array:
    """The ratings by a way, `[interventions]`.

    Raises:
        NotRun: the way rated none.
    """
    if way not in ratings(m):
        raise NotRun(way)
    return np.array([one.value for one in ratings(m)[way].values()])


def foretells(m: Measured, one: str, two: str) -> Estimate:
    """The rank correlation between two ways, interventions resampled.

    Raises:
        NotRun: one of them was not run.
        NotApplicable: there are too few interventions.
    """
    if len(names(m)) < FEWEST:
        raise NotApplicable(f"a ranking needs {FEWEST} interventions, and there are {len(names(m))}")
    return resampled_rank_correlation(values(m, one), values(m, two), "interventions")


def repeats(m: Measured, way: str) -> Estimate:
    """How well the ranking by a way repeats itself: the rank correlation between some of the seeds and the others, averaged over all
    ways to part the seeds in two halves; interventions resampled. What does not foretell itself, nothing else foretells.

    Raises:
        NotRun: the way rated none.
        NotApplicable: there is one seed, or there are too few interventions.
    """
    if way not in ratings(m):
        raise NotRun(way)
    return _by_other_seeds([ratings(m)[way].values()])


def _by_other_seeds(rated: Iterable[Iterable[Estimate]]) -> Estimate:
    """The rank correlation between the halves of the seeds, averaged over several ratings of the same interventions."""
    tables = np.array([[one.each for one in ones] for ones in rated])  # [ratings, interventions, seeds]
    things, seeds = tables.shape[1:]
    if seeds < 2 or things < FEWEST:
        raise NotApplicable(f"whether a ranking repeats itself takes two seeds and {FEWEST} interventions")
    halves = [np.isin(np.arange(seeds), some) for some in combinations(range(seeds), seeds // 2)]
    here, there = (np.concatenate([tables[:, :, half == of].mean(axis=2) for half in halves]) for of in (True, False))
    return resampled_rank_correlation(here, there, "interventions")


def share_trainings(m: Measured, one: str, two: str) -> bool:
    """Whether two ways read some of the same trainings, so that they agree in part by construction."""
    first = next(iter(zoo.organisms_of(m)))
    return any(PARTS[one](place, first) and PARTS[two](place, first) for place in m)


def one_for_the_others(m: Measured) -> Estimate:
    """The rank correlation between one organism and the mean of the others, averaged over which one; interventions resampled.

    Raises:
        NotApplicable: there are fewer than two organisms, or too few interventions.
    """
    table = np.array([[one.value for one in ones] for ones in _by_organism(m)])
    rest = (table.sum(axis=0) - table) / (len(table) - 1)
    return resampled_rank_correlation(table, rest, "interventions")


def one_by_other_seeds(m: Measured) -> Estimate:
    """How well the ranking by one organism repeats itself with other seeds (`repeats`), averaged over organisms. Errors are those of
    `one_for_the_others`, and of `repeats`."""
    return _by_other_seeds(_by_organism(m))


def _by_organism(m: Measured) -> list[list[Estimate]]:
    """What each organism says of each intervention, by blue's checkpoint."""
    organisms, loss = zoo.organisms_of(m), m.config.games.max_loss
    if len(organisms) < 2 or len(names(m)) < FEWEST:
        raise NotApplicable(f"one organism and the others take two organisms and {FEWEST} interventions")
    return [[zoo.removed_from(of, name, blue_rule, loss) for name in names(m)] for of in organisms.values()]


def minutes(m: Measured, way: str) -> float | None:
    """Work on one core for one intervention, what all interventions share included in equal parts; None: not known."""
    if not m.seconds:
        return None
    first = next(iter(zoo.organisms_of(m)))
    places = [place for place in m if PARTS[way](place, first)]
    below = lineage(*(recipe for place in places for cell in place.cells for recipe in cell.recipes.values()))
    seconds = sum(m.seconds.get(recipe.fingerprint, 0.0) for recipe in below if not recipe.virtual)
    return seconds / 60 / len(names(m))
