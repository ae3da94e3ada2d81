"""Contrasts: the share of a loss that comes back, and benchmarks of the same runs beside each other."""

from __future__ import annotations

import numpy as np
import pytest

from bridle.analysis.contrasts import FARTHEST, difference_across_prompts, share_regained
from bridle.stats import Array, independent_difference, mean_over_seeds

N = 200


def right(*rates: float) -> Array:
    """Of each seed, the first prompts score: [seeds, prompts]."""
    return np.array([[float(i < rate * N) for i in range(N)] for rate in rates])


def test_half_of_the_loss_is_half():
    share = share_regained(right(1, 1, 1), right(0.2, 0.2, 0.2), right(0.6, 0.6, 0.6))
    assert share.value == pytest.approx(0.5) and 0.4 < share.low < 0.5 < share.high < 0.6
    assert share.n == N and "Fieller" in share.method and "3 seeds" in share.method


def test_the_interval_holds_a_share_just_where_the_plain_contrast_holds_nothing():
    before, damaged, now = right(0.95, 0.95, 1), right(0.4, 0.5, 0.5), right(0.7, 0.8, 0.75)
    share = share_regained(before, damaged, now)
    for r, sign in ((share.low, 1), (share.high, -1)):
        for inside in (True, False):
            tried = r + (0.02 if inside else -0.02) * sign
            contrast = mean_over_seeds(now - tried * before - (1 - tried) * damaged, bounds=(-1, 1))
            assert (contrast.low <= 0 <= contrast.high) is inside


def test_a_seed_that_lost_next_to_nothing_does_not_decide():
    """Seed by seed the shares are 0.8, 0.8 and −10: their mean is nothing that happened."""
    share = share_regained(right(1, 1, 1), right(0.5, 0.5, 0.99), right(0.9, 0.9, 0.89))
    assert share.value == pytest.approx((0.4 + 0.4 - 0.1) / 1.01)


def test_where_little_was_lost_the_interval_is_as_wide_as_it_is_allowed_to_be():
    share = share_regained(right(1, 1, 1), right(0.995, 0.98, 0.995), right(1, 0.9, 1))
    assert (share.low, share.high) == pytest.approx((share.value - FARTHEST, share.value + FARTHEST))
    with pytest.raises(ValueError, match="nothing was lost"):
        share_regained(right(0.5), right(0.5), right(0.5))


def test_the_interval_covers_the_share_where_seeds_differ():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(100):
        back = np.clip(0.7 + 0.1 * rng.standard_normal(3), 0, 1)  # of 0.4 before recovery: half of the loss, on average
        hard = rng.random(N)
        damaged = np.tile((hard < 0.4).astype(float), (3, 1))
        now = np.maximum(damaged, rng.random((3, N)) < (back[:, None] - 0.4) / 0.6)
        share = share_regained(np.ones((3, N)), damaged, now)
        hits += share.low <= 0.5 <= share.high
    assert hits >= 90


def test_what_a_seed_does_to_both_benchmarks_is_no_difference_between_them():
    one, two = right(0.2, 0.5, 0.8) - 1, right(0.5, 0.8, 1.0) - 1
    together = difference_across_prompts(one, two)
    apart = independent_difference(*(mean_over_seeds(each, bounds=(-1, 1)) for each in (one, two)))
    assert together.value == pytest.approx(apart.value) and together.n == 2 * N
    assert together.high < 0 < apart.high


def test_the_prompts_of_two_benchmarks_are_drawn_apart():
    """The same scores under two names: were they drawn together, the difference would never vary."""
    found = difference_across_prompts(right(0.5, 0.5), right(0.5, 0.5))
    assert found.value == 0 and found.high - found.low > 0.15
    assert "one seed" in difference_across_prompts(right(0.5)[0], right(0.4)[0]).method
