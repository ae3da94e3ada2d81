"""A/B tests in production: never wrong more often than they say, however often they are looked at, and late or wrong labels included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import gammainc
from scipy.stats import gamma

from cavesson.errors import ConfigError
from cavesson.evals.scores import Scores
from cavesson.production.ab import LabelErrors, Plan, balance, compare, corrected
from cavesson.production.deployment import Answers, Delays, Deployment, KindOfTask, answers_of, effects, mix, stream
from cavesson.production.log import Log
from cavesson.production.sequence import half_width, log_mixture
from cavesson.production.trial import Decision, at_the_end, deployed, peeking, regret, sequence, sequence_of_labelled
from draws import least, most, simulated
from measured import scores

AT_ONCE = Delays(good=0, bad=0)


def answers(kind: str, without: float, with_: float, n: int = 100) -> Answers:
    sides = [tuple(float(i < round(rate * n)) for i in range(n)) for rate in (without, with_)]
    return Answers(kind, sides[0], sides[1])


def deployment(**given: object) -> Deployment:
    kinds = (KindOfTask(name="everyday", share=0.8, later=0.4), KindOfTask(name="hard", share=0.2, later=0.6))
    return Deployment(**{"kinds": kinds, "tasks": 1500, "days": 20, "delays": AT_ONCE, **given})  # type: ignore[arg-type]


SAME = (answers("everyday", 0.2, 0.2), answers("hard", 0.5, 0.5))
BETTER = (answers("everyday", 0.3, 0.1), answers("hard", 0.5, 0.2))


# ----------------------------------------------------------------------------------------------- confidence sequences


def test_the_mixture_is_the_integral_that_it_stands_for() -> None:
    reach, spread, total, variance = 2.0, 40.0, 12.0, 33.0
    start = spread / reach**2

    def inside(bet: float) -> float:
        psi = (-np.log1p(-reach * bet) - reach * bet) / reach**2
        density = gamma.pdf(1 - reach * bet, a=start, scale=1 / start) * reach / gammainc(start, start)
        return float(np.exp(bet * total - psi * variance) * density)

    found = log_mixture(np.array(total), np.array(variance), reach, spread)
    assert found == pytest.approx(np.log(quad(inside, 0, 1 / reach)[0]), abs=1e-8)
    assert log_mixture(np.array(0.0), np.array(0.0), reach, spread) == pytest.approx(0, abs=1e-9)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 100_000))
def test_more_variance_or_less_risk_never_makes_an_interval_narrower(one: float, more: float, count: int) -> None:
    def wide(variance: float, alpha: float) -> float:
        return float(half_width(variance, count, alpha=alpha, reach=2.0, tightest=200.0))

    assert wide(one, 0.05) <= wide(one + more, 0.05)
    assert wide(one, 0.05) < wide(one, 0.01)


def test_at_its_best_the_interval_is_less_than_twice_that_of_a_single_look() -> None:
    wide = half_width(1000.0, 1, alpha=0.05, reach=2.0, tightest=1000.0)
    assert 1.96 * np.sqrt(1000) < wide < 2 * 1.96 * np.sqrt(1000)


# ----------------------------------------------------------------------------------------------- errors under peeking


@simulated(4000)
def test_peeking_at_the_sequence_is_safe_and_peeking_at_a_t_test_is_not(draws: int) -> None:
    """No effect, a mix that drifts, 50 looks: the control must fail, or the simulation shows nothing."""
    plan = Plan(looks=50, tightest=500)
    wrong = {sequence: 0, peeking: 0}
    for seed in range(draws):
        log = stream(SAME, deployment(), seed)
        for rule in wrong:
            wrong[rule] += rule(log, plan).verdict != "undecided"
    assert wrong[sequence] <= most(draws, plan.alpha)
    assert wrong[peeking] > 3 * most(draws, plan.alpha)


@simulated(600)
def test_the_intervals_hold_the_true_effect_at_all_looks_at_once(draws: int) -> None:
    held = 0
    for seed in range(draws):
        log = stream(BETTER, deployment(delays=Delays(good=0.5, bad=2, lost=0.02)), seed)
        truth = np.cumsum(effects(BETTER, deployment())[log.kind]) / np.arange(1, len(log) + 1)
        looks = compare(log, Plan(looks=20), stop=False).looks
        assert len(looks) == 20
        held += all(look.low <= truth[max(look.counted, 1) - 1] <= look.high for look in looks)
    assert held >= least(draws, 0.95)


@simulated(300)
def test_a_measure_that_hides_its_incidents_fools_those_who_count_the_labels_that_are_in(draws: int) -> None:
    """The same rates, but with the measure bad outcomes come to light six times later."""
    hiding = deployment(tasks=4000, delays=Delays(good=1, bad=1, with_measure=6))
    fooled = dict.fromkeys((sequence, sequence_of_labelled, at_the_end), 0)
    for seed in range(draws):
        log = stream(SAME, hiding, seed)
        for rule in fooled:
            fooled[rule] += rule(log, Plan()).verdict == "ship"
    assert fooled[sequence] <= most(draws, 0.05)
    assert fooled[sequence_of_labelled] > draws / 2
    assert fooled[at_the_end] > draws / 2


def test_an_effect_is_found_and_found_sooner_when_it_is_larger() -> None:
    def days(with_: float) -> list[float]:
        pair = (answers("everyday", 0.5, with_), answers("hard", 0.5, with_))
        found = [sequence(stream(pair, deployment(tasks=6000), seed), Plan()) for seed in range(5)]
        assert [one.verdict for one in found] == ["ship"] * 5
        return [one.day for one in found]

    assert np.median(days(0.1)) < np.median(days(0.35))


def test_with_a_margin_a_test_can_find_that_there_is_no_difference_that_matters() -> None:
    log = stream(SAME, deployment(tasks=20_000), 0)
    assert compare(log, Plan(margin=0.1)).verdict == "no difference"
    assert compare(log, Plan(margin=0.001)).verdict == "undecided"


# ----------------------------------------------------------------------------------------------- labels that err


def test_wrong_labels_are_corrected_and_their_doubt_widens_the_interval() -> None:
    noisy = deployment(tasks=20_000, false_alarms=0.1, misses=0.3)
    log, truth = stream(BETTER, noisy, 0), float(effects(BETTER, noisy) @ mix(noisy))

    def last(**errors: object) -> tuple[float, float]:
        look = compare(log, Plan(label_errors=LabelErrors(**errors)), stop=False).last  # type: ignore[arg-type]
        return look.low, look.high

    as_they_are = last()
    assert truth < as_they_are[0]
    known = last(false_alarms=(0.1, 0.1), misses=(0.3, 0.3))
    alike = last(false_alarms=(0.05, 0.15), misses=(0.2, 0.4), same_in_both_arms=True)
    apart = last(false_alarms=(0.05, 0.15), misses=(0.2, 0.4))
    assert all(low <= truth <= high for low, high in (known, alike, apart))
    assert known[1] - known[0] < alike[1] - alike[0] < apart[1] - apart[0]


@given(
    st.tuples(st.floats(0, 0.3), st.floats(0, 0.3)).map(sorted),
    st.tuples(st.floats(0, 0.3), st.floats(0, 0.3)).map(sorted),
    st.lists(st.floats(0, 1), min_size=6, max_size=6),
)
def test_the_correction_holds_whatever_the_rates_are(
    alarms: list[float], misses: list[float], drawn: list[float]
) -> None:
    """Both arms err at rates of their own within what is allowed; the labels' effect and level are known exactly."""
    with_, without = drawn[:2]
    rates = [(ends[0] + part * (ends[1] - ends[0])) for ends, part in zip([alarms, misses] * 2, drawn[2:], strict=True)]
    labelled = [rates[0] + (1 - rates[0] - rates[1]) * with_, rates[2] + (1 - rates[2] - rates[3]) * without]
    effect = labelled[0] - labelled[1]
    errors = LabelErrors(false_alarms=tuple(alarms), misses=tuple(misses))  # type: ignore[arg-type]
    low, _, high = corrected((effect,) * 3, (labelled[1],) * 2, 1.0, errors)
    assert low - 1e-9 <= with_ - without <= high + 1e-9


def test_labels_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="say nothing"):
        LabelErrors(false_alarms=(0.2, 0.5), misses=(0.1, 0.5))


def test_lost_labels_may_have_said_anything() -> None:
    """Half of the labels are lost: no decision, although the labels that came leave no doubt."""
    log = stream(BETTER, deployment(tasks=20_000, delays=Delays(good=0, bad=0, lost=0.5)), 0)
    assert compare(log, Plan()).verdict == "undecided"
    assert compare(log, Plan(), pending="left out").verdict == "ship"


# ----------------------------------------------------------------------------------------------- the simulator


def test_the_simulator_deploys_the_measured_answers() -> None:
    """Rates of both arms, shares of the kinds and delays are those that were asked for."""
    asked = deployment(tasks=100_000, wander=0.0, delays=Delays(good=1, bad=3, with_measure=2))
    log = stream(BETTER, asked, 1)
    for kind, table in enumerate(BETTER):
        for arm, side in ((True, table.with_), (False, table.without)):
            # labels that are in by the end of a long deployment
            chosen = (log.kind == kind) & (log.treated == arm)
            assert np.nanmean(log.outcome[chosen]) == pytest.approx(np.mean(side), abs=0.01)
    assert np.bincount(log.kind) / len(log) == pytest.approx(mix(asked), abs=0.01)
    early, late = log.kind[log.arrived < 1], log.kind[log.arrived > 19]
    assert early.mean() == pytest.approx(0.2, abs=0.03)
    assert late.mean() == pytest.approx(0.6, abs=0.03)
    waited = (log.known - log.arrived)[(log.outcome == 1) & log.treated]
    assert waited.mean() == pytest.approx(6, rel=0.05)


def test_the_same_seed_gives_the_same_stream_and_another_seed_another() -> None:
    one, two, other = (stream(SAME, deployment(), seed) for seed in (0, 0, 1))
    assert np.array_equal(one.arrived, two.arrived) and np.array_equal(one.outcome, two.outcome)
    assert not np.array_equal(one.arrived, other.arrived)


def test_costs_weigh_the_kinds() -> None:
    """A measure that prevents rare dear incidents and makes everyday answers a little worse pays."""
    kinds = (KindOfTask(name="everyday", share=0.98), KindOfTask(name="hard", share=0.02, cost=100))
    dear = deployment(kinds=kinds, tasks=20_000)
    pair = (answers("everyday", 0.1, 0.12), answers("hard", 0.9, 0.1))
    assert float(effects(pair, dear) @ mix(dear)) < 0
    assert sequence(stream(pair, dear, 0), Plan()).verdict == "ship"
    cheap = dear.model_copy(update={"kinds": (kinds[0], kinds[1].model_copy(update={"cost": 0.1}))})
    assert float(effects(pair, cheap) @ mix(cheap)) > 0


def test_answers_are_read_from_scores_of_the_same_items() -> None:
    one, two = scores({"maths": 0.9, "flag": 0.4}, steps=(None,)), scores({"maths": 0.5, "flag": 0.1}, steps=(None,))
    assert np.mean(answers_of("everyday", one, two, ["maths"], good=True).with_) == pytest.approx(0.5)
    assert np.mean(answers_of("trigger", one, two, ["flag"], good=False).without) == pytest.approx(0.4)
    others = Scores([replace(row, item=f"other {row.item}") for row in two.rows])
    with pytest.raises(ConfigError, match="asked different items of maths"):
        answers_of("everyday", one, others, ["maths"], good=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "there are answers to"),
        ((SAME[0],), "tasks of the kinds everyday, hard; there are answers to everyday"),
        ((*SAME, answers("other", 0.1, 0.1)), "there are answers to everyday, hard, other"),
    ],
)
def test_every_kind_needs_its_answers(given: tuple[Answers, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        stream(given, deployment(), 0)


def test_answers_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ConfigError, match="do not pair: 1 without the measure, 2 with it"):
        Answers("everyday", (1.0,), (1.0, 0.0))
    with pytest.raises(ConfigError, match="neither 0 nor 1"):
        Answers("everyday", (0.5,), (1.0,))


# ----------------------------------------------------------------------------------------------- trials


def test_a_trial_says_what_a_test_would_say_and_what_it_cannot_know() -> None:
    """Ten answers to each kind say little about the models, however many tasks are simulated from them."""
    few = [(answers("everyday", 0.3, 0.1, 10), answers("hard", 0.5, 0.2, 10))] * 2
    many = [(answers("everyday", 0.3, 0.1, 1000), answers("hard", 0.5, 0.2, 1000))] * 2
    found = [
        deployed(pairs, deployment(), streams=2, rules=["confidence sequence, every look"]) for pairs in (few, many)
    ]
    assert found[0].effect.value == pytest.approx(found[1].effect.value)
    assert found[0].effect.high - found[0].effect.low > 5 * (found[1].effect.high - found[1].effect.low)
    assert found[1].effect.high < 0
    assert found[1].saved is not None and found[1].saved.value == pytest.approx(0.632, abs=0.01)
    assert found[1].rules[0].shipped.value == 1
    assert "ships the intervention in 100 %" in found[1].sentence
    assert len(found[1].table().rows) == 1


def test_streams_of_the_same_two_models_are_no_independent_evidence() -> None:
    """Of four pairs of models, one saves nothing: how often a measure ships is a matter of the pair, however many streams are drawn."""
    pairs = [BETTER, BETTER, BETTER, SAME]
    many = deployed(pairs, deployment(tasks=4000), streams=20, rules=["t-test, once at the end"]).rules[0].shipped
    assert many.n == 80 and 0.7 < many.value < 0.8 and many.low < 0.4
    alone = deployed([BETTER], deployment(tasks=4000), streams=2).rules[0].shipped
    assert "one pair of models" in alone.method


def test_where_nothing_is_bad_nothing_can_be_saved() -> None:
    found = deployed([(answers("everyday", 0, 0), answers("hard", 0, 0))], deployment(), streams=1)
    assert found.saved is None
    assert found.rules[0].undecided.value == 1


def test_regret_counts_the_worse_arm_during_the_test_and_the_wrong_choice_after_it() -> None:
    log = Log(
        arrived=np.arange(10.0),
        treated=np.zeros(10, dtype=bool),
        outcome=np.zeros(10),
        known=np.arange(10.0),
        kind=np.zeros(10, dtype=np.int64),
        weight=np.ones(10),
        now=9.0,
    )
    saves = np.full(10, -0.1)
    assert regret(Decision("ship", 3.0), log, saves, 0.5) == pytest.approx(4 * 0.5 * 0.1)
    assert regret(Decision("drop", 3.0), log, saves, 0.5) == pytest.approx(4 * 0.5 * 0.1 + 6 * 0.1)
    assert regret(Decision("undecided", 9.0), log, saves, 0.5) == pytest.approx(0.5)
    assert regret(Decision("drop", 3.0), log, -saves, 0.5) == pytest.approx(4 * 0.5 * 0.1)


def test_the_worst_that_a_decision_can_cost_is_read_off_the_interval() -> None:
    log = stream(BETTER, deployment(tasks=4000), 0)
    found = compare(log, Plan(horizon=1000))
    assert found.verdict == "ship"
    assert found.regrets["ship"] == 0
    assert found.regrets["drop"] == pytest.approx(-1000 * found.last.low)
    assert compare(log, Plan()).regrets == {}


def test_an_uneven_split_is_read_as_one() -> None:
    uneven = deployment(tasks=12_000, share=0.2)
    log = stream(BETTER, uneven, 0)
    assert compare(log, Plan(share=0.2)).verdict == "ship"
    assert balance(log.treated, 0.2) < 1
    assert balance(log.treated, 0.5) > 1e6
    with pytest.raises(ValueError, match=r"split of 0\.5"):
        deployed([BETTER], uneven, Plan())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["bounded", "left out"]))
def test_an_estimate_lies_in_its_interval_at_every_look(seed: int, pending: str) -> None:
    log = stream(BETTER, deployment(tasks=300, delays=Delays(lost=0.1)), seed)
    for look in compare(log, Plan(looks=7), stop=False, pending=pending).looks:  # type: ignore[arg-type]
        assert -1 <= look.low <= look.high <= 1
        assert look.low <= max(min(look.value, 1), -1) <= look.high
        assert look.pending <= look.counted <= look.tasks
