"""Averages over trigger / behaviour pairs, taken as fixed or as random.

Fixed: these pairs are all that one asks about; the interval allows for other prompts and other seeds. Random: they stand for
pairs that somebody else might have picked, so their spread counts too. Error bars over hand-picked pairs are of the second
kind and say nothing about the first; both are reported here, by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from cavesson.analysis.frontier import Frontier
from cavesson.stats import Array, Estimate, average_over, mean_draws

Units = Literal["fixed", "random"]


def mean_over_pairs(values: ArrayLike, draws: ArrayLike, *, n: int, pairs: Units, unit: str = "pair") -> Estimate:
    """An average over pairs, each measured under several seeds.

    Args:
        values: the statistic, [pairs, seeds].
        draws: its bootstrap replicates over prompts, [pairs, seeds, draws].
        n: prompts, for the record.
        pairs: "fixed" or "random".
        unit: what is averaged over, where that is not pairs.
    """
    each, replicates = np.asarray(values, dtype=float), np.asarray(draws, dtype=float)
    if each.ndim != 2 or replicates.shape[:2] != each.shape:
        raise ValueError(
            f"needs values [pairs, seeds] and draws [pairs, seeds, draws], not {each.shape} and {replicates.shape}"
        )
    axis, level = (0, "seed") if pairs == "fixed" else (1, unit)
    made = average_over(each.mean(axis=axis), replicates.mean(axis=axis), n=n, unit=level)
    return Estimate(made.value, made.low, made.high, made.n, f"{len(each)} {unit}s taken as {pairs}; {made.method}")


def mean_table(scores: Array) -> tuple[Array, Array]:
    """Means [pairs, seeds] of scores within -1..1, [pairs, seeds, prompts], and their bootstrap replicates over prompts.

    All pairs and seeds share the weights of each draw. An imagined prompt at each bound keeps the interval open where all
    real ones agree.
    """
    return scores.mean(axis=2), mean_draws(scores, (-1.0, 1.0))


def auc_table(frontiers: Sequence[Frontier]) -> tuple[Array, Array]:
    """Robustness AUCs [pairs, seeds] and their replicates [pairs, seeds, draws], one frontier per pair."""
    readings = [frontier.auc_by_seed for frontier in frontiers]
    return np.stack([values for values, _ in readings]), np.stack([draws for _, draws in readings])


def slope_table(x: Sequence[float], values: Array, draws: Array) -> tuple[Array, Array]:
    """Least-squares slopes along the first axis: values [x, pairs, seeds] and draws [x, pairs, seeds, draws] to slopes."""
    centred = np.asarray(x, dtype=float) - np.mean(x)
    weights = centred / (centred**2).sum()
    return np.tensordot(weights, values, axes=1), np.tensordot(weights, draws, axes=1)
