"""Contrasts beyond one mean minus another: the share of a loss that comes back, and two benchmarks of the same runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from bridle.stats import Array, Estimate, average_over, mean_over_seeds, prompt_weights

FARTHEST = 10.0
"""Ends of a share's interval farther than this from it are cut: so little was lost that the share is anybody's guess."""

Average = Callable[[Array, float], Estimate]
"""From a table of scores within ±bound to the estimate of their mean."""


def _over_seeds(table: Array, bound: float) -> Estimate:
    return mean_over_seeds(table, bounds=(-bound, bound))


def share_regained(
    before: ArrayLike, damaged: ArrayLike, now: ArrayLike, *, average: Average = _over_seeds
) -> Estimate:
    """What has come back of a loss: (now − damaged) / (before − damaged), of the means, with Fieller's interval.

    It holds every share r at which the contrast `now − r · before − (1 − r) · damaged` is 0 within chance, so "at least half
    came back" is decided just as "now is at least half-way from damaged to before" is: by one mean of scores, paired by seed
    and prompt. To divide draws, or seed by seed, would let the seeds or draws that lost next to nothing decide.
    Source: Fieller, "Some problems in interval estimation" (1954).

    Args:
        before, damaged, now: scores within 0..1 of the same prompts, all of one shape, [seeds, prompts] or what `average` takes.
        average: the estimate of a mean; by default seeds and prompts are both random.

    Raises:
        ValueError: nothing was lost.
    """
    start, low_point, end = (np.asarray(each, dtype=float) for each in (before, damaged, now))

    def contrast(share: float) -> Estimate:
        bound = max(1.0, abs(share), abs(1 - share)) + 1e-9  # a hair of room for rounding
        return average(end - share * start - (1 - share) * low_point, bound)

    nothing, everything = contrast(0.0), contrast(1.0)
    lost = nothing.value - everything.value
    if lost <= 0:
        raise ValueError("no share can come back where nothing was lost")
    value = nothing.value / lost
    low, high = value - FARTHEST, value + FARTHEST
    if contrast(low).low > 0:
        low = brentq(lambda share: contrast(share).low, low, value, xtol=1e-4)
    if contrast(high).high < 0:
        high = brentq(lambda share: contrast(share).high, value, high, xtol=1e-4)
    return Estimate(value, low, high, nothing.n, f"Fieller's interval; {nothing.method}")


def difference_across_prompts(one: ArrayLike, two: ArrayLike) -> Estimate:
    """Mean of one minus mean of the other, for scores of the same runs on different prompts: two benchmarks, or two levels.

    A seed that did badly on both tells nothing of their difference, so the spread between seeds that counts is that of the
    difference. The prompts' chances are independent.

    Args:
        one: scores, or differences of scores, within −1..1, [seeds, prompts].
        two: likewise, the same seeds in the same order, [seeds, other prompts].
    """
    (first, first_draws), (second, second_draws) = (_draws(table, seed) for seed, table in enumerate((one, two)))
    n = np.shape(one)[-1] + np.shape(two)[-1]
    return average_over(first - second, first_draws - second_draws, n=n)


def _draws(scores: ArrayLike, seed: int) -> tuple[Array, Array]:
    """Means [seeds] and their replicates over prompts [seeds, draws]; an imagined prompt at each bound, as in `stats`."""
    table = np.atleast_2d(np.asarray(scores, dtype=float))
    weights = prompt_weights(table.shape[1], extra=2, seed=seed).T
    imagined = np.tile((-1.0, 1.0), (len(table), 1))
    return table.mean(axis=1), np.concatenate([table, imagined], axis=1) @ weights / len(weights)
