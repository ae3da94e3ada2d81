"""Confidence sequences: intervals for an average that hold at every moment at once, so that anyone may look and stop at any time.

Given are terms `x_i` whose expectations `μ_i` (given all that came before) may drift, predictions `p_i` that were made before
`x_i` was drawn, and `|x_i − p_i| <= reach`. With S the sum of `x_i − μ_i` and V the sum of `(x_i − p_i)²`, the process
`exp(λ S − ψ(λ) V)`, ψ(λ) = (−log(1 − reach λ) − reach λ) / reach², is a supermartingale for every λ in [0, 1 / reach); so is any
mixture over λ, and it exceeds 1 / α at some time with probability at most α (Ville). With a gamma density over 1 − reach λ the
mixture has a closed form. No outcome needs to be independent of others or of the same distribution.

Source: Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of
Statistics 49 (2021): theorem 4 (empirical Bernstein), proposition 9 (gamma-exponential mixture). Written out here, because no
package fits (looked at in November 2026): `confseq`, the authors' own, must be compiled and was last released in January 2023;
`expectation` needs Python 3.12; `ville` 0.1 has sequences for a mean that does not drift, `savvi` for regressions and counts.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammainc, gammaln

Array = NDArray[np.float64]

STEPS_A_DECADE = 150
LEAST, MOST = 1e-3, 1e10
"""The grid of V on which a boundary is worked out; a V between two points gets the boundary of the larger (1.5 % more V)."""


def half_width(variance: ArrayLike, count: ArrayLike, *, alpha: float, reach: float, tightest: float) -> Array:
    """How far an average of `count` terms may lie from the average of their expectations, at any time, on either side.

    Args:
        variance: V, the sum of squared distances from the predictions, any shape.
        count: number of terms, same shape.
        alpha: the probability with which either side is ever left.
        reach: the largest possible distance of a term from its prediction.
        tightest: the V at which the interval shall be at its best; chosen before any outcome is seen.
    """
    return np.asarray(_boundary(variance, alpha / 2, reach, tightest) / np.maximum(count, 1))


def _boundary(variance: ArrayLike, alpha: float, reach: float, tightest: float) -> Array:
    """The sum that S leaves with probability `alpha` at most, one side, for each V."""
    grid, sums = _table(alpha, reach, tightest)
    at = np.searchsorted(grid, np.maximum(np.asarray(variance, dtype=float), LEAST))
    if np.any(at == len(grid)):
        raise ValueError(f"a confidence sequence is worked out up to V = {MOST:g}")
    return np.asarray(sums[at])


@lru_cache(maxsize=64)
def _table(alpha: float, reach: float, tightest: float) -> tuple[Array, Array]:
    """A grid of V and the boundary at each, by bisection of the mixture, which rises in S."""
    grid = np.geomspace(LEAST, MOST, 1 + round(np.log10(MOST / LEAST) * STEPS_A_DECADE))
    low, high = np.zeros_like(grid), 40 * (np.sqrt(grid * np.log(1 / alpha)) + reach * np.log(1 / alpha))
    for _ in range(60):
        middle = (low + high) / 2
        above = log_mixture(middle, grid, reach, _spread(tightest, alpha)) > np.log(1 / alpha)
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return grid, high


def _spread(tightest: float, alpha: float) -> float:
    """The mixture's parameter ρ that makes the boundary nearly the best at V = `tightest` (Howard et al., section 3.5)."""
    log = 2 * np.log(1 / (2 * alpha))
    return float(tightest / (log + np.log(1 + log)))


def log_mixture(total: Array, variance: Array, reach: float, spread: float) -> Array:
    """The logarithm of the mixture of exp(λ S − ψ(λ) V) over λ, for S >= 0; it is 0 at S = V = 0."""
    unit, start = reach * reach, spread / (reach * reach)
    shape = (variance + spread) / unit
    scale = (reach * total + variance + spread) / unit
    constant = start * np.log(start) - gammaln(start) - np.log(gammainc(start, start))
    gained = gammaln(shape) + np.log(gammainc(shape, scale)) - shape * np.log(scale)
    return np.asarray(constant + gained + (reach * total + variance) / unit)
