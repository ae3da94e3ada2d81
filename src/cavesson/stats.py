"""Intervals for the numbers that Cavesson reports: rates, differences between rates, and averages over seeds.

All functions are pure functions of numpy arrays; the same arguments and the same `seed` give the same interval.
`benchmarks/coverage.py` measures how often each interval covers the truth; `docs/statistics.md` has the table.

Array axes: `prompts` are evaluation prompts, the same prompts in the same order for all arrays that are compared; `seeds` are
repetitions of the whole experiment; `draws` are replicates of the bootstrap.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv, ndtri

Array = NDArray[np.float64]

DRAWS = 2000
"""Replicates of every bootstrap; the ends of a 95 % interval then vary by some 3 % of the interval's width."""


Unit = Literal["percent", "points", "plain"]
"""How a figure is written: a share (0.93, "93 %"), a difference of shares (-0.12, "−12 points"), a number ("0.85")."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number together with its interval, its sample size and its method.

    Attributes:
        value: the point estimate; a share is 0 to 1, a difference of shares -1 to 1.
        low, high: ends of the interval (95 % unless `method` says otherwise), in the unit of `value`.
        n: number of evaluation prompts behind the number (for averages over units of unequal size, of all units together).
        method: the kind of interval, and the variance that the interval leaves out, in words.
        unit: how the number is written.
    """

    value: float
    low: float
    high: float
    n: int
    method: str
    unit: Unit = "percent"

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def in_unit(self, unit: Unit) -> Estimate:
        """The same number, written in another unit."""
        return replace(self, unit=unit)

    def plus(self, shift: float, *, times: float = 1.0) -> Estimate:
        """The estimate of `times * x + shift`; the ends swap places when `times` is negative."""
        low, high = sorted((times * self.low + shift, times * self.high + shift))
        return replace(self, value=times * self.value + shift, low=low, high=high)

    def figure(self, number: float) -> str:
        """A number written in this estimate's unit, with the digits that its n supports."""
        digits = 1 if self.n >= 1000 else 0
        text = f"{abs(number):.{2 + digits}f}" if self.unit == "plain" else f"{abs(number) * 100:.{digits}f}"
        if not text.strip("0."):
            return text
        return ("−" if number < 0 else "+" if self.unit == "points" else "") + text

    def written(self, number: float) -> str:
        """A number with this estimate's unit: `93 %`, `−12 points` or `0.85`."""
        return self.figure(number) + {"percent": " %", "points": " points", "plain": ""}[self.unit]

    @property
    def short(self) -> str:
        """The value alone, for a table with the interval beside it."""
        return self.written(self.value)

    @property
    def brief(self) -> str:
        """`93 % (88–96 %)`, for a place with n beside it."""
        return f"{self.short} ({self.interval})"

    @property
    def interval(self) -> str:
        """`88–96 %`, `−18 to −6` or `0.80–0.90`."""
        low, high = self.figure(self.low), self.figure(self.high)
        between = " to " if low[0] in "−+" or high[0] in "−+" else "–"
        return low + between + high + (" %" if self.unit == "percent" else "")

    def __str__(self) -> str:
        """`93 % (88–96 %, n = 200)`, for a sentence."""
        return f"{self.short} ({self.interval}, n = {self.n})"


# ----------------------------------------------------------------------------------------------- confidence


_SPENT: ContextVar[tuple[float, str]] = ContextVar(
    "share of its error that an interval may spend, and why", default=(1.0, "")
)


@contextmanager
def spending(share: float, said: str) -> Iterator[None]:
    """In this context every interval may miss the truth with only `share` of its error: 95 % becomes 99 % for a share of 0.2.

    For data that are looked at several times (`cavesson.studies.looks`): each look spends its share of one error.

    Args:
        share: of the error; above 0.
        said: why, for the intervals' `method`.
    """
    token = _SPENT.set((share, said))
    try:
        yield
    finally:
        _SPENT.reset(token)


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
    return Estimate(value, float(low), float(high), one.n + two.n, f"difference of independent estimates: {one.method}")


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


def paired_difference(a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95, seed: int = 0) -> Estimate:
    """`mean(a) - mean(b)` over the same prompts, paired.

    0/1 scores get Tango's score interval. Compared with Wald, the bootstrap, Newcombe's method 10 and Bonett-Price, only
    Tango's interval covers within 93-97 % both near 0 and 1 and in the middle; see `docs/statistics.md`. Graded scores between
    0 and 1 get the bootstrap of `mean_ci`.

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
    return mean_ci(first - second, bounds=(-1.0, 1.0), confidence=confidence, seed=seed)


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


# ----------------------------------------------------------------------------------------------- bootstrap


@lru_cache(maxsize=4)  # a report needs the same weights dozens of times
def prompt_weights(n: int, *, draws: int = DRAWS, seed: int | tuple[int, ...] = 0, extra: int = 0) -> Array:
    """Random weights of the prompts for the Bayesian bootstrap (Rubin 1981), [draws, n + extra], read-only.

    Each row has mean 1. Every prompt has a positive weight in every draw, so no group of prompts is ever left out. The `extra`
    columns are for pseudo-prompts: a statistic that is at its bound on every prompt has no spread to resample, and two imagined
    prompts at the bounds restore the uncertainty (as in the intervals of Agresti and Coull, and of Bonett and Price).
    """
    weights = np.random.default_rng(seed).standard_exponential((draws, n + extra))
    weights /= weights.mean(axis=1, keepdims=True)
    weights.flags.writeable = False
    return np.asarray(weights)


def mean_ci(
    scores: ArrayLike, *, bounds: tuple[float, float] = (0.0, 1.0), confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """The mean of per-prompt scores, [prompts]: Wilson for 0/1 scores, else bootstrap with a pseudo-prompt at each bound.

    Raises:
        ValueError: there are no scores, or scores outside the bounds.
    """
    values = np.asarray(scores, dtype=float)
    if values.ndim != 1 or values.size == 0 or values.min() < bounds[0] or values.max() > bounds[1]:
        raise ValueError(f"needs scores of shape [prompts] within {bounds}, not shape {values.shape}")
    if bounds == (0.0, 1.0) and _is_binary(values):
        return wilson(int(values.sum()), len(values), confidence=confidence)
    draws = mean_draws(values, bounds, seed=seed)
    return from_draws(
        float(values.mean()), draws, n=len(values), method="bootstrap over prompts", confidence=confidence
    )


def from_draws(value: float, draws: Array, *, n: int, method: str, confidence: float = 0.95) -> Estimate:
    """The percentile interval of `draws`, [draws], widened to include `value` if necessary."""
    tail = error_of(confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(value, min(float(low), value), max(float(high), value), n, method + at_confidence(confidence))


def mean_draws(
    scores: Array, bounds: tuple[float, float], *, pseudo: int = 1, draws: int = DRAWS, seed: int = 0
) -> Array:
    """Bootstrap replicates of means over prompts, [..., draws]; all means share the weights of each draw.

    Args:
        scores: [..., prompts].
        bounds: smallest and largest possible score.
        pseudo: number of imagined prompts at each bound; they keep an interval open when all real prompts agree.
    """
    imagined = np.broadcast_to(np.repeat(bounds, pseudo), (*scores.shape[:-1], 2 * pseudo))
    weights = prompt_weights(scores.shape[-1], draws=draws, extra=2 * pseudo, seed=seed).T
    return np.asarray(np.concatenate([scores, imagined], axis=-1) @ weights / len(weights))


# ----------------------------------------------------------------------------------------------- seeds and prompts


def average_over(
    values: ArrayLike,
    draws: ArrayLike,
    *,
    n: int,
    unit: str = "seed",
    units: Literal["random", "fixed"] = "random",
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """An average over units (seeds, or trigger/behaviour pairs), each of which was measured on sampled prompts.

    The interval has two sources of variance: the sample of prompts (the given replicates) and, for random units, the sample of
    units. The plain two-level bootstrap, which resamples the units with replacement, covers only some 80 % with three seeds if
    seeds matter, and counts the variance of prompts twice if they do not. Here the variance between units is drawn from the
    chi-square distribution that the observed variance allows, after the part that the sampled prompts explain is subtracted:
    few units give a wide interval. *Fixed* units are the whole population of interest, so they add no variance.

    With one unit nothing is known about the variance between units; the interval leaves it out, and `method` says so.

    Args:
        values: the statistic of each unit, [units].
        draws: bootstrap replicates over prompts of the same statistics, [units, draws]; units that share prompts share the
            weights of each draw.
        n: number of prompts, for the estimate's `n`.
        unit: the name of a unit, for `method`.
        units: whether the units are a random sample, or fixed.
    """
    each, replicates = np.asarray(values, dtype=float), np.asarray(draws, dtype=float)
    if each.ndim != 1 or each.size == 0 or replicates.ndim != 2 or len(replicates) != len(each):
        raise ValueError(f"needs values [units] and draws [units, draws], not {each.shape} and {replicates.shape}")
    count, means = len(each), replicates.mean(axis=0)
    if count == 1:
        method = f"bootstrap over prompts; one {unit}: variance between {unit}s is not included"
    elif units == "fixed":
        method = f"bootstrap over prompts; {count} {unit}s taken as fixed"
    else:
        method = f"two-level bootstrap: prompts and {count} {unit}s taken as random"
        means = means + _unit_noise(each, replicates, seed)
    return from_draws(float(each.mean()), means, n=n, method=method, confidence=confidence)


def mean_over_seeds(
    scores: ArrayLike, *, bounds: tuple[float, float] = (0.0, 1.0), confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """The mean of scores averaged over seeds; prompts and seeds are both random.

    Args:
        scores: scores within `bounds`, [seeds, prompts] or for one seed [prompts]; the same prompts for every seed.
    """
    table = _seeds_by_prompts(scores)
    if len(table) == 1:
        return _one_seed(mean_ci(table[0], bounds=bounds, confidence=confidence, seed=seed))
    draws = mean_draws(table, bounds, pseudo=2 if bounds == (0.0, 1.0) else 1, seed=seed)
    made = average_over(table.mean(axis=1), draws, n=table.shape[1], confidence=confidence, seed=seed)
    return replace(made, low=max(made.low, bounds[0]), high=min(made.high, bounds[1]))


def difference_over_seeds(a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95, seed: int = 0) -> Estimate:
    """`mean(a) - mean(b)` averaged over seeds, paired by seed and by prompt.

    Args:
        a: scores within 0..1, [seeds, prompts] or for one seed [prompts].
        b: scores of the same prompts, in the shape of `a`; each seed is paired with the same seed of `a`.
    """
    first, second = _paired(_seeds_by_prompts(a), _seeds_by_prompts(b))
    if len(first) == 1:
        return _one_seed(paired_difference(first[0], second[0], confidence=confidence, seed=seed))
    return mean_over_seeds(first - second, bounds=(-1.0, 1.0), confidence=confidence, seed=seed)


def _unit_noise(values: Array, draws: Array, seed: int) -> Array:
    """Draws of the error from the sample of units, [draws].

    The observed variance of the values is the variance between units plus `noise`, the part of the variance of prompts that
    the units do not share (for units on the same prompts, the shared part cancels).
    """
    count, rng = len(values), np.random.default_rng((seed, 1))
    observed = values.var(ddof=1)
    noise = max(float(draws.var(axis=1).mean() - draws.mean(axis=0).var()), 0.0) * count / (count - 1)
    possible = observed * (count - 1) / rng.chisquare(count - 1, draws.shape[1])
    between = np.maximum(possible - noise, 0)
    return np.asarray(np.sqrt(between / count) * rng.standard_normal(draws.shape[1]))


def _seeds_by_prompts(scores: ArrayLike) -> Array:
    table = np.atleast_2d(np.asarray(scores, dtype=float))
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"needs scores of shape [seeds, prompts], not {table.shape}")
    return table


def _one_seed(estimate: Estimate) -> Estimate:
    method = f"{estimate.method}; one seed: variance between seeds is not included"
    return replace(estimate, method=method)
