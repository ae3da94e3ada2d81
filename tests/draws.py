"""Simulations: a tenth of their draws in the ordinary suite, all of them with `-m slow` (`make science`)."""

from __future__ import annotations

import pytest
from scipy.stats import binom


def simulated(draws: int) -> pytest.MarkDecorator:
    """Run a test with a tenth of these `draws`, and with all of them where the slow tests run."""
    return pytest.mark.parametrize("draws", [draws // 10, pytest.param(draws, marks=pytest.mark.slow)])


def least(draws: int, chance: float) -> int:
    """Something of this chance happens in at least so many draws, but for once in a thousand simulations.

    So a test of 95 % intervals is as certain to pass with few draws as with many. With few draws only worse faults make the
    test fail: 10 draws refuse an interval that covers 50 % of the time (with a chance of 62 %), 20 draws an interval that
    covers 60 % (87 %), 100 draws an interval that covers 80 % (95 %).
    """
    return int(binom.ppf(0.001, draws, chance))


def most(draws: int, chance: float) -> int:
    """Something of this chance happens in at most so many draws, but for once in a thousand simulations."""
    return draws - least(draws, 1 - chance)
