"""Small zero-sum games in which red chooses a row, blue a column, and blue is paid what stands there: value and mixtures.

A game of finitely many moves has a value: blue can mix its columns so that it gets at least that much whatever red does, and
red its rows so that blue gets no more (von Neumann 1928). Both mixtures are linear programs. Source: any textbook, such as
Osborne and Rubinstein, "A Course in Game Theory" (1994), chapter 2.

Payoffs that were *measured* have no such value of their own. The best mixtures for them are the best for their noise too, and
what they pay there is what they would not pay again: too much where blue has the more moves, too little where red has (the
optimizer's curse: Smith and Winkler, Management Science 52, 2006). So mixtures are *cross-fitted* here: solved on some seeds
and prompts, paid on others (Chernozhukov et al., "Double/debiased machine learning", Econometrics Journal 21, 2018). What
they pay against the other side's best reply bounds the value from below and from above, as in Mak, Morton and Wood
(Operations Research Letters 24, 1999).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cavesson.stats import Array, Estimate

TOLERANCE = 1e-9
"""Payoffs closer than this are the same."""

SPLITS = 6
"""Random halvings of the prompts that are averaged."""


@dataclass(frozen=True, eq=False)
class Solution:
    """A solved game.

    Attributes:
        value: what blue gets when both play their mixtures.
        red, blue: the mixtures, [rows] and [columns]. Where several are as good, one of them.
    """

    value: float
    red: Array
    blue: Array


def solve(payoffs: ArrayLike) -> Solution:
    """Value and equilibrium of a zero-sum game: a saddle point where there is one, else by linear programming (HiGHS).

    Args:
        payoffs: what blue gets, [rows, columns]: red chooses the row, blue the column.

    Raises:
        ValueError: no payoffs, or one that is not finite.
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
    """A quantity of games, prompt by prompt, between two sets of quantities of which one lies below it and one above.

    Only means over seeds and prompts mean something. The lowest mean in `least` is, in expectation, at most the quantity, and
    the highest in `most` at least.

    Attributes:
        value: the quantity, [seeds, prompts].
        least: [any number, seeds, prompts].
        most: [any number, seeds, prompts].
    """

    value: Array
    least: Array
    most: Array

    @classmethod
    def known(cls, payoffs: Array) -> Bracket:
        """What takes no choice, [seeds, prompts]."""
        return cls(payoffs, payoffs[None], payoffs[None])

    def __sub__(self, other: Bracket) -> Bracket:
        """The difference of two quantities on the same seeds and prompts."""

        def differences(from_: Array, taken: Array) -> Array:
            return (from_[:, None] - taken[None]).reshape(-1, *self.value.shape)

        return Bracket(
            self.value - other.value, differences(self.least, other.most), differences(self.most, other.least)
        )

    def estimate(self, mean: Callable[[Array], Estimate]) -> Estimate:
        """The quantity, with an interval that covers it at least as often as those of `mean`.

        A bound from below lies beyond chance above some number only if all of `least` do, so the lowest lower end holds
        without any correction for their number (the intersection-union test: Berger, Technometrics 24, 1982).

        Args:
            mean: the mean of [seeds, prompts] with its interval.
        """
        middle = mean(self.value)
        low = min(middle.value, *(mean(one).low for one in self.least))
        high = max(middle.value, *(mean(one).high for one in self.most))
        return Estimate(middle.value, low, high, middle.n, f"cross-fitted mixtures, {middle.method}")


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """A game of measured payoffs, valued on other prompts (and seeds, where there are several) than it was solved on.

    Attributes:
        value: what the two mixtures pay against each other; between what blue's gets from each of red's rows and what red's
            leaves to each of blue's columns. True payoffs that are all the same are valued without bias.
        red, blue: the mixtures, averaged, [rows] and [columns].
    """

    value: Bracket
    red: Array
    blue: Array


def cross_fitted(payoffs: Array, strata: NDArray[np.int64], *, splits: int = SPLITS, seed: int = 0) -> CrossFitted:
    """Value a game on every prompt of every seed with mixtures that were solved on the other half of the prompts and the
    other seeds; many random halvings are averaged.

    Args:
        payoffs: measured ones, [rows, columns, seeds, prompts]; a cell's payoff is their mean.
        strata: kind of each prompt, [prompts]; every half gets as many of each kind.
        seed: of the halvings.
    """
    rows, columns, seeds, prompts = payoffs.shape
    if prompts < 2:
        raise ValueError("to solve a game on some prompts and value it on others takes at least two")
    red, blue = np.zeros((rows, seeds, prompts)), np.zeros((columns, seeds, prompts))
    between = np.zeros((seeds, prompts))
    rng = np.random.default_rng((seed, 3))
    for _ in range(splits):
        first = _half(strata, rng)
        for here in (first, ~first):
            elsewhere = payoffs[..., ~here].mean(axis=-1)
            for one in range(seeds):
                others = [other for other in range(seeds) if other != one] or [one]
                solution = solve(elsewhere[..., others].mean(axis=-1))
                red[:, one, here] += solution.red[:, None] / splits
                blue[:, one, here] += solution.blue[:, None] / splits
                paid = np.einsum("rcp,r,c->p", payoffs[:, :, one, here], solution.red, solution.blue)
                between[one, here] += paid / splits
    by_row = np.einsum("rcsp,csp->rsp", payoffs, blue)
    by_column = np.einsum("rcsp,rsp->csp", payoffs, red)
    return CrossFitted(Bracket(between, by_row, by_column), red.mean(axis=(1, 2)), blue.mean(axis=(1, 2)))


def _half(strata: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """A random half of the prompts, and of each kind of them."""
    dealt = np.lexsort((rng.random(strata.size), strata))
    half = np.empty(strata.size, dtype=bool)
    half[dealt] = np.arange(strata.size) % 2 == 0
    return half


def _maximin(table: Array) -> tuple[float, Array]:
    """The best that the chooser of columns can be sure of, and the mixture of columns that gets it."""
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
