"""Intervals for the numbers that Cavesson reports: rates, differences between rates, and averages over seeds.

All functions are pure functions of numpy arrays, and closed forms: nothing is drawn at random, so that no verdict depends on a
random number. `benchmarks/coverage.py` measures how often each interval covers the truth; `docs/statistics.md` has the table.

Array axes: `prompts` are evaluation prompts, the same prompts in the same order for all arrays that are compared; `seeds` are
repetitions of the whole experiment; `units` are seeds, or whatever else is averaged over (pairs, organisms).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv, ndtri, stdtrit

from cavesson.estimate import ANY, Bounds, Estimate

Array = NDArray[np.float64]

# ----------------------------------------------------------------------------------------------- confidence


_SPENT: ContextVar[tuple[float, str]] = ContextVar(
    "share of its error that an interval may spend, and why", default=(1.0, "")
)


@contextmanager
def spending(share: float, said: str) -> Iterator[None]:
    """In this context every interval may miss the truth with only `share` of its error: 95 % becomes 99 % for a share of 0.2.

    For data that are looked at several times (`cavesson.studies.looks`): each look spends its share of one error. Inside such a
    context, a share is of what is left there: the worst of four organisms, at one of five looks, has a twentieth.

    Args:
        share: of the error; above 0.
        said: why, for the intervals' `method`.
    """
    left, why = _SPENT.get()
    token = _SPENT.set((left * share, "; ".join(filter(None, (why, said)))))
    try:
        yield
    finally:
        _SPENT.reset(token)


@contextmanager
def unspent() -> Iterator[None]:
    """In this context intervals have their whole error, whatever contexts are around it."""
    token = _SPENT.set((1.0, ""))
    try:
        yield
    finally:
        _SPENT.reset(token)


Of = Literal["seeds", "others"]
"""Random units: seeds, or whatever else an average is over (pairs, organisms)."""

_AS_WITH: ContextVar[tuple[Of, int] | None] = ContextVar(
    "kind and number of units that intervals are to be foretold for", default=None
)


@contextmanager
def as_with(count: int, of: Of = "seeds") -> Iterator[None]:
    """In this context, an interval over such units is as wide as with so many of them, if figure and spread stay as they are.

    What more of them do not change stays: the luck with prompts that all of them share, and the spread of other units.
    """
    token = _AS_WITH.set((of, count))
    try:
        yield
    finally:
        _AS_WITH.reset(token)


def error_of(confidence: float) -> float:
    """The probability with which an interval may miss: every interval takes its quantile from here, so that `spending` counts."""
    return (1 - confidence) * _SPENT.get()[0]


def at_confidence(confidence: float) -> str:
    """The end of an interval's `method`: nothing for 95 %, else ` at 99 %`, and why."""
    share, said = _SPENT.get()
    level = "" if confidence == 0.95 and share == 1 else f" at {100 * (1 - error_of(confidence)):.6g} %"
    return f"{level} ({said})" if said else level


# ----------------------------------------------------------------------------------------------- one rate


def wilson(k: int, n: int, *, confidence: float = 0.95) -> Estimate:
    """A rate `k / n` with the modified Wilson score interval.

    Within a few counts of 0 or n, the nearer end of Wilson's interval is too close to the rate: at n = 50 the interval covers
    a true rate of 0.4 % only 84 % of the time. There the end of a Poisson interval replaces Wilson's end. Source: Brown, Cai
    and DasGupta, "Interval estimation for a binomial proportion" (2001), the modified Wilson interval.

    Raises:
        ValueError: unless 0 <= k <= n and n >= 1.
    """
    if not (n >= 1 and 0 <= k <= n):
        raise ValueError(f"a rate needs 0 <= k <= n and n >= 1, not k = {k}, n = {n}")
    center, half = _wilson_center_and_half(k / n, n, _z(confidence))
    low, high = float(center - half), float(center + half)
    near_end = 2 if n <= 50 else 3
    if k <= near_end:
        low = min(low, _poisson_low(k, confidence) / n)
    if n - k <= near_end:
        high = max(high, 1 - _poisson_low(n - k, confidence) / n)
    return Estimate(k / n, max(low, 0.0), min(high, 1.0), n, f"Wilson{at_confidence(confidence)}")


def independent_difference(one: Estimate, two: Estimate) -> Estimate:
    """`one - two` from the two intervals alone, for estimates that share neither prompts nor seeds.

    The squared distances from value to end are added ("MOVER": Zou and Donner 2008). For two rates on different prompts this
    is Newcombe's method 10 (1998). For the same prompts use `paired_difference`.
    """
    value = one.value - two.value
    low = value - np.hypot(one.value - one.low, two.high - two.value)
    high = value + np.hypot(one.high - one.value, two.value - two.low)
    method = f"difference of independent estimates: {one.method}"
    fewest = min(one.replicates, two.replicates)
    return Estimate(value, float(low), float(high), one.n + two.n, method, replicates=fewest)


def _z(confidence: float) -> float:
    """Two-sided normal quantile."""
    return float(ndtri(1 - error_of(confidence) / 2))


def _wilson_center_and_half(rate: float, n: int, z: float) -> tuple[float, float]:
    shrink = 1 + z * z / n
    center = (rate + z * z / (2 * n)) / shrink
    return center, z / shrink * float(np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)))


def _poisson_low(k: int, confidence: float) -> float:
    """The mean at which a Poisson count of `k` or more has probability `1 - confidence` (0 for no counts)."""
    return float(gammaincinv(k, error_of(confidence))) if k else 0.0


# ----------------------------------------------------------------------------------------------- the same prompts twice


def paired_difference(a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """`mean(a) - mean(b)` over the same prompts, paired.

    0/1 scores get Tango's score interval. Compared with Wald, the bootstrap, Newcombe's method 10 and Bonett-Price, only
    Tango's interval covers within 93-97 % both near 0 and 1 and in the middle; see `docs/statistics.md`. Graded scores between
    0 and 1 get the interval of `mean_ci`.

    Args:
        a: scores, [prompts].
        b: scores of the same prompts in the same order, [prompts].
    """
    first, second = _paired(a, b)
    if _is_binary(first) and _is_binary(second):
        n, up, down = len(first), int(np.sum(first > second)), int(np.sum(first < second))
        low, high = tango(np.array([up]), np.array([down]), n, confidence=confidence)
        method = f"Tango, paired by prompt{at_confidence(confidence)}"
        return Estimate((up - down) / n, float(low[0]), float(high[0]), n, method)
    return mean_ci(first - second, bounds=(-1.0, 1.0), confidence=confidence)


def tango(up: ArrayLike, down: ArrayLike, n: int, *, confidence: float = 0.95) -> tuple[Array, Array]:
    """Score intervals for many paired differences at once.

    Source: Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design" (1998). The score falls as the difference grows, so bisection finds both ends.

    Args:
        up: numbers of prompts that score 1 in the first and 0 in the second, any shape.
        down: numbers of prompts the other way round, same shape.
        n: number of prompts.

    Returns:
        Lower and upper ends, in the shape of `up`.
    """
    ups, downs = np.asarray(up, dtype=float), np.asarray(down, dtype=float)
    z, value = _z(confidence), (ups - downs) / n

    def score(difference: Array) -> Array:
        b = (2 * n - ups + downs) * difference - ups - downs
        c = -downs * difference * (1 - difference)
        off = (np.sqrt(np.maximum(b * b - 8 * n * c, 0)) - b) / (4 * n)
        variance = n * (2 * off + difference * (1 - difference))
        return np.asarray((ups - downs - n * difference) / np.sqrt(np.maximum(variance, 1e-12)))

    def where_score_is(target: float, low: Array, high: Array) -> Array:
        for _ in range(50):
            middle = (low + high) / 2
            above = score(middle) > target
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return (low + high) / 2

    return where_score_is(z, np.full_like(value, -1.0), value), where_score_is(-z, value, np.full_like(value, 1.0))


def _paired(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.shape != second.shape or first.size == 0:
        raise ValueError(f"paired scores need the same prompts, but the shapes are {first.shape} and {second.shape}")
    return first, second


def _is_binary(scores: Array) -> bool:
    return bool(np.all((scores == 0) | (scores == 1)))


# ----------------------------------------------------------------------------------------------- graded scores


def mean_ci(scores: ArrayLike, *, bounds: Bounds = (0.0, 1.0), confidence: float = 0.95) -> Estimate:
    """The mean of per-prompt scores, [prompts]: Wilson for 0/1 scores, else Student's t with a pseudo-prompt at each bound.

    Raises:
        ValueError: there are no scores, or scores outside the bounds.
    """
    values = np.asarray(scores, dtype=float)
    if values.ndim != 1 or values.size == 0 or values.min() < bounds[0] or values.max() > bounds[1]:
        raise ValueError(f"needs scores of shape [prompts] within {bounds}, not shape {values.shape}")
    if bounds == (0.0, 1.0) and _is_binary(values):
        return wilson(int(values.sum()), len(values), confidence=confidence)
    found = _mean_of(values[None], bounds, 1, confidence)
    return replace(found, method=f"Student's t over prompts{at_confidence(confidence)}")


def influences(scores: Array, bounds: Bounds, *, pseudo: int = 1) -> Array:
    """How far each prompt moves the mean over prompts, [..., prompts + 2 * pseudo]: the variance is the sum of their squares.

    Covariances of means over the same prompts are sums of products. The pseudo-prompts, imagined ones at the bounds, come last.
    A statistic that is at its bound on every prompt has no spread; they restore the uncertainty (as in the intervals of Agresti
    and Coull, and of Bonett and Price), and enter the spread alone, never the value.

    Args:
        scores: [..., prompts].
        bounds: smallest and largest possible score.
        pseudo: number of imagined prompts at each bound.
    """
    imagined = np.broadcast_to(np.repeat(bounds, pseudo), (*scores.shape[:-1], 2 * pseudo))
    every = np.concatenate([scores, imagined], axis=-1)
    count = every.shape[-1]
    return np.asarray((every - every.mean(axis=-1, keepdims=True)) / np.sqrt(count * (count - 1)))


# ----------------------------------------------------------------------------------------------- seeds and prompts


def average_over(
    values: ArrayLike,
    moves: ArrayLike,
    *,
    n: int,
    unit: str = "seed",
    units: Literal["random", "fixed"] = "random",
    confidence: float = 0.95,
    bounds: Bounds = ANY,
    pull: float = 0.0,
) -> Estimate:
    """An average over units (seeds, or trigger/behaviour pairs), each of which was measured on sampled prompts.

    The interval has two sources of variance, the sample of units and the sample of prompts. The values of the units spread
    because units differ and because each answers the prompts in its own way: Student's t over the values holds both. What it
    cannot see is the luck with prompts that all units share (a prompt that is hard for every seed); that part has the variance
    of the mean over prompts, less what the units do not share. The two half-widths are added in squares ("MOVER": Zou and
    Donner 2008). *Fixed* units are the whole population of interest, so they add no variance.

    With one unit nothing is known about the variance between units; the interval leaves it out, and `method` says so.

    Args:
        values: the statistic of each unit, [units].
        moves: how far each prompt moves the same statistics (`influences`), [units, prompts]; the units share the prompts.
        n: number of prompts, for the estimate's `n`.
        unit: the name of a unit, for `method`.
        units: whether the units are a random sample, or fixed.
        bounds: the range that the interval cannot leave.
        pull: how far the pseudo-prompts shift the middle of the prompts' part, as in Agresti and Coull's interval.
    """
    each, moved = np.asarray(values, dtype=float), np.asarray(moves, dtype=float)
    if each.ndim != 1 or each.size == 0 or moved.ndim != 2 or len(moved) != len(each):
        raise ValueError(f"needs values [units] and moves [units, prompts], not {each.shape} and {moved.shape}")
    count, mean = len(each), float(each.mean())
    shared = float((moved.mean(axis=0) ** 2).sum())
    between = 0.0
    if count == 1:
        method = f"Student's t over prompts; one {unit}: variance between {unit}s is not included"
    elif units == "fixed":
        method = f"Student's t over prompts; {count} {unit}s taken as fixed"
    else:
        method = f"Student's t over prompts and {count} {unit}s taken as random"
        own = (float((moved**2).sum(axis=1).mean()) - shared) / (count - 1)  # of the mean: what the units do not share
        shared = max(shared - own, 0.0)
        kind, foretold = _AS_WITH.get() or ("", count)
        there = foretold if kind == ("seeds" if unit == "seed" else "others") else count
        between = _t(confidence, there - 1) * float(each.std(ddof=1)) / np.sqrt(there)
    half = _t(confidence, max(n - 1, 1)) * np.sqrt(shared)
    low, high = (np.hypot(between, max(half - pull * side, 0.0)) for side in (1, -1))
    return Estimate(
        mean,
        mean - float(low),
        mean + float(high),
        n,
        method + at_confidence(confidence),
        replicates=count if units == "random" else 1,
        each=tuple(each.tolist()),
    ).clipped(bounds)


def mean_over_seeds(scores: ArrayLike, *, bounds: Bounds = (0.0, 1.0), confidence: float = 0.95) -> Estimate:
    """The mean of scores averaged over seeds; prompts and seeds are both random.

    Args:
        scores: scores within `bounds`, [seeds, prompts] or for one seed [prompts]; the same prompts for every seed.
    """
    table = _seeds_by_prompts(scores)
    if len(table) == 1:
        return _one_seed(mean_ci(table[0], bounds=bounds, confidence=confidence))
    return _mean_of(table, bounds, 1, confidence)


def difference_over_seeds(a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """`mean(a) - mean(b)` averaged over seeds, paired by seed and by prompt.

    Args:
        a: scores within 0..1, [seeds, prompts] or for one seed [prompts].
        b: scores of the same prompts, in the shape of `a`; each seed is paired with the same seed of `a`.
    """
    first, second = _paired(_seeds_by_prompts(a), _seeds_by_prompts(b))
    if len(first) == 1:
        return _one_seed(paired_difference(first[0], second[0], confidence=confidence))
    return mean_over_seeds(first - second, bounds=(-1.0, 1.0), confidence=confidence)


def _mean_of(table: Array, bounds: Bounds, pseudo: int, confidence: float) -> Estimate:
    """The mean of scores, [seeds, prompts], with pseudo-prompts at the bounds, as far as seeds share their luck with prompts."""
    n, mean = table.shape[1], float(table.mean())
    pull = 2 * pseudo * ((bounds[0] + bounds[1]) / 2 - mean) / (n + 2 * pseudo)
    moves = influences(table, bounds, pseudo=pseudo)
    doubt = sharing(moves[:, :n])
    moves[:, n:] *= np.sqrt(doubt)
    return average_over(table.mean(axis=1), moves, n=n, confidence=confidence, bounds=bounds, pull=doubt * pull)


def sharing(moves: Array) -> float:
    """The share of the variance from prompts that all units have in common, of moves [units, prompts] without pseudo-prompts.

    The doubt of the pseudo-prompts counts in this share: where each seed has its own luck with a prompt, the spread of the
    seeds shows the luck already. At least one unit's part of the doubt stays, and all of it where no prompt moves anything.
    """
    count, together = len(moves), float((moves.mean(axis=0) ** 2).sum())
    if count == 1 or together < 1e-15:
        return 1.0
    own = (float((moves**2).sum(axis=1).mean()) - together) / (count - 1)
    return max(1 / count, 1 - own / together)


def _t(confidence: float, freedom: int) -> float:
    """Two-sided quantile of Student's t."""
    return _quantile_of_t(error_of(confidence), freedom)


@lru_cache(maxsize=1024)
def _quantile_of_t(error: float, freedom: int) -> float:
    return float(stdtrit(freedom, 1 - error / 2))


def _seeds_by_prompts(scores: ArrayLike) -> Array:
    table = np.atleast_2d(np.asarray(scores, dtype=float))
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"needs scores of shape [seeds, prompts], not {table.shape}")
    return table


def _one_seed(estimate: Estimate) -> Estimate:
    method = f"{estimate.method}; one seed: variance between seeds is not included"
    return replace(estimate, method=method, each=(estimate.value,))
