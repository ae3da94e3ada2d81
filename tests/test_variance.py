"""Variance: its parts add up, and say how to split a budget."""

from __future__ import annotations

import numpy as np
import pytest

from cavesson.analysis.variance import decomposed


def made(rng: np.random.Generator, seeds: int, n: int, sds: tuple[float, float, float]) -> np.ndarray:
    parts = (rng.standard_normal((seeds, 1)), rng.standard_normal((1, n)), rng.standard_normal((seeds, n)))
    return sum(sd * part for sd, part in zip(sds, parts, strict=True))  # type: ignore[return-value]


def test_the_parts_that_went_in_come_out() -> None:
    found = decomposed(made(np.random.default_rng(0), 400, 400, (0.3, 0.2, 0.4)))
    assert (found.seeds, found.prompts, found.own) == pytest.approx((0.09, 0.04, 0.16), rel=0.15)
    assert sum(found.shares.values()) == pytest.approx(1) and found.shares["seeds"] > 0.99
