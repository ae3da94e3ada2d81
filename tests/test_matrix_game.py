"""Matrix games: known values and mixtures, what must hold of every game, and intervals from seeds and prompts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bridle.analysis.matrix_game import exploitability, game_value, joint_draws, solve, value_draws
from bridle.stats import Estimate, from_draws

TABLES = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: arrays(float, shape, elements=st.floats(0, 1).map(lambda x: round(x, 3)))
)


def test_matching_pennies_is_worth_nothing_and_both_toss_a_coin():
    found = solve([[1, -1], [-1, 1]])
    assert found.value == pytest.approx(0)
    assert found.red == pytest.approx([0.5, 0.5]) and found.blue == pytest.approx([0.5, 0.5])
    assert found.red_replies == found.blue_replies == [0, 1]


def test_rock_paper_scissors_is_played_at_random():
    found = solve([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    assert found.value == pytest.approx(0) and found.red == pytest.approx([1 / 3] * 3)
    assert exploitability(found.payoffs, [1, 0, 0], found.blue) == pytest.approx(1)


def test_two_by_two_without_a_saddle_point_has_the_textbook_mixture():
    found = solve([[3, 0], [1, 2]])
    assert found.value == pytest.approx(1.5)
    assert found.red == pytest.approx([0.25, 0.75]) and found.blue == pytest.approx([0.5, 0.5])


def test_dominated_moves_are_not_played():
    found = solve([[0.2, 0.5, 0.1], [0.9, 0.9, 0.8], [0.3, 0.4, 0.0]])  # row 1 pays blue most, column 1 too
    assert found.red[1] == 0 and found.blue == pytest.approx([0, 1, 0])
    assert found.value == pytest.approx(0.4) and found.blue_replies == [1] and found.red_replies == [2]


def test_a_game_of_one_move_is_worth_its_payoff():
    assert solve([[0.7]]).value == pytest.approx(0.7) and game_value([[0.7]]) == pytest.approx(0.7)


@settings(deadline=None)
@given(table=TABLES)
def test_the_value_lies_between_maximin_and_minimax_and_nobody_gains_by_leaving(table):
    found = solve(table)
    assert table.min(axis=0).max() - 1e-6 <= found.value <= table.max(axis=1).min() + 1e-6
    assert found.exploitability == pytest.approx(0, abs=1e-6)
    assert game_value(table) == pytest.approx(found.value, abs=1e-6)
    assert found.red.sum() == pytest.approx(1) and found.blue.min() >= 0


@settings(deadline=None)
@given(table=TABLES, shift=st.floats(-2, 2), times=st.floats(0.1, 5))
def test_shifting_and_stretching_the_payoffs_shifts_and_stretches_the_value(table, shift, times):
    assert game_value(times * table + shift) == pytest.approx(times * game_value(table) + shift, abs=1e-5)


@settings(deadline=None)
@given(table=TABLES)
def test_swapping_the_players_turns_the_sign(table):
    assert game_value(-table.T) == pytest.approx(-game_value(table), abs=1e-6)


@settings(deadline=None)
@given(table=TABLES, data=st.data())
def test_a_further_move_never_hurts_whoever_has_it(table, data):
    column = data.draw(arrays(float, (len(table), 1), elements=st.floats(0, 1)))
    assert game_value(np.hstack([table, column])) >= game_value(table) - 1e-6


@pytest.mark.parametrize("table", [[], [1.0, 2.0], [[np.nan]], [[np.inf, 0]]])
def test_what_is_no_game_is_refused(table):
    with pytest.raises(ValueError, match="finite payoffs"):
        solve(table)


def certain(values: np.ndarray, draws: int = 200) -> np.ndarray:
    """Replicates without any chance of prompts."""
    return np.repeat(values[..., None], draws, axis=-1)


def valued(values: np.ndarray, draws: np.ndarray, seed: int = 0) -> Estimate:
    """The value of the game of average payoffs, [seeds, rows, columns], with its interval."""
    found = value_draws(joint_draws(values, draws, seed=seed))
    return from_draws(game_value(values.mean(axis=0)), found, n=9, method="m")


def test_seeds_that_agree_leave_no_doubt_and_seeds_that_differ_do():
    same = np.tile([[0.2, 0.6], [0.8, 0.4]], (3, 1, 1))
    sure = valued(same, certain(same))
    assert sure.low == pytest.approx(sure.high) == pytest.approx(0.5)
    spread = same + np.array([-0.1, 0.0, 0.1])[:, None, None]
    unsure = valued(spread, certain(spread))
    assert unsure.value == pytest.approx(0.5) and unsure.low < 0.4 and unsure.high > 0.6


def test_what_moves_all_cells_together_cancels_in_a_difference():
    table = np.tile([[0.2, 0.6], [0.8, 0.4]], (3, 1, 1)) + np.array([-0.1, 0.0, 0.1])[:, None, None]
    honest = table[:, 0, 1]
    everything = np.concatenate([table.reshape(3, -1), honest[:, None]], axis=1)
    draws = joint_draws(everything, certain(everything))
    above = value_draws(draws[:4].reshape(2, 2, -1)) - draws[4]
    assert above == pytest.approx(np.full(200, -0.1))


def test_the_chance_of_prompts_widens_the_interval_and_one_seed_has_no_spread_of_its_own():
    rng = np.random.default_rng(0)
    values = np.full((1, 1, 1), 0.5)
    draws = values[..., None] + 0.1 * rng.standard_normal((1, 1, 1, 2000))
    found = valued(values, draws)
    assert 0.15 < found.high - 0.5 < 0.25 and 0.15 < 0.5 - found.low < 0.25


def test_intervals_from_three_seeds_cover_as_often_as_they_say():
    rng, hits = np.random.default_rng(1), 0
    for trial in range(200):
        values = 0.5 + 0.1 * rng.standard_normal((3, 1, 1))
        found = valued(values, certain(values, 400), seed=trial)
        hits += found.low <= 0.5 <= found.high
    assert 0.9 <= hits / 200 <= 0.99


def test_draws_that_do_not_fit_the_payoffs_are_refused():
    with pytest.raises(ValueError, match="needs values"):
        joint_draws(np.zeros((3, 2)), np.zeros((3, 4, 10)))
