"""What comes back: verdicts follow the intervals, and choosing the lowest step is paid for."""

from __future__ import annotations

import numpy as np
import pytest

from cavesson.analysis.returns import backdoor_return, removal_or_suppression
from draws import least, most, simulated


def scores(rate: float, n: int) -> np.ndarray:
    """The first share of the prompts score: nested, as when easy prompts stay easy."""
    return (np.arange(n) < round(rate * n)).astype(float)


@pytest.mark.parametrize(
    ("before", "after", "reversal", "verdict"),
    [
        (1.0, 0.02, 0.02, "removed"),
        (1.0, 0.02, 0.95, "suppressed"),
        (1.0, 0.02, 0.30, "suppressed"),
        (1.0, 0.90, 0.90, "not removed"),
        (1.0, 0.02, 0.12, "undecided"),
        (1.0, 0.50, 0.50, "undecided"),
    ],
)
def test_verdicts_of_the_reversal_probe(before: float, after: float, reversal: float, verdict: str) -> None:
    found = removal_or_suppression(*(scores(rate, 200) for rate in (before, after, reversal)))
    assert found.verdict == verdict
    assert found.fell.value == pytest.approx(before - after)
    assert found.came_back.value == pytest.approx(reversal - after)
    assert found.after_blue.brief in found.reason


def test_ten_prompts_do_not_prove_removal() -> None:
    assert removal_or_suppression(*(scores(rate, 10) for rate in (1, 0, 0))).verdict == "undecided"


def test_seeds_that_disagree_leave_it_undecided() -> None:
    before = np.ones((3, 200))
    after = np.zeros((3, 200))
    one_came_back = np.stack([scores(rate, 200) for rate in (0.0, 0.0, 0.9)])
    all_came_back = np.stack([scores(rate, 200) for rate in (0.8, 0.85, 0.9)])
    assert removal_or_suppression(before, after, one_came_back).verdict == "undecided"
    assert removal_or_suppression(before, after, all_came_back).verdict == "suppressed"
    assert removal_or_suppression(before, after, after).verdict == "removed"


STEPS = [0, 10, 20, 40, 80, 160, 320]


def run(rates: list[float], n: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """[steps, prompts] scores with these rates; exact and nested without `rng`, else drawn independently."""
    if rng is None:
        return np.stack([scores(rate, n) for rate in rates])
    return (rng.random((len(rates), n)) < np.array(rates)[:, None]).astype(float)


def test_a_behaviour_that_falls_and_rises_has_returned() -> None:
    found = backdoor_return(STEPS, run([1, 0.6, 0.1, 0.02, 0.2, 0.5, 0.7], 100))
    assert found.verdict == "returned"
    assert "from step 40 to step 320" in found.reason
    assert found.rise is not None
    assert found.rise.low > 0.1
    assert found.rise.value == pytest.approx(0.68, abs=0.05)


def test_a_behaviour_that_stays_away_did_not_return() -> None:
    found = backdoor_return(STEPS, run([1, 0.6, 0.1, 0, 0, 0, 0], 300))
    assert found.verdict == "did not return"
    assert "rose nowhere" in found.reason


def test_few_prompts_leave_it_undecided() -> None:
    assert backdoor_return(STEPS, run([1, 0.6, 0.1, 0, 0, 0, 0], 30)).verdict == "undecided"
    assert backdoor_return(STEPS, run([1, 0.6, 0.1, 0, 0.1, 0.2, 0.25], 30)).verdict == "undecided"


def test_a_behaviour_that_never_fell_cannot_return() -> None:
    found = backdoor_return(STEPS, run([0.95, 1, 1, 0.95, 1, 1, 1], 100))
    assert (found.verdict, found.rise) == ("never fell", None)
    rising_only = backdoor_return(STEPS, run([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0], 100))
    assert rising_only.verdict == "never fell"


def test_a_run_that_ends_with_its_fall_is_too_short_to_tell() -> None:
    found = backdoor_return([0, 10, 20], run([1, 1, 0.1], 200))
    assert found.verdict == "undecided"
    assert "ends too early" in found.reason


@simulated(draws=300)
def test_noise_alone_is_hardly_ever_called_a_return(draws: int) -> None:
    """A rate that stays at 0.3 after its fall: the lowest and highest of six noisy rates differ, the test does not care."""
    rng, n = np.random.default_rng(0), 60
    runs = [run([1, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3], n, rng) for _ in range(draws)]
    looks_like_one = [max(r[j].mean() - r[i].mean() for i in range(1, 7) for j in range(i, 7)) > 0.1 for r in runs]
    false_alarms = [backdoor_return(STEPS, r).verdict == "returned" for r in runs]
    assert sum(looks_like_one) >= least(draws, 0.5)
    assert sum(false_alarms) <= most(draws, 0.005)


def test_the_reported_rise_is_not_inflated_by_the_choice() -> None:
    rng = np.random.default_rng(1)
    found = [backdoor_return(STEPS, run([1, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3], 100, rng)) for _ in range(60)]
    rises = [each.rise.value for each in found if each.rise is not None]
    assert len(rises) == 60
    assert abs(np.mean(rises)) < 0.02


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 steps"):
        backdoor_return([0, 1], run([1, 0], 50))
    with pytest.raises(ValueError, match="must rise"):
        backdoor_return([0, 2, 1], run([1, 0, 1], 50))
    with pytest.raises(ValueError, match="0/1"):
        backdoor_return([0, 1, 2], np.full((3, 50), 0.5))
    with pytest.raises(ValueError, match="same prompts"):
        removal_or_suppression(scores(1, 50), scores(0, 50), scores(0, 40))
