"""Values and mixtures of small zero-sum games: red chooses a row, blue a column, and the entry there is blue's payoff.

A game of finitely many moves has a value: blue can mix its columns so that it gets at least the value whatever red does, and
red can mix its rows so that blue gets no more (von Neumann 1928). Linear programs find both mixtures. Source: any textbook,
such as Osborne and Rubinstein, "A Course in Game Theory" (1994), chapter 2.

The solution of *measured* payoffs is biased. The best mixtures for measured payoffs also exploit the noise, and would not get
the same payoff again: the solved value is too high where blue has more moves, too low where red has more (the optimizer's
curse: Smith and Winkler, Management Science 52, 2006). So mixtures are *cross-fitted* here: solved on some seeds and prompts,
valued on others (Chernozhukov et al., "Double/debiased machine learning", Econometrics Journal 21, 2018). The payoffs of the
mixtures against the other side's best reply bound the value from below and from above, as in Mak, Morton and Wood
(Operations Research Letters 24, 1999).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cavesson.estimate import Estimate
from cavesson.stats import Array

TOLERANCE = 1e-9
"""Payoffs closer than this are the same."""

SPLITS = 6
"""Number of random halvings of the prompts; results are averages over the halvings."""


@dataclass(frozen=True, eq=False)
class Solution:
    """A solved game.

    Attributes:
        value: what blue gets when both play their mixtures.
        red, blue: the mixtures, [rows] and [columns]; any one where several are equally good.
    """

    value: float
    red: Array
    blue: Array


def solve(payoffs: ArrayLike) -> Solution:
    """Value and equilibrium of a zero-sum game: a saddle point if the game has one, else by linear programming (HiGHS).

    Args:
        payoffs: what blue gets, [rows, columns]: red chooses the row, blue the column.

    Raises:
        ValueError: there are no payoffs, or a payoff is not finite.
    """
    table = np.asarray(payoffs, dtype=float)
    if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
        raise ValueError(f"a game needs finite payoffs [rows, columns], not an array of shape {table.shape}")
    row, column = int(table.max(axis=1).argmin()), int(table.min(axis=0).argmax())
    if table[row].max() - table[:, column].min() <= TOLERANCE:
        rows, columns = table.shape
        return Solution(float(table[row, column]), np.eye(rows)[row], np.eye(columns)[column])
    value, blue = _maximin(table)
    _, red = _maximin(-table.T)
    return Solution(value, red, blue)


@dataclass(frozen=True, eq=False)
class Bracket:
    """A quantity of a game, prompt by prompt, with lower bounds and upper bounds.

    Only means over seeds and prompts have a meaning. In expectation, the lowest mean in `least` is at most the quantity, and
    the highest mean in `most` is at least the quantity.

    Attributes:
        value: the quantity, [seeds, prompts].
        least: lower bounds, [any number, seeds, prompts].
        most: upper bounds, [any number, seeds, prompts].
    """

    value: Array
    least: Array
    most: Array

    @classmethod
    def known(cls, payoffs: Array) -> Bracket:
        """A quantity that needs no choice and so has no bias, [seeds, prompts]."""
        return cls(payoffs, payoffs[None], payoffs[None])

    def __sub__(self, other: Bracket) -> Bracket:
        """The difference of two quantities on the same seeds and prompts."""

        def differences(bounds: Array, others: Array) -> Array:
            return (bounds[:, None] - others[None]).reshape(-1, *self.value.shape)

        return Bracket(
            self.value - other.value, differences(self.least, other.most), differences(self.most, other.least)
        )

    def estimate(self, mean: Callable[[Array], Estimate]) -> Estimate:
        """The quantity, with an interval that covers the quantity at least as often as the intervals of `mean` do.

        The quantity lies above a number beyond chance only if all of `least` do, so the lowest of their lower ends needs no
        correction for the number of bounds (the intersection-union test: Berger, Technometrics 24, 1982).

        Args:
            mean: the mean of scores [seeds, prompts] with its interval.
        """
        middle = mean(self.value)
        low = min(middle.value, *(mean(bound).low for bound in self.least))
        high = max(middle.value, *(mean(bound).high for bound in self.most))
        return replace(middle, low=low, high=high, method=f"cross-fitted mixtures, {middle.method}")


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """A game of measured payoffs, solved on some prompts and seeds and valued on others (a lone seed serves for both).

    Attributes:
        value: the payoff of the two mixtures against each other. Lower bounds: the payoffs of blue's mixture against each
            of red's rows; upper bounds: the payoffs of each of blue's columns against red's mixture. If all true payoffs
            are the same, the value has no bias.
        red, blue: the mixtures, averaged, [rows] and [columns].
    """

    value: Bracket
    red: Array
    blue: Array


def cross_fitted(payoffs: Array, strata: NDArray[np.int64], *, splits: int = SPLITS, seed: int = 0) -> CrossFitted:
    """Value a game on every prompt of every seed with mixtures solved on the other half of the prompts and the other seeds.

    Args:
        payoffs: measured payoffs, [rows, columns, seeds, prompts]; the payoff of a row and a column is their mean.
        strata: kind of each prompt, [prompts]; both halves get equally many prompts of each kind.
        splits: number of random halvings that are averaged.
        seed: of the halvings.

    Raises:
        ValueError: there are fewer than two prompts.
    """
    rows, columns, seeds, prompts = payoffs.shape
    if prompts < 2:
        raise ValueError("to solve a game on some prompts and value it on others takes at least two")
    red, blue = np.zeros((rows, seeds, prompts)), np.zeros((columns, seeds, prompts))
    between = np.zeros((seeds, prompts))
    rng = np.random.default_rng((seed, 3))
    for _ in range(splits):
        first = _half(strata, rng)
        for valued in (first, ~first):
            means = payoffs[..., ~valued].mean(axis=-1)
            for one in range(seeds):
                others = [other for other in range(seeds) if other != one] or [one]
                solution = solve(means[..., others].mean(axis=-1))
                red[:, one, valued] += solution.red[:, None] / splits
                blue[:, one, valued] += solution.blue[:, None] / splits
                paid = np.einsum("rcp,r,c->p", payoffs[:, :, one, valued], solution.red, solution.blue)
                between[one, valued] += paid / splits
    by_row = np.einsum("rcsp,csp->rsp", payoffs, blue)
    by_column = np.einsum("rcsp,rsp->csp", payoffs, red)
    return CrossFitted(Bracket(between, by_row, by_column), red.mean(axis=(1, 2)), blue.mean(axis=(1, 2)))


def _half(strata: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """A random half of the prompts, which holds half of each kind of prompt, [prompts]."""
    dealt = np.lexsort((rng.random(strata.size), strata))
    half = np.empty(strata.size, dtype=bool)
    half[dealt] = np.arange(strata.size) % 2 == 0
    return half


def _maximin(table: Array) -> tuple[float, Array]:
    """The highest payoff that the chooser of columns can guarantee, and the mixture of columns that guarantees it."""
    from scipy.optimize import linprog

    rows, columns = table.shape
    # variables: the mixture and the value v; maximise v subject to table @ mixture >= v
    found = linprog(
        c=np.append(np.zeros(columns), -1.0),
        A_ub=np.column_stack([-table, np.ones(rows)]),
        b_ub=np.zeros(rows),
        A_eq=np.append(np.ones(columns), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * columns + [(None, None)],
        method="highs",
    )
    assert found.success, found.message  # every finite game has a solution
    mixture = np.clip(found.x[:columns], 0, None)
    return float(found.x[columns]), mixture / mixture.sum()
