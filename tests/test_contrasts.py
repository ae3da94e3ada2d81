"""Contrasts: the share of a loss that comes back, benchmarks of the same runs, the lowest of several means, choices on halves."""

from __future__ import annotations

import numpy as np
import pytest

from cavesson.analysis.contrasts import (
    auroc_over_seeds,
    chosen_elsewhere,
    correlation,
    difference_across_prompts,
    lowest_mean,
    lowest_rate,
    mean_over_clusters,
    rate_over_seeds,
    share_regained,
)
from cavesson.stats import Array, independent_difference, mean_over_seeds, wilson
from draws import least, most, simulated

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


def test_where_little_was_lost_the_interval_is_all_that_is_possible():
    """Of a loss of one point, from 1 to 0.99, at best all is back; at worst the rest of 0.99 is lost as well."""
    share = share_regained(right(1, 1, 1), right(0.995, 0.98, 0.995), right(1, 0.9, 1))
    assert (share.low, share.high) == pytest.approx((-99, 1), abs=0.01)
    with pytest.raises(ValueError, match="nothing was lost"):
        share_regained(right(0.5), right(0.5), right(0.5))


@simulated(draws=200)
def test_the_interval_covers_the_share_where_seeds_differ(draws: int):
    rng, hits = np.random.default_rng(0), 0
    for _ in range(draws):
        back = np.clip(0.7 + 0.1 * rng.standard_normal(3), 0, 1)  # of 0.4 before recovery: half of the loss, on average
        hard = rng.random(N)
        damaged = np.tile((hard < 0.4).astype(float), (3, 1))
        now = np.maximum(damaged, rng.random((3, N)) < (back[:, None] - 0.4) / 0.6)
        share = share_regained(np.ones((3, N)), damaged, now)
        hits += share.low <= 0.5 <= share.high
    assert hits >= least(draws, 0.95)


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


# ------------------------------------------------------------------------------------------------ scores above a control's


@simulated(draws=300)
def test_an_auroc_s_interval_holds_the_luck_with_the_control_as_well(draws: int):
    """All seeds share one control of 40 answers: its luck moves every seed's figure alike."""
    rng, hits, alone = np.random.default_rng(0), 0, 0
    for _ in range(draws):
        scores, control = rng.standard_normal((5, 40)), np.tile(rng.standard_normal(40), (5, 1))
        found = auroc_over_seeds(scores, control)
        half = mean_over_seeds((scores[:, :, None] > control[:, None]).mean(axis=2))
        assert found.value == pytest.approx(half.value)
        hits, alone = hits + (found.low <= 0.5 <= found.high), alone + (half.low <= 0.5 <= half.high)
    assert hits >= least(draws, 0.95) and alone < least(draws, 0.95)


def test_an_auroc_at_its_bound_is_no_certain_one():
    apart = auroc_over_seeds(np.ones((3, 40)), np.zeros((3, 40)))
    same = auroc_over_seeds(np.zeros((3, 40)), np.zeros((3, 40)))
    assert apart.high == 1 and 0.85 < apart.low < 0.99
    assert same.value == 0.5 and same.low < 0.46 < 0.54 < same.high


# ------------------------------------------------------------------------------------------------ the lowest of several


def changes(rng: np.random.Generator, means: list[float], spread: float) -> Array:
    """After minus before, [cases, 3 seeds, 60 prompts]: a case has its mean, a seed of it its own luck."""
    rates = np.array(means)[:, None, None] + spread * rng.standard_normal((len(means), 3, 1)) + 0.7
    return (rng.random((len(means), 3, 60)) < rates).astype(float) - (rng.random(60) < 0.7)


@simulated(draws=100)
@pytest.mark.parametrize("cases", [1, 8, 60])
def test_one_case_that_fell_is_found_among_many_and_none_where_none_did(cases: int, draws: int):
    rng, found = np.random.default_rng(0), {}
    for lowest in (0.0, -0.5):
        means = [lowest, *[0.0] * (cases - 1)]
        estimates = [lowest_mean(changes(rng, means, 0.03)) for _ in range(draws)]
        found[lowest] = sum(one.high < -0.05 for one in estimates)
        assert sum(one.low <= lowest <= one.high for one in estimates) >= least(draws, 0.95)
    assert found[0.0] <= most(draws, 0.05) and found[-0.5] >= least(draws, 0.95)


def test_the_lowest_mean_is_measured_where_it_was_not_chosen():
    rng = np.random.default_rng(1)
    tables = [changes(rng, [0.0] * 20, 0.05) for _ in range(20)]
    assert np.mean([table.mean(axis=(1, 2)).min() for table in tables]) < -0.08
    assert abs(np.mean([lowest_mean(table).value for table in tables])) < 0.04


def test_that_none_fell_takes_every_interval():
    calm, wild = np.zeros((3, 60)), np.stack([np.full(60, each) for each in (-0.5, 0.0, 0.4)])
    assert lowest_mean([calm, calm]).low > -0.1 > lowest_mean([calm, wild]).low
    alone = lowest_mean([wild])
    assert alone == mean_over_seeds(wild, bounds=(-1, 1))


def test_cases_chosen_for_a_fall_by_chance_do_not_come_back_by_chance():
    """Every rate is one half, whatever was done: the fall that chose a case is not there on the other prompts."""
    rng, naive, ours = np.random.default_rng(0), [], []
    for _ in range(100):
        before, after, then = (rng.random((3, 10, 3, 64)) < 0.5).astype(float)
        fell, weights = (after - before).mean(axis=(1, 2)) < -0.02, chosen_elsewhere(after - before, -0.02)
        naive.extend((then - after)[fell].mean(axis=(1, 2)))
        ours.extend(((then - after) * weights[:, None])[weights.any(axis=1)].mean(axis=(1, 2)))
    assert np.mean(naive) > 0.02 > 0.01 > abs(np.mean(ours))
    certain = chosen_elsewhere([np.full((3, 9), -0.5), np.zeros((3, 9))], -0.1)
    assert certain.tolist() == [[1.0] * 9, [0.0] * 9]


# ------------------------------------------------------------------------------------------------ correlations and counts


def test_a_correlation_is_of_the_cases_and_its_interval_of_seeds_prompts_and_groups():
    falls = np.linspace(0, 0.8, 8)
    one = np.stack([right(1 - fall, 1 - fall, 1 - fall) for fall in falls]) - 1
    groups = [0, 0, 1, 1, 2, 2, 3, 3]
    together, against = correlation(groups, one, one), correlation(groups, one, one[::-1])
    assert together.value > 0.99 and together.low > 0.9 and against.value < -0.99 and against.high < -0.9
    assert "jackknife over 4 groups" in together.method and "3 seeds" in together.method


def test_a_correlation_that_one_group_makes_is_no_certain_one():
    rng = np.random.default_rng(0)
    far = np.array([0.0, 0.0, 0.0, 0.0, 0.0, -0.9])
    one, two = (far[:, None, None] + 0.1 * rng.standard_normal((6, 3, 60)) for _ in "ab")
    found = correlation(range(6), one, two)
    assert found.value > 0.9 and found.low < 0.7


def test_a_rate_of_samples_that_each_seed_drew_for_itself():
    alike, apart = rate_over_seeds([30, 30, 30], [100, 100, 100]), rate_over_seeds([5, 30, 55], [100, 100, 100])
    assert alike.value == apart.value == pytest.approx(0.3) and alike.n == 300
    assert apart.high - apart.low > 2 * (alike.high - alike.low)
    alone = rate_over_seeds([30], [100])
    assert (alone.low, alone.high) == (wilson(30, 100).low, wilson(30, 100).high) and "one seed" in alone.method
    assert rate_over_seeds([0, 0, 0], [40, 40, 40]).high > 0.01


@simulated(draws=400)
@pytest.mark.parametrize("rate", [0.02, 0.98])
def test_a_rate_near_its_bound_is_covered(rate: float, draws: int):
    rng, hits = np.random.default_rng(0), 0
    for _ in range(draws):
        found = rate_over_seeds(rng.binomial(20, rate, size=5).tolist(), [20] * 5)
        hits += found.low <= rate <= found.high
    assert hits >= least(draws, 0.95)


def test_the_lowest_of_several_rates_is_shown_by_each_and_refuted_by_all_together():
    alone, many = lowest_rate([right(0.9, 0.9, 0.9)]), lowest_rate([right(0.9, 0.9, 0.9)] * 12)
    assert alone == mean_over_seeds(right(0.9, 0.9, 0.9))
    assert many.low == alone.low and many.high > alone.high and many.value == alone.value
    assert lowest_rate([right(1, 1, 1), right(0.5, 0.5, 0.5)]).value == 0.5


# ------------------------------------------------------------------------------------------------ prompts that belong together


def test_prompts_that_are_each_a_cluster_are_prompts():
    table = np.random.default_rng(0).random((5, 30))
    ours, plain = mean_over_clusters(table, range(30)), mean_over_seeds(table)
    assert (ours.value, ours.low, ours.high) == pytest.approx((plain.value, plain.low, plain.high))


@pytest.mark.parametrize("seeds", [1, 5])
def test_a_question_that_is_asked_ten_times_is_one_question(seeds: int):
    """Copies of the same answers say nothing new, whatever their number."""
    rng = np.random.default_rng(1)
    table = (rng.random((seeds, 40)) < rng.random(40)).astype(float)
    once, often = mean_over_seeds(table), mean_over_clusters(np.tile(table, 10), list(range(40)) * 10)
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high)) and often.n == 400


@simulated(600)
@pytest.mark.parametrize("alike", [0.0, 1.0])
def test_the_interval_holds_the_truth_where_settings_of_one_kind_move_together(alike: float, draws: int):
    """16 kinds of 1 to 6 settings, five seeds, most at 0 or 100 %: as if independent, the interval holds the truth in 71–79 %."""
    rng, rates, shares = np.random.default_rng(2), np.array([0.02, 0.3, 0.95]), [0.6, 0.2, 0.2]
    truth, held = float(rates @ shares), {"ours": 0, "plain": 0}
    for _ in range(draws):
        kinds = np.repeat(np.arange(16), rng.choice([1, 1, 1, 2, 2, 3, 4, 6], 16))
        of_kind, own = rng.choice(rates, 16, p=shares)[kinds], rng.choice(rates, len(kinds), p=shares)
        chance = np.where(rng.random(len(kinds)) < alike, of_kind, own)
        table = (rng.random((5, len(kinds))) < chance).astype(float)
        for name, found in (("ours", mean_over_clusters(table, kinds.tolist())), ("plain", mean_over_seeds(table))):
            held[name] += found.low <= truth <= found.high
    assert least(draws, 0.95) <= held["ours"]
    if alike:
        assert held["plain"] <= most(draws, 0.79)
