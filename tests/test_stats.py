"""Intervals: they agree with published examples, keep simple invariants, and cover the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from cavesson.estimate import Estimate
from cavesson.stats import (
    average_over,
    difference_over_seeds,
    independent_difference,
    influences,
    mean_ci,
    mean_over_seeds,
    paired_difference,
    tango,
    wilson,
)
from draws import least, most, simulated


def test_wilson_is_the_textbook_interval_away_from_the_ends() -> None:
    for k, n in ((10, 50), (25, 50), (0, 50), (200, 200), (120, 200)):
        theirs = scipy_stats.binomtest(k, n).proportion_ci(method="wilson")
        ours = wilson(k, n)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
        assert (ours.value, ours.n, ours.method) == (k / n, n, "Wilson")


def test_one_success_is_allowed_to_be_luck() -> None:
    plain = scipy_stats.binomtest(1, 50).proportion_ci(method="wilson")
    assert wilson(1, 50).low < plain.low / 2
    assert wilson(1, 50).low == pytest.approx(-np.log(0.95) / 50)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_value_and_treats_both_ends_alike(kn: tuple[int, int]) -> None:
    k, n = kn
    one, other = wilson(k, n), wilson(n - k, n)
    assert 0 <= one.low <= one.value <= one.high <= 1
    assert (other.low, other.high) == pytest.approx((1 - one.high, 1 - one.low))
    assert wilson(k, n, confidence=0.99).high >= one.high


@pytest.mark.parametrize("n", [50, 200, 1000])
@pytest.mark.parametrize("rates", [(0.002, 0.05), (0.05, 0.2), (0.3, 0.7), (0.95, 0.998)])
def test_wilson_covers_on_average_over_a_range_of_rates(n: int, rates: tuple[float, float]) -> None:
    """Coverage of any interval for a count oscillates with the true rate: exact here, averaged over the range."""
    truth = np.linspace(*rates, 400)
    ends = [wilson(k, n) for k in range(n + 1)]
    low, high = np.array([e.low for e in ends]), np.array([e.high for e in ends])
    chance = scipy_stats.binom.pmf(np.arange(n + 1), n, truth[:, None])
    coverage = (chance * ((low <= truth[:, None]) & (truth[:, None] <= high))).sum(axis=1)
    assert 0.93 <= coverage.mean() <= 0.97
    assert coverage.min() > 0.91  # plain Wilson falls to 0.84 here


@pytest.mark.parametrize(("k", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_a_rate_of_nothing_is_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="n >= 1"):
        wilson(k, n)


def test_newcombes_published_example() -> None:
    """Newcombe (1998), table II, case (a): 56/70 - 48/80, method 10."""
    found = independent_difference(wilson(56, 70), wilson(48, 80))
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-4)


def test_at_tangos_ends_the_score_is_that_of_95_percent() -> None:
    """Against a score statistic whose nuisance parameter is found by brute force instead of the closed form."""
    low, high = tango(np.array([12, 2]), np.array([2, 12]), 43)
    assert low[0] == pytest.approx(-high[1])
    for d in (low[0], high[0]):
        assert abs(_tango_score(12, 2, 43, float(d))) == pytest.approx(1.95996, abs=1e-3)


def _tango_score(b: int, c: int, n: int, d: float) -> float:
    q21 = np.linspace(max(0, -d) + 1e-9, (1 - d) / 2 - 1e-9, 400_001)
    likelihood = b * np.log(q21 + d) + c * np.log(q21) + (n - b - c) * np.log1p(-2 * q21 - d)
    best = q21[np.argmax(likelihood)]
    return float((b - c - n * d) / np.sqrt(n * (2 * best + d * (1 - d))))


def test_pairing_uses_what_the_two_have_in_common() -> None:
    a = np.array([1] * 90 + [0] * 110)
    b = np.array([1] * 80 + [0] * 120)
    paired = paired_difference(a, b)
    apart = independent_difference(wilson(90, 200), wilson(80, 200))
    assert paired.value == pytest.approx(apart.value) == pytest.approx(0.05)
    assert paired.low > 0 > apart.low


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_a_difference_turned_round_is_its_negative(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs).T
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert -1 <= there.low <= there.value <= there.high <= 1
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-6)


@pytest.mark.parametrize("rates", [(1.0, 0.03), (0.98, 0.02), (0.97, 0.93), (0.5, 0.4), (0.04, 0.08)])
def test_paired_differences_cover(rates: tuple[float, float]) -> None:
    rng, n = np.random.default_rng(1), 200
    a, b = (rng.random((4000, n)) < rate for rate in rates)
    up, down = (a & ~b).sum(axis=1), (~a & b).sum(axis=1)
    low, high = tango(up, down, n)
    truth = rates[0] - rates[1]
    assert 0.93 <= np.mean((low <= truth) & (truth <= high)) <= 0.975


def test_shapes_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="same prompts"):
        paired_difference([1, 0], [1])
    with pytest.raises(ValueError, match="prompts"):
        mean_ci([])
    with pytest.raises(ValueError, match="within"):
        mean_ci([0.2, 1.4])


def test_graded_scores_get_students_t_and_0_1_scores_get_wilson() -> None:
    assert mean_ci([1, 0, 1, 1]) == wilson(3, 4)
    graded = mean_ci(np.linspace(0.2, 0.6, 50))
    assert graded.low < 0.4 < graded.high
    assert graded.method == "Student's t over prompts"


@simulated(draws=300)
def test_graded_means_cover(draws: int) -> None:
    rng, hits = np.random.default_rng(2), 0
    for _ in range(draws):
        estimate = mean_ci(rng.beta(8, 1, size=50))
        hits += estimate.low <= 8 / 9 <= estimate.high
    assert least(draws, 0.95) <= hits <= most(draws, 0.97)


def test_the_squares_of_what_prompts_move_add_up_to_the_variance_of_the_mean() -> None:
    scores = np.random.default_rng(3).random((4, 30))
    moves = influences(scores, (0.0, 1.0), pseudo=0)
    assert (moves**2).sum(axis=1) == pytest.approx(scores.var(axis=1, ddof=1) / 30)
    assert moves[0] @ moves[1] == pytest.approx(np.cov(scores[0], scores[1])[0, 1] / 30)
    agreed = influences(np.ones((1, 30)), (0.0, 1.0))
    assert agreed.shape == (1, 32) and (agreed**2).sum() > 0  # the pseudo-prompts' doubt


def test_one_seed_says_what_it_leaves_out() -> None:
    scores = np.array([[1, 1, 0, 1] * 20])
    for estimate in (mean_over_seeds(scores), difference_over_seeds(scores, 1 - scores)):
        assert "one seed: variance between seeds is not included" in estimate.method
    assert mean_over_seeds(scores).low == mean_ci(scores[0]).low


def test_seeds_that_have_no_prompt_luck_in_common_get_the_plain_t_interval() -> None:
    """Many prompts, each seed at its own rate: the textbook interval over the means of the seeds."""
    means = np.array([0.2, 0.4, 0.5, 0.6, 0.9])
    found = mean_over_seeds(np.arange(10_000) % 100 < 100 * means[:, None])
    theirs = scipy_stats.t.interval(0.95, 4, loc=means.mean(), scale=scipy_stats.sem(means))
    assert (found.low, found.high) == pytest.approx(theirs, abs=2e-3)
    assert (found.replicates, found.each) == (5, pytest.approx(tuple(means)))


def test_an_interval_never_leaves_the_possible_range() -> None:
    apart = np.repeat([[1.0], [0.0], [1.0]], 20, axis=1)
    assert (mean_over_seeds(apart).low, mean_over_seeds(apart).high) == (0, 1)
    vague = mean_over_seeds(apart)
    assert vague.vague and str(vague) == "67 % (0–100 %, n = 20; one by one 0 · 100 · 100 %)"
    assert vague.plus(1, times=-1).each == (0, 1, 0)


def test_seeds_that_disagree_widen_the_interval() -> None:
    rng = np.random.default_rng(4)
    agreeing = (rng.random((3, 200)) < 0.5).astype(float)
    disagreeing = (rng.random((3, 200)) < np.array([[0.2], [0.5], [0.8]])).astype(float)
    wide, narrow = mean_over_seeds(disagreeing), mean_over_seeds(agreeing)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
    assert "3 seeds taken as random" in wide.method


@simulated(draws=200)
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_averages_over_three_seeds_cover_with_and_without_variance_between_them(spread: float, draws: int) -> None:
    rng, hits = np.random.default_rng(5), 0
    for _ in range(draws):
        levels = 1 / (1 + np.exp(-spread * rng.standard_normal((3, 1))))
        estimate = mean_over_seeds(rng.random((3, 100)) < levels)
        hits += estimate.low <= 0.5 <= estimate.high
    assert hits >= least(draws, 0.95)


def test_fixed_units_and_random_units_are_both_there_and_named() -> None:
    rng = np.random.default_rng(6)
    values = np.array([0.6, 0.7, 0.9])
    moves = 0.001 * rng.standard_normal((3, 100))
    fixed = average_over(values, moves, n=100, unit="pair", units="fixed")
    random = average_over(values, moves, n=100, unit="pair", units="random")
    assert (fixed.replicates, random.replicates, random.each) == (1, 3, (0.6, 0.7, 0.9))
    assert fixed.high - fixed.low < 0.03 < 0.3 < random.high - random.low
    assert "3 pairs taken as fixed" in fixed.method
    assert "3 pairs taken as random" in random.method


def test_independent_estimates_are_subtracted() -> None:
    found = independent_difference(Estimate(0.9, 0.85, 0.93, 100, "x"), Estimate(0.5, 0.4, 0.6, 100, "y"))
    assert found.value == pytest.approx(0.4)
    assert found.low == pytest.approx(0.4 - np.hypot(0.05, 0.1))
    assert found.high == pytest.approx(0.4 + np.hypot(0.03, 0.1))


def test_an_estimate_prints_with_its_interval_and_n() -> None:
    estimate = wilson(96, 100)
    assert str(estimate) == "96 % (90–98 %, n = 100)"
    assert estimate.brief.startswith("96 % (90–")
    turned = estimate.plus(1, times=-1)
    assert (turned.value, turned.low, turned.high) == pytest.approx((0.04, 1 - estimate.high, 1 - estimate.low))
