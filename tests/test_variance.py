"""Variance: its parts add up, and say how to split a budget."""

from __future__ import annotations

import numpy as np
import pytest

from cavesson.analysis.variance import by_pairs, decomposed, of_units


def made(rng: np.random.Generator, seeds: int, n: int, sds: tuple[float, float, float]) -> np.ndarray:
    parts = (rng.standard_normal((seeds, 1)), rng.standard_normal((1, n)), rng.standard_normal((seeds, n)))
    return sum(sd * part for sd, part in zip(sds, parts, strict=True))  # type: ignore[return-value]


def test_the_parts_that_went_in_come_out() -> None:
    found = decomposed(made(np.random.default_rng(0), 400, 400, (0.3, 0.2, 0.4)))
    assert (found.seeds, found.prompts, found.own) == pytest.approx((0.09, 0.04, 0.16), rel=0.15)
    assert sum(found.shares.values()) == pytest.approx(1) and found.shares["seeds"] > 0.99
    assert found.of_mean(400, 400) == pytest.approx(0.09 / 400 + 0.04 / 400, rel=0.2)


def test_few_prompts_are_enough_where_seeds_differ() -> None:
    differ = decomposed(made(np.random.default_rng(1), 50, 200, (0.3, 0.0, 0.4)))
    alike = decomposed(made(np.random.default_rng(1), 50, 200, (0.01, 0.0, 0.4)))
    assert differ.best_split(500.0, 10.0, 0.1) == (41, 20)
    assert alike.best_split(500.0, 10.0, 0.1)[1] > 20
    with pytest.raises(ValueError, match="two seeds"):
        differ.best_split(20.0, 10.0, 0.1)


def test_figures_without_prompts_have_the_spread_of_their_seeds() -> None:
    found = of_units([0.7, 0.8, 0.9], 60)
    assert found.sd_of_seeds == pytest.approx(0.1) and found.shares == {"seeds": 1, "prompts": 0, "own": 0}
    with pytest.raises(ValueError, match="two seeds"):
        of_units([0.7], 60)


def test_pairs_that_differ_hold_most_of_the_variance() -> None:
    rng = np.random.default_rng(2)
    table = (
        0.5 * rng.standard_normal((20, 1, 1))
        + 0.1 * rng.standard_normal((20, 4, 1))
        + rng.standard_normal((20, 4, 500))
    )
    shares = by_pairs(table)
    assert shares["pairs"] > 0.9 and sum(shares.values()) == pytest.approx(1)
