"""Averages over trigger / behaviour pairs, taken as fixed or as random.

Fixed: the question is about these pairs only, and the interval allows for other prompts and other seeds. Random: the pairs
stand for other pairs that might have been picked, so the spread between pairs counts too. Published error bars over
hand-picked pairs are of the second kind, and do not answer the first question; here the method names the kind.
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
        n: number of prompts, for the estimate.
        pairs: "fixed" or "random".
        unit: name of what is averaged over, if not pairs.

    Raises:
        ValueError: the shapes do not match.
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
    """Means [pairs, seeds] and their bootstrap replicates over prompts [pairs, seeds, draws].

    All pairs and seeds share the weights of each draw. One pseudo-prompt at each bound keeps the interval open where all
    real prompts agree.

    Args:
        scores: within -1..1, [pairs, seeds, prompts].
    """
    return scores.mean(axis=2), mean_draws(scores, (-1.0, 1.0))


def auc_table(frontiers: Sequence[Frontier]) -> tuple[Array, Array]:
    """Robustness AUCs [pairs, seeds] and their bootstrap replicates [pairs, seeds, draws], one frontier per pair."""
    readings = [frontier.auc_by_seed for frontier in frontiers]
    return np.stack([values for values, _ in readings]), np.stack([draws for _, draws in readings])


def slope_table(x: Sequence[float], values: Array, draws: Array) -> tuple[Array, Array]:
    """Least-squares slopes over `x`, [pairs, seeds], and their bootstrap replicates, [pairs, seeds, draws].

    Args:
        x: positions along the first axis, [x].
        values: the statistic, [x, pairs, seeds].
        draws: its bootstrap replicates, [x, pairs, seeds, draws].
    """
    centred = np.asarray(x, dtype=float) - np.mean(x)
    weights = centred / (centred**2).sum()
    return np.tensordot(weights, values, axes=1), np.tensordot(weights, draws, axes=1)
