"""Contrasts beyond one mean minus another.

The share of a loss that comes back, the difference of two benchmarks of the same runs, the AUROC of scores against a control's, the
lowest of several means, correlations and slopes, ratios of variances, and rates of samples that every seed draws for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import fdtri, stdtrit

from cavesson.analysis.matrix_game import cross_fitted
from cavesson.estimate import Bounds, Estimate
from cavesson.stats import (
    Array,
    at_confidence,
    average_over,
    error_of,
    independent_difference,
    influences,
    mean_over_seeds,
    sharing,
    wilson,
)

_STEP = 1e-5
"""Of a numerical derivative, in units of an influence."""

FEWEST_GROUPS = 5
"""With fewer groups, a slope depends too much on the choice of groups."""

Average = Callable[[Array, float], Estimate]
"""A function from a table of scores, and a bound such that they lie within ±bound, to the estimate of their mean."""


def _over_seeds(table: Array, bound: float) -> Estimate:
    return mean_over_seeds(table, bounds=(-bound, bound))


def share_regained(
    before: ArrayLike, damaged: ArrayLike, now: ArrayLike, *, average: Average = _over_seeds
) -> Estimate:
    """The share of a loss that has come back: (now − damaged) / (before − damaged) of the means, with Fieller's interval.

    The interval holds every share r at which the contrast `now − r · before − (1 − r) · damaged` is 0 within chance. So the
    claims "at least half came back" and "now is at least half-way from damaged to before" are decided alike: by one mean of
    scores, paired by seed and prompt. A ratio for each seed or draw would let the seeds or draws with almost no loss decide.
    The interval does not leave what is possible where the loss is as measured: scores lie within 0 and 1.
    Source: Fieller, "Some problems in interval estimation" (1954).

    Args:
        before: scores within 0..1, [seeds, prompts] or the shape that `average` takes.
        damaged: scores on the same prompts after the loss, same shape.
        now: scores on the same prompts after the recovery, same shape.
        average: the estimate of a mean; by default seeds and prompts are both random.

    Raises:
        ValueError: nothing was lost.
    """
    start, low_point, end = (np.asarray(each, dtype=float) for each in (before, damaged, now))

    def contrast(share: float) -> Estimate:
        bound = max(1.0, abs(share), abs(1 - share)) + 1e-9  # allows for rounding
        return average(end - share * start - (1 - share) * low_point, bound)

    nothing, everything = contrast(0.0), contrast(1.0)
    lost = nothing.value - everything.value
    if lost <= 0:
        raise ValueError("no share can come back where nothing was lost")
    value, damage = nothing.value / lost, float(low_point.mean())
    low, high = min(value, -damage / lost), max(value, (1 - damage) / lost)
    if low < value and contrast(low).low > 0:
        low = brentq(lambda share: contrast(share).low, low, value, xtol=1e-4)
    if high > value and contrast(high).high < 0:
        high = brentq(lambda share: contrast(share).high, value, high, xtol=1e-4)
    return replace(nothing, value=value, low=low, high=high, method=f"Fieller's interval; {nothing.method}", each=())


def difference_across_prompts(one: ArrayLike, two: ArrayLike) -> Estimate:
    """Mean of one minus mean of the other, for scores of the same runs on different prompts: two benchmarks, or two levels.

    The spread between seeds is the spread of the difference, since a seed that scores low on both says nothing about the
    difference. The two sets of prompts are independent samples.

    Args:
        one: scores, or differences of scores, within −1..1, [seeds, prompts].
        two: the same seeds in the same order on other prompts, [seeds, other prompts].
    """
    first, second = (np.atleast_2d(np.asarray(table, dtype=float)) for table in (one, two))
    moves = np.hstack([influences(first, (-1.0, 1.0)), -influences(second, (-1.0, 1.0))])
    return average_over(first.mean(axis=1) - second.mean(axis=1), moves, n=first.shape[1] + second.shape[1])


def mean_over_clusters(scores: ArrayLike, clusters: Sequence[Hashable], *, bounds: Bounds = (0.0, 1.0)) -> Estimate:
    """The mean over seeds and prompts of which several belong together: one question put in several ways, settings with one cause.

    Prompts of one cluster may move together, so that the luck is with clusters: each counts with the sum of its prompts' residuals,
    and is then one prompt of `stats.mean_over_seeds`. The value stays the mean over all prompts.

    Args:
        scores: scores within `bounds`, [seeds, prompts].
        clusters: the cluster of each prompt, [prompts].
    """
    table = np.atleast_2d(np.asarray(scores, dtype=float))
    members = {one: k for k, one in enumerate(dict.fromkeys(clusters))}
    belongs = np.zeros((table.shape[1], len(members)))
    belongs[np.arange(len(belongs)), [members[one] for one in clusters]] = len(members) / len(belongs)
    mean = table.mean(axis=1, keepdims=True)
    each = mean + (table - mean) @ belongs
    # the one seed's scores must lie within the bounds, which a cluster of many prompts may leave
    wide = bounds if len(each) > 1 else (min(bounds[0], float(each.min())), max(bounds[1], float(each.max())))
    found = mean_over_seeds(each, bounds=wide).clipped(bounds)
    method = f"{found.method}; {table.shape[1]} prompts in {len(members)} clusters"
    return replace(found, n=table.shape[1], method=method)


def auroc_over_seeds(mine: ArrayLike, others: ArrayLike) -> Estimate:
    """The chance that a score lies above a control's, ties counting half (the AUROC); seeds and prompts are both random.

    A prompt moves the figure twice: by the share of the control's scores below its own score, and by the share of the scores
    above the control's score on it (DeLong et al. 1988). The control's answers are a sample of the same prompts, whether each
    seed has a control of its own or all share one; with the first share alone, the interval would take them for the population.

    Args:
        mine: scores, [seeds, prompts].
        others: the control's scores on the same prompts, same shape.
    """
    scores, control = (np.atleast_2d(np.asarray(table, dtype=float)) for table in (mine, others))
    above = (np.sign(scores[:, :, None] - control[:, None]) + 1) / 2
    values, n = above.mean(axis=(1, 2)), scores.shape[1]
    first, second = (influences(above.mean(axis=side), (0.0, 1.0)) for side in (2, 1))
    moves = first[:, :n] + second[:, :n]
    doubt = sharing(moves)
    pseudo = np.sqrt(doubt) * np.hstack([first[:, n:], second[:, n:]])
    pull = doubt * 2 * (0.5 - float(values.mean())) / (n + 2)
    return average_over(values, np.hstack([moves, pseudo]), n=n, bounds=(0.0, 1.0), pull=pull).in_unit("plain")


def lowest_mean(tables: ArrayLike, strata: ArrayLike | None = None) -> Estimate:
    """The lowest of several true means, where the same scores must also say which mean is the lowest.

    The lowest measured mean is too low, and more so the more means there are. So the lowest case is chosen on one half of the
    prompts and all seeds but one, and measured on the rest: a game in which one side picks the case
    (`matrix_game.cross_fitted`). The upper end of the interval belongs to the cases chosen in this way; it needs no correction
    for the number of cases, which would make it useless with three seeds. The lower end is the lowest of all lower ends: only
    all intervals together show that no mean lies below a bound.

    Args:
        tables: differences of scores, within −1..1, [cases, seeds, prompts].
        strata: kind of each prompt, [prompts]; both halves get equally many prompts of each kind.
    """
    cases = np.asarray(tables, dtype=float)
    if len(cases) == 1:
        return _over_seeds(cases[0], 1.0)
    kinds = np.zeros(cases.shape[-1], dtype=np.int64) if strata is None else np.asarray(strata, dtype=np.int64)
    found = cross_fitted(cases[:, None], kinds).value.estimate(lambda table: _over_seeds(table, 1.0))
    means = found.method.removeprefix("cross-fitted mixtures, ")
    return replace(found, method=f"the lowest of {len(cases)}, chosen on other seeds and prompts; {means}")


def lowest_rate(tables: Sequence[ArrayLike]) -> Estimate:
    """The lowest of several rates, each on prompts of its own.

    That all rates lie above a bound is shown if each does, so the lowest of the lower ends needs no correction (the
    intersection-union test: Berger, Technometrics 24, 1982). That the lowest rate lies below a bound needs one, since the lowest
    of many is low by chance: the upper ends hold for all rates together (Bonferroni).

    Args:
        tables: scores of each case, [seeds, prompts].
    """
    each = [mean_over_seeds(table) for table in tables]
    together = [mean_over_seeds(table, confidence=1 - 0.05 / len(each)) for table in tables]
    lowest = min(each, key=lambda rate: rate.value)
    if len(each) == 1:
        return lowest
    low, high = min(rate.low for rate in each), min(rate.high for rate in together)
    return replace(lowest, low=low, high=max(high, lowest.value), method=f"the lowest of {len(each)}; {lowest.method}")


def chosen_elsewhere(changes: ArrayLike, below: float) -> Array:
    """Weights of prompts, [cases, prompts], for averaging other scores of the cases whose change lies below `below`.

    A case that is chosen for its fall, and then measured on the same prompts, rises by chance alone. So one half of the prompts
    chooses the case and the other half measures it, in turn (cross-fitting). Each row has mean 1, or is 0 where neither half
    chose the case.

    Args:
        changes: differences of scores, [cases, seeds, prompts].
        below: a case is chosen if its mean change is lower than this.
    """
    table = np.asarray(changes, dtype=float)
    first = np.arange(table.shape[-1]) % 2 == 0
    weights = np.zeros((len(table), table.shape[-1]))
    for choosing in (first, ~first):
        if choosing.any():
            weights[:, ~choosing] = (table[..., choosing].mean(axis=(1, 2)) < below)[:, None]
    return np.asarray(weights / np.maximum(weights.mean(axis=1, keepdims=True), 1e-9))


def correlation(groups: Sequence[int], one: ArrayLike, two: ArrayLike, *, unit: str = "group") -> Estimate:
    """Pearson's correlation over cases between the means of two benchmarks; groups of cases, seeds and prompts are random.

    The means are averaged over seeds before they are correlated: noise in a mean makes a correlation too small, and that of one
    seed is several times as large. Each seed has its own correlation all the same, on the scale of Fisher's z; their spread is that
    of the seeds, and the jackknife adds the spread between groups.

    Args:
        groups: the group of each case, numbered from 0, [cases]; at least three groups.
        one: scores or differences of scores, [cases, seeds, prompts].
        two: scores of the same cases and seeds on other prompts, [cases, seeds, other prompts].
        unit: what a group is, for the interval's method.
    """
    cases = np.asarray(groups)
    tables = [np.asarray(each, dtype=float) for each in (one, two)]
    x, y = (table.mean(axis=-1) for table in tables)
    with_x, with_y = (_STEP * influences(table, (-1.0, 1.0), pseudo=0) for table in tables)
    moved = [_fishers_z(x[..., None] + with_x, y[..., None]), _fishers_z(x[..., None], y[..., None] + with_y)]
    z = _fishers_z(x, y)
    moves = (np.concatenate(moved, axis=-1) - z[:, None]) / _STEP
    n = sum(table.shape[-1] for table in tables)
    by_seed = average_over(z, moves, n=n)
    pooled = [table.mean(axis=1, keepdims=True) for table in (x, y)]
    shift = float(_fishers_z(*pooled)[0]) - by_seed.value
    found = replace(by_seed, value=by_seed.value + shift, low=by_seed.low + shift, high=by_seed.high + shift)
    without = [float(_fishers_z(*(table[cases != out] for table in pooled))[0]) for out in range(int(cases.max()) + 1)]
    spread = jackknifed(without)
    ends = independent_difference(found, Estimate(0.0, -spread, spread, 0, ""))
    method = f"jackknife over {len(without)} {unit}s; {found.method}"
    value, low, high = (float(np.tanh(end)) for end in (ends.value, ends.low, ends.high))
    each = tuple(np.tanh(found.each).tolist())
    return replace(found, value=value, low=low, high=high, method=method, each=each)


def slope(groups: Sequence[str], x: ArrayLike, y: ArrayLike, *, apart: float, unit: str = "group") -> Estimate | None:
    """Least squares of one mean on another over cases; groups of cases, seeds and prompts are random.

    The jackknife over groups, with Student's t, adds the spread between groups to the spread of seeds and prompts.

    Args:
        groups: the name of each case's group, [cases].
        x: scores, [cases, prompts].
        y: scores or differences of scores, [seeds, cases, prompts].
        apart: the least range of the means of `x` that must remain when any one group is left out.
        unit: what a group is, for the interval's method.

    Returns:
        The slope; None for fewer than `FEWEST_GROUPS` groups, or if the means of `x` range less than `apart` without one group.
    """
    names, scores, change = np.asarray(groups), np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    without = [names != name for name in dict.fromkeys(groups)]
    if len(without) < FEWEST_GROUPS or not scores.size:
        return None
    if any(np.ptp(scores[others].mean(axis=1)) < apart for others in without):
        return None
    means, seeds = scores.mean(axis=1)[:, None], change.mean(axis=2)[..., None]
    values = np.stack([_least_squares(means, of_seed) for of_seed in seeds])  # [seeds, 1]
    with_x, with_y = (_STEP * influences(table, (-1.0, 1.0), pseudo=0) for table in (scores, change))
    moved = np.stack([_least_squares(means + with_x, of + with_of) for of, with_of in zip(seeds, with_y, strict=True)])
    found = average_over(values[:, 0], (moved - values) / _STEP, n=scores.shape[1])
    changes = change.mean(axis=(0, 2))[:, None]
    spread = jackknifed([_least_squares(means[others], changes[others])[0] for others in without])
    method = f"jackknife over {len(without)} {unit}s; {found.method}"
    ends = independent_difference(found, Estimate(0.0, -spread, spread, 0, ""))
    return replace(found, low=ends.low, high=ends.high, method=method)


def _least_squares(x: Array, y: Array) -> Array:
    """The slope of y on x in each column, [columns], from tables [cases, columns]."""
    centred = x - x.mean(axis=0)
    return np.asarray((centred * (y - y.mean(axis=0))).sum(axis=0) / np.maximum((centred**2).sum(axis=0), 1e-9))


def _fishers_z(x: Array, y: Array) -> Array:
    """Fisher's z of the correlation along the first axis; the correlation is kept short of ±1, where z is infinite."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    across, along = (x * y).sum(axis=0), np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return np.asarray(np.arctanh(np.clip(across / np.maximum(along, 1e-12), -0.9999, 0.9999)))


def jackknifed(left: ArrayLike) -> float:
    """Half the width of a statistic's 95 % interval, allowing for other units like these (the jackknife).

    Source: Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 11; Student's t, whose degrees of freedom
    are the number of units minus two.

    Args:
        left: the statistic without each unit in turn, [units]; at least three units.
    """
    values = np.asarray(left, dtype=float)
    count = len(values)
    error = np.sqrt((count - 1) / count * ((values - values.mean()) ** 2).sum())
    return float(stdtrit(count - 2, 1 - error_of(0.95) / 2) * error)


def ratio_of_variances(one: Array, two: Array) -> Estimate:
    """The variance of one figure between seeds over that of another, with the interval of the F distribution.

    Args:
        one: a figure of each seed, [seeds].
        two: another figure of each seed, [seeds]; it varies.
    """
    count = len(one)
    ratio = float(np.var(one, ddof=1)) / float(np.var(two, ddof=1))
    tail = error_of(0.95) / 2
    low, high = (float(ratio / fdtri(count - 1, count - 1, q)) for q in (1 - tail, tail))
    return Estimate(
        ratio, low, high, count, f"F distribution, over seeds{at_confidence(0.95)}", "plain", replicates=count
    )


def rate_over_seeds(hits: Sequence[int], of: Sequence[int]) -> Estimate:
    """A rate averaged over seeds that each have their own samples; seeds and samples are both random.

    Args:
        hits: number of samples that count, [seeds].
        of: number of samples, at least one, [seeds].
    """
    if len(hits) == 1:
        one = wilson(hits[0], of[0])
        return replace(one, method=f"{one.method}; one seed: variance between seeds is not included", each=(one.value,))
    rates, total = np.divide(hits, of), int(np.sum(of))
    # no sample is shared, but for a pseudo-sample at each bound, which keeps the interval open where all samples agree
    doubt = influences(np.repeat(rates.mean(), total)[None], (0.0, 1.0))[:, total:]
    own = np.diag(np.sqrt(rates * (1 - rates) / np.maximum(np.subtract(of, 1), 1)))
    moves = np.hstack([own, np.repeat(doubt, len(hits), axis=0)])
    pull = 2 * (0.5 - float(rates.mean())) / (total + 2)
    made = average_over(rates, moves, n=total, bounds=(0.0, 1.0), pull=pull)
    return replace(made, method=made.method.replace("prompts", "samples"))
