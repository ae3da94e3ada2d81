"""Matrix games: known values and mixtures, what must hold of every game, and what noise in the payoffs does to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cavesson.analysis.matrix_game import Bracket, cross_fitted, solve
from cavesson.estimate import Estimate
from cavesson.stats import Array, mean_over_seeds
from draws import least, simulated

TABLES = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: arrays(float, shape, elements=st.floats(0, 1).map(lambda x: round(x, 3)))
)


def exploitability(payoffs: Array, red: Array, blue: Array) -> float:
    """What the two gain together by the best answers to each other's mixtures."""
    return float((red @ payoffs).max() - (payoffs @ blue).min())


def test_matching_pennies_is_worth_nothing_and_both_toss_a_coin():
    found = solve([[1, -1], [-1, 1]])
    assert found.value == pytest.approx(0)
    assert found.red == pytest.approx([0.5, 0.5]) and found.blue == pytest.approx([0.5, 0.5])


def test_rock_paper_scissors_is_played_at_random():
    found = solve([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    assert found.value == pytest.approx(0) and found.red == pytest.approx([1 / 3] * 3)
    assert found.blue == pytest.approx([1 / 3] * 3)


def test_two_by_two_without_a_saddle_point_has_the_textbook_mixture():
    found = solve([[3, 0], [1, 2]])
    assert found.value == pytest.approx(1.5)
    assert found.red == pytest.approx([0.25, 0.75]) and found.blue == pytest.approx([0.5, 0.5])


def test_dominated_moves_are_not_played():
    found = solve([[0.2, 0.5, 0.1], [0.9, 0.9, 0.8], [0.3, 0.4, 0.0]])  # row 1 pays blue most, column 1 too
    assert found.red[1] == 0 and found.blue == pytest.approx([0, 1, 0])
    assert found.value == pytest.approx(0.4) and found.red == pytest.approx([0, 0, 1])


def test_a_game_of_one_move_is_worth_its_payoff():
    assert solve([[0.7]]).value == pytest.approx(0.7)


@given(table=TABLES)
def test_the_value_lies_between_maximin_and_minimax_and_nobody_gains_by_leaving(table):
    found = solve(table)
    assert table.min(axis=0).max() - 1e-6 <= found.value <= table.max(axis=1).min() + 1e-6
    assert exploitability(table, found.red, found.blue) == pytest.approx(0, abs=1e-6)
    assert found.red.sum() == pytest.approx(1) and found.blue.min() >= 0


@given(table=TABLES, shift=st.floats(-2, 2), times=st.floats(0.1, 5))
def test_shifting_and_stretching_the_payoffs_shifts_and_stretches_the_value(table, shift, times):
    assert solve(times * table + shift).value == pytest.approx(times * solve(table).value + shift, abs=1e-5)


@given(table=TABLES)
def test_swapping_the_players_turns_the_sign(table):
    assert solve(-table.T).value == pytest.approx(-solve(table).value, abs=1e-6)


@given(table=TABLES, data=st.data())
def test_a_further_move_never_hurts_whoever_has_it(table, data):
    column = data.draw(arrays(float, (len(table), 1), elements=st.floats(0, 1)))
    assert solve(np.hstack([table, column])).value >= solve(table).value - 1e-6


@pytest.mark.parametrize("table", [[], [1.0, 2.0], [[np.nan]], [[np.inf, 0]]])
def test_what_is_no_game_is_refused(table):
    with pytest.raises(ValueError, match="finite payoffs"):
        solve(table)


# ------------------------------------------------------------------------------------------------ measured payoffs

ALL_ALIKE = np.zeros(60, dtype=np.int64)
"""Prompts of one kind."""


def noisy(rng: np.random.Generator, true: Array, seeds: int = 3, prompts: int = 60) -> Array:
    """Measured payoffs, [rows, columns, seeds, prompts]: chance of training, of the prompts, and of each answer."""
    shape = (*true.shape, seeds, prompts)
    chances = ((0.05, (*shape[:3], 1)), (0.2, (*shape[:2], 1, prompts)), (0.3, shape), (0.3, (1, 1, 1, prompts)))
    return true[..., None, None] + sum(size * rng.standard_normal(which) for size, which in chances)


def mean(payoffs: Array) -> Estimate:
    return mean_over_seeds(payoffs, bounds=(-3, 3))


@simulated(draws=100)
@pytest.mark.parametrize(("shape", "bias"), [((1, 6), 1), ((6, 1), -1), ((2, 5), 1)])
def test_equal_payoffs_with_noise_are_not_worth_more_to_whoever_has_more_moves(
    shape: tuple[int, int], bias: int, draws: int
):
    rng = np.random.default_rng(2)
    games = [noisy(rng, np.full(shape, 0.2)) for _ in range(100)]
    as_measured = np.array([solve(payoffs.mean(axis=(2, 3))).value for payoffs in games])
    fitted = [cross_fitted(payoffs, ALL_ALIKE, splits=2).value.estimate(mean) for payoffs in games[:draws]]
    values = np.array([found.value for found in fitted])
    assert (
        bias * np.mean(as_measured - 0.2) > 3 * as_measured.std() / 10
    )  # the best mixtures for the noise, paid in the noise
    assert abs(np.mean(values - 0.2)) < 3 * values.std() / np.sqrt(draws)
    assert sum(found.low <= 0.2 <= found.high for found in fitted) >= least(draws, 0.95)


@simulated(draws=100)
def test_the_interval_covers_the_value_of_a_game_without_saddle_point(draws: int):
    true, covered = np.array([[0.9, 0.1], [0.2, 0.7]]), 0
    rng, value = np.random.default_rng(3), solve(true).value
    for _ in range(draws):
        found = cross_fitted(noisy(rng, true), ALL_ALIKE, splits=2).value.estimate(mean)
        covered += found.low <= value <= found.high
    assert covered >= least(draws, 0.95)


def test_payoffs_without_noise_are_worth_what_they_are_worth_and_a_clear_game_is_played_purely():
    true = np.array([[0.2, 0.5, 0.1], [0.9, 0.9, 0.8], [0.3, 0.4, 0.0]])
    found = cross_fitted(np.tile(true[..., None, None], (1, 1, 2, 60)), ALL_ALIKE)
    assert found.value.value == pytest.approx(np.full((2, 60), 0.4))
    assert found.red == pytest.approx([0, 0, 1]) and found.blue == pytest.approx([0, 1, 0])
    assert found.value.least.min() == pytest.approx(0.4) and found.value.most.max() == pytest.approx(0.4)


def test_mixtures_are_solved_on_other_prompts_and_seeds_than_they_are_paid_on():
    lucky = np.zeros((1, 2, 2, 60))
    lucky[0, 0, 0] = 1  # the first column pays, but in the first seed alone
    lucky[0, 1] = 0.5
    paid = cross_fitted(lucky, ALL_ALIKE).value.value
    assert paid[0] == pytest.approx(np.full(60, 0.5)) and paid[1] == pytest.approx(np.zeros(60))


def test_halves_hold_as_many_prompts_of_each_kind():
    kinds = np.array([0] * 20 + [1] * 4)
    payoffs = np.zeros((1, 2, 1, 24))
    payoffs[0, 0, 0, kinds == 1] = 5  # were a half to hold none of them, it would choose the other column
    payoffs[0, 1] = 0.5
    assert cross_fitted(payoffs, kinds).blue == pytest.approx([1, 0])


def test_a_difference_of_games_is_bounded_by_the_worst_of_one_and_the_best_of_the_other():
    def exact(payoffs: Array) -> Estimate:
        return Estimate(payoffs.mean(), payoffs.mean(), payoffs.mean(), payoffs.size, "exact")

    one = Bracket(np.full((1, 4), 0.5), np.array([[[0.4] * 4], [[0.45] * 4]]), np.full((1, 1, 4), 0.6))
    other = Bracket.known(np.full((1, 4), 0.2))
    found, back = (one - other).estimate(exact), (other - one).estimate(exact)
    assert (found.low, found.value, found.high) == pytest.approx((0.2, 0.3, 0.4))
    assert (back.low, back.value, back.high) == pytest.approx((-0.4, -0.3, -0.2))


def test_one_prompt_cannot_both_solve_and_value():
    with pytest.raises(ValueError, match="at least two"):
        cross_fitted(np.zeros((1, 1, 1, 1)), np.zeros(1, dtype=np.int64))
