"""Averages over trigger / behaviour pairs, taken as fixed or as random.

Fixed: the question is about these pairs only, and the interval allows for other prompts and other seeds. Random: the pairs
stand for other pairs that might have been picked, so the spread between pairs counts too. Published error bars over
hand-picked pairs are of the second kind, and do not answer the first question; here the method names the kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from cavesson.analysis.frontier import Frontier
from cavesson.estimate import ANY, Bounds, Estimate
from cavesson.stats import Array, average_over, influences, sharing

Units = Literal["fixed", "random"]

IMAGINED = 2
"""Pseudo-prompts at the end of a `mean_table`."""


def mean_over_pairs(
    values: ArrayLike,
    moves: ArrayLike,
    *,
    n: int,
    pairs: Units,
    unit: str = "pair",
    bounds: Bounds = ANY,
    imagined: int = 0,
) -> Estimate:
    """An average over pairs, each measured under several seeds.

    Args:
        values: the statistic, [pairs, seeds].
        moves: how far each prompt moves the statistic (`stats.influences`), [pairs, seeds, prompts].
        n: number of prompts, for the estimate.
        pairs: "fixed" or "random".
        unit: name of what is averaged over, if not pairs.
        bounds: the range that the interval cannot leave.
        imagined: so many of the prompts, the last ones, are pseudo-prompts; their doubt counts as far as pairs (or seeds) share their
            luck with prompts (`stats.sharing`), since their spread shows the rest already.

    Raises:
        ValueError: the shapes do not match.
    """
    each, moved = np.asarray(values, dtype=float), np.asarray(moves, dtype=float)
    if each.ndim != 2 or moved.shape[:2] != each.shape:
        raise ValueError(
            f"needs values [pairs, seeds] and moves [pairs, seeds, prompts], not {each.shape} and {moved.shape}"
        )
    axis, level = (0, "seed") if pairs == "fixed" else (1, unit)
    together = moved.mean(axis=axis)
    if imagined:
        together[:, -imagined:] *= np.sqrt(sharing(together[:, :-imagined]))
    made = average_over(each.mean(axis=axis), together, n=n, unit=level, bounds=bounds)
    return replace(made, method=f"{len(each)} {unit}{'s' if len(each) > 1 else ''} taken as {pairs}; {made.method}")


def mean_table(scores: Array) -> tuple[Array, Array]:
    """Means [pairs, seeds] and how far each prompt moves them [pairs, seeds, prompts + `IMAGINED`].

    One pseudo-prompt at each bound keeps the interval open where all real prompts agree.

    Args:
        scores: within -1..1, [pairs, seeds, prompts].
    """
    return scores.mean(axis=2), influences(scores, (-1.0, 1.0))


def auc_table(frontiers: Sequence[Frontier]) -> tuple[Array, Array]:
    """Robustness AUCs [pairs, seeds] and how far each prompt moves them [pairs, seeds, prompts], one frontier per pair."""
    return stacked([frontier.auc_by_seed for frontier in frontiers])


def stacked(readings: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Values [seeds] and moves [seeds, prompts] of several pairs as two tables; a pair with fewer prompts gets idle ones."""
    most = max(moves.shape[1] for _, moves in readings)
    padded = [np.pad(moves, ((0, 0), (0, most - moves.shape[1]))) for _, moves in readings]
    return np.stack([values for values, _ in readings]), np.stack(padded)


def slope_table(x: Sequence[float], values: Array, moves: Array) -> tuple[Array, Array]:
    """Least-squares slopes over `x`, [pairs, seeds], and how far each prompt moves them, [pairs, seeds, prompts].

    Args:
        x: positions along the first axis, [x].
        values: the statistic, [x, pairs, seeds].
        moves: how far each prompt moves it, [x, pairs, seeds, prompts].
    """
    centred = np.asarray(x, dtype=float) - np.mean(x)
    weights = centred / (centred**2).sum()
    return np.tensordot(weights, values, axes=1), np.tensordot(weights, moves, axes=1)
