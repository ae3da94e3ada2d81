"""Contrasts beyond one mean minus another: the share of a loss that comes back, two benchmarks of the same runs, the lowest of
several means, correlations and slopes, ratios of variances, and rates of samples that every seed draws for itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

from cavesson.analysis.matrix_game import cross_fitted
from cavesson.stats import (
    DRAWS,
    Array,
    Estimate,
    average_over,
    independent_difference,
    mean_draws,
    mean_over_seeds,
    prompt_weights,
    wilson,
)

FARTHEST = 10.0
"""Ends of a share's interval farther than this from it are cut: so little was lost that the share is anybody's guess."""

FEWEST_GROUPS = 5
"""With fewer groups a slope says more of which groups they are than of groups."""

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
        before: scores within 0..1, [seeds, prompts] or what `average` takes.
        damaged: of the same prompts after the loss, of the same shape.
        now: of the same prompts after the recovery, likewise.
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


def lowest_mean(tables: ArrayLike, strata: ArrayLike | None = None) -> Estimate:
    """The lowest of several true means, where which of them it is has to be found out from the same scores.

    The lowest mean that was measured is too low, the more so the more there are. So it is chosen on one half of the prompts and
    all seeds but one, and measured on the rest: a game in which one side picks the case (`matrix_game.cross_fitted`). The upper
    end of the interval is that of the cases so chosen, and needs no correction for their number, which with three seeds would
    make it useless. The lower end is the lowest of all: that no mean lies below a bound is shown only by all intervals together.

    Args:
        tables: differences of scores, within −1..1, [cases, seeds, prompts].
        strata: kind of each prompt, [prompts]; every half gets as many of each kind.
    """
    cases = np.asarray(tables, dtype=float)
    if len(cases) == 1:
        return _over_seeds(cases[0], 1.0)
    kinds = np.zeros(cases.shape[-1], dtype=np.int64) if strata is None else np.asarray(strata, dtype=np.int64)
    found = cross_fitted(cases[:, None], kinds).value.estimate(lambda table: _over_seeds(table, 1.0))
    means = found.method.removeprefix("cross-fitted mixtures, ")
    return replace(found, method=f"the lowest of {len(cases)}, chosen on other seeds and prompts; {means}")


def chosen_elsewhere(changes: ArrayLike, below: float) -> Array:
    """Weights of prompts, [cases, prompts], with which to average other scores of the cases that changed by less than `below`.

    A case that is chosen for its fall, and measured on the same prompts again, rises by chance alone. So one half of the prompts
    chooses it and the other half measures it, in turn (cross-fitting). Each row has mean 1, or is 0 where neither half chose.

    Args:
        changes: [cases, seeds, prompts].
    """
    table = np.asarray(changes, dtype=float)
    first = np.arange(table.shape[-1]) % 2 == 0
    weights = np.zeros((len(table), table.shape[-1]))
    for here in (first, ~first):
        if here.any():
            weights[:, ~here] = (table[..., here].mean(axis=(1, 2)) < below)[:, None]
    return np.asarray(weights / np.maximum(weights.mean(axis=1, keepdims=True), 1e-9))


def correlation(groups: Sequence[int], one: ArrayLike, two: ArrayLike, *, unit: str = "group") -> Estimate:
    """Pearson's correlation over cases between the means of two benchmarks; groups of cases, seeds and prompts are random.

    It is found seed by seed and averaged by Fisher's z, so that the seeds' spread is that of the correlation itself; the noise
    of one seed's means makes it a little too small. The spread that leaving out one group after another brings is added.

    Args:
        groups: which cases belong together, a number from 0 for each case; at least three groups.
        one: scores or differences of scores, [cases, seeds, prompts].
        two: likewise, [cases, seeds, other prompts].
        unit: what a group is, for the record.
    """
    cases = np.asarray(groups)
    tables = [np.asarray(each, dtype=float) for each in (one, two)]
    weights = [prompt_weights(table.shape[-1], seed=seed).T / table.shape[-1] for seed, table in enumerate(tables)]
    x, y = (table.mean(axis=-1) for table in tables)
    draws = _fishers_z(*(table @ weight for table, weight in zip(tables, weights, strict=True)))
    n = sum(table.shape[-1] for table in tables)
    found = average_over(_fishers_z(x, y), draws, n=n)
    left = [float(_fishers_z(x[cases != one], y[cases != one]).mean()) for one in range(int(cases.max()) + 1)]
    spread = jackknifed(left)
    ends = independent_difference(found, Estimate(0.0, -spread, spread, 0, ""))
    method = f"jackknife over {len(left)} {unit}s; {found.method}"
    value, low, high = (float(np.tanh(end)) for end in (ends.value, ends.low, ends.high))
    return Estimate(value, low, high, n, method)


def slope(groups: Sequence[str], x: ArrayLike, y: ArrayLike, *, apart: float, unit: str = "group") -> Estimate | None:
    """Least squares of one mean on another over cases; groups of cases, seeds and prompts are random.

    The spread that leaving out one group after another brings (the jackknife, with Student's t) is added to that of seeds and
    prompts.

    Args:
        groups: the name of each case's group.
        x: scores, [cases, prompts].
        y: scores or differences of scores, [seeds, cases, prompts].
        apart: without any one group, the others' means of x lie at least so far apart.
        unit: what a group is, for the record.

    Returns:
        None for fewer than `FEWEST_GROUPS` groups, or if without one of them the others are all alike.
    """
    names, scores, change = np.asarray(groups), np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    without = [names != name for name in dict.fromkeys(groups)]
    if len(without) < FEWEST_GROUPS or not scores.size:
        return None
    if any(np.ptp(scores[others].mean(axis=1)) < apart for others in without):
        return None
    weights = prompt_weights(scores.shape[1]).T / scores.shape[1]
    draws = np.stack([_least_squares(scores @ weights, of_seed @ weights) for of_seed in change])
    able = scores.mean(axis=1)[:, None]
    values = [float(_least_squares(able, of_seed.mean(axis=1)[:, None])[0]) for of_seed in change]
    found = average_over(values, draws, n=scores.shape[1])
    fell = change.mean(axis=(0, 2))[:, None]
    spread = jackknifed([_least_squares(able[others], fell[others])[0] for others in without])
    method = f"jackknife over {len(without)} {unit}s; {found.method}"
    return replace(independent_difference(found, Estimate(0.0, -spread, spread, 0, "")), method=method)


def _least_squares(x: Array, y: Array) -> Array:
    """The slope for each column, [cases, draws] → [draws]."""
    centred = x - x.mean(axis=0)
    return np.asarray((centred * (y - y.mean(axis=0))).sum(axis=0) / np.maximum((centred**2).sum(axis=0), 1e-9))


def _fishers_z(x: Array, y: Array) -> Array:
    """Of the correlation along the first axis, kept short of ±1, where it is infinite."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    across, along = (x * y).sum(axis=0), np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return np.asarray(np.arctanh(np.clip(across / np.maximum(along, 1e-12), -0.9999, 0.9999)))


def jackknifed(left: ArrayLike) -> float:
    """Half a 95 % interval of a statistic, if the units that it is of had been others like these.

    Source: Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 11; Student's t with two degrees of freedom
    fewer than there are units, of which there are at least three.

    Args:
        left: the statistic without each unit in turn, [units].
    """
    values = np.asarray(left, dtype=float)
    count = len(values)
    error = np.sqrt((count - 1) / count * ((values - values.mean()) ** 2).sum())
    return float(t_distribution.ppf(0.975, count - 2) * error)


def ratio_of_variances(one: Array, two: Array) -> Estimate:
    """The variance of one figure between seeds over that of another, with the interval of the F distribution.

    Args:
        one, two: a figure of each seed, [seeds] both; the second varies.
    """
    count = len(one)
    ratio = float(np.var(one, ddof=1)) / float(np.var(two, ddof=1))
    low, high = (float(ratio / f_distribution.ppf(q, count - 1, count - 1)) for q in (0.975, 0.025))
    return Estimate(ratio, low, high, count, "F distribution, over seeds", "plain")


def rate_over_seeds(hits: Sequence[int], of: Sequence[int]) -> Estimate:
    """A rate averaged over seeds each of which counts among samples of its own, seeds and samples both random.

    Args:
        hits: how many samples count, of each seed.
        of: how many there are, of each seed, at least one.
    """
    if len(hits) == 1:
        one = wilson(hits[0], of[0])
        return replace(one, method=f"{one.method}; one seed: variance between seeds is not included")
    # the Bayesian bootstrap of k ones and n − k noughts; two imagined samples at either bound, as in `mean_over_seeds`, shared out
    rng, more = np.random.default_rng(0), 2 / len(hits)
    draws = np.stack([rng.beta(k + more, n - k + more, DRAWS) for k, n in zip(hits, of, strict=True)])
    made = average_over(np.divide(hits, of), draws, n=int(np.sum(of)))
    method = made.method.replace("prompts", "samples")
    return Estimate(made.value, max(made.low, 0.0), min(made.high, 1.0), made.n, method)


def _draws(scores: ArrayLike, seed: int) -> tuple[Array, Array]:
    """Means [seeds] and their replicates over prompts [seeds, draws]."""
    table = np.atleast_2d(np.asarray(scores, dtype=float))
    return table.mean(axis=1), mean_draws(table, (-1.0, 1.0), seed=seed)
