"""Small zero-sum games in which red chooses a row, blue a column, and blue is paid what stands there: value and mixtures.

A game of finitely many moves has a value: blue can mix its columns so that it gets at least that much whatever red does, and
red its rows so that blue gets no more (von Neumann 1928). Both mixtures are linear programs. Source: any textbook, such as
Osborne and Rubinstein, "A Course in Game Theory" (1994), chapter 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bridle.stats import Array

TOLERANCE = 1e-7
"""Payoffs closer than this are the same."""


@dataclass(frozen=True, eq=False)
class Solution:
    """A solved game.

    Attributes:
        value: what blue gets when both play their mixtures.
        red, blue: the mixtures, [rows] and [columns]. Where several are as good, one of them.
        payoffs: blue's, [rows, columns].
    """

    value: float
    red: Array
    blue: Array
    payoffs: Array

    @property
    def red_replies(self) -> list[int]:
        """Rows that are a best answer to blue's mixture."""
        against = self.payoffs @ self.blue
        return [int(row) for row in np.flatnonzero(against <= against.min() + TOLERANCE)]

    @property
    def blue_replies(self) -> list[int]:
        """Columns that are a best answer to red's mixture."""
        against = self.red @ self.payoffs
        return [int(column) for column in np.flatnonzero(against >= against.max() - TOLERANCE)]

    @property
    def exploitability(self) -> float:
        """What the two could gain, together, by leaving their mixtures: 0 in equilibrium."""
        return exploitability(self.payoffs, self.red, self.blue)


def exploitability(payoffs: ArrayLike, red: ArrayLike, blue: ArrayLike) -> float:
    """What red and blue gain together by the best answers to each other's mixtures.

    Args:
        payoffs: blue's, [rows, columns].
        red: red's mixture, [rows].
        blue: blue's mixture, [columns].
    """
    table, rows, columns = (np.asarray(one, dtype=float) for one in (payoffs, red, blue))
    return float((rows @ table).max() - (table @ columns).min())


def solve(payoffs: ArrayLike) -> Solution:
    """Value and equilibrium of a zero-sum game, by linear programming (HiGHS).

    Args:
        payoffs: what blue gets, [rows, columns]: red chooses the row, blue the column.

    Raises:
        ValueError: no payoffs, or one that is not finite.
    """
    table = _checked(payoffs)
    value, blue = _maximin(table)
    _, red = _maximin(-table.T)
    return Solution(value=value, red=red, blue=blue, payoffs=table)


def game_value(payoffs: ArrayLike) -> float:
    """The value alone; a saddle point in pure moves needs no program."""
    table = _checked(payoffs)
    low, high = table.min(axis=0).max(), table.max(axis=1).min()
    return float(low) if high - low <= TOLERANCE else _maximin(table)[0]


def joint_draws(values: ArrayLike, draws: ArrayLike, *, seed: int = 0) -> Array:
    """Replicates of payoffs averaged over seeds, by the chance of prompts and of seeds, alike for all cells.

    The prompts' chance is in `draws`; cells and seeds that share prompts share the weights of each draw. That of the seeds is
    drawn from what their observed spread allows (Student's t with seeds − 1 degrees of freedom), each draw moving all cells
    along the same seeds, so that what moves them together is not taken for a difference between them. What sampled prompts
    explain of the spread is not taken away, which makes intervals a little wide. One seed says nothing about the spread: it
    is left out.

    Args:
        values: payoffs of each seed, [seeds, …].
        draws: their replicates over prompts, [seeds, …, draws].

    Returns:
        [… , draws]
    """
    each, replicates = np.asarray(values, dtype=float), np.asarray(draws, dtype=float)
    if replicates.shape[:-1] != each.shape or not each.size:
        raise ValueError(
            f"needs values [seeds, …] and draws [seeds, …, draws], not {each.shape} and {replicates.shape}"
        )
    seeds, count = len(each), replicates.shape[-1]
    means = replicates.mean(axis=0)
    if seeds == 1:
        return np.asarray(means)
    rng = np.random.default_rng((seed, 2))
    wide = np.sqrt((seeds - 1) / rng.chisquare(seeds - 1, count))
    along = rng.standard_normal((seeds, count)) * wide / np.sqrt(seeds * (seeds - 1))
    return np.asarray(means + np.tensordot(np.moveaxis(each - each.mean(axis=0), 0, -1), along, axes=1))


def value_draws(draws: ArrayLike) -> Array:
    """The value of every replicate of a game, [draws].

    Args:
        draws: blue's payoffs, [rows, columns, draws], as `joint_draws` gives them.
    """
    return np.array([game_value(table) for table in np.moveaxis(np.asarray(draws, dtype=float), -1, 0)])


def _checked(payoffs: ArrayLike) -> Array:
    table = np.asarray(payoffs, dtype=float)
    if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
        raise ValueError(f"a game needs finite payoffs [rows, columns], not an array of shape {table.shape}")
    return table


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
