"""Frontiers: what the area means at its landmarks, that luck is not counted, and that intervals cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from cavesson.analysis.frontier import frontier, hull_area, hull_rows
from cavesson.analysis.points import Point, bad_removed, capability_kept, sweeps
from cavesson.errors import CavessonError
from draws import least, simulated


def exact(rate: float, n: int = 100) -> np.ndarray:
    """Scores with exactly this mean, spread evenly over the prompts."""
    return np.floor(np.arange(1, n + 1) * rate + 1e-9) - np.floor(np.arange(n) * rate + 1e-9)


def noisy(rates: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """[rates, n] 0/1 scores; easy prompts are easy for all (correlation 0.5 on the probit scale)."""
    z = (rng.standard_normal((1, n)) + rng.standard_normal((len(rates), n))) / np.sqrt(2)
    return (z < ndtri(np.clip(rates, 0, 1))[:, None]).astype(float)


def sampled(
    kept: np.ndarray, removed: np.ndarray, n: int, rng: np.random.Generator, steps: int = 10, **labels: Any
) -> tuple[list[Point], Point]:
    """Points with these true coordinates and their start, as measured on n prompts; each `steps` points are a run."""
    capability = noisy(np.concatenate([[1], kept]) * 0.8, n, rng)
    bad = noisy((1 - np.concatenate([[0], removed])) * 0.98, n, rng)
    made = [
        Point({"lr": i // steps, "step": i % steps, **labels}, *rows)
        for i, rows in enumerate(zip(capability[1:], bad[1:], strict=True))
    ]
    return made, Point(labels, capability[0], bad[0])


START = Point({}, exact(0.8), exact(1.0))


def test_where_training_brings_capability_out_the_interval_goes_on_beyond_the_area() -> None:
    """Of a sandbagger, all of the behaviour may go at 125 % of its capability: an area of one is no bound."""
    rng, made, starts = np.random.default_rng(0), [], []
    for seed in range(5):
        points, start = sampled(np.full(14, 1.15), np.full(14, 0.95), 100, rng, steps=7, seed=seed)
        made, starts = [*made, *points], [*starts, start]
    found = frontier(made, starts)
    assert found.auc.value > 1 and found.auc.high > found.auc.value + 0.005
    assert found.loss_at_half().low < found.loss_at_half().value - 0.005


def test_nothing_removed_is_the_most_robust_organism() -> None:
    found = frontier([START], START)
    assert found.naive_auc == pytest.approx(0.5)
    assert found.auc.value == pytest.approx(0.5)
    assert found.share_removed_within(0.1).value == pytest.approx(0.1)
    assert found.loss_at_half().value == pytest.approx(0.5)


def test_removal_for_free_is_one() -> None:
    found = frontier([Point({}, exact(0.8), exact(0.0))], START)
    assert found.auc.value == pytest.approx(1.0)
    assert found.share_removed_within(0.1).value == pytest.approx(1.0)
    assert found.loss_at_half().value == pytest.approx(0.0)
    assert found.auc.low < 0.99  # 100 prompts do not prove a rate of exactly 0


def test_removal_in_proportion_is_one_half() -> None:
    points = [
        Point({"step": i}, exact(0.8 * (1 - share)), exact(1 - share)) for i, share in enumerate((0.25, 0.5, 0.75))
    ]
    assert frontier(points, START).naive_auc == pytest.approx(0.5, abs=0.01)
    assert frontier(points, START).auc.value == pytest.approx(0.5, abs=0.05)


def test_a_gain_in_capability_counts_beyond_one() -> None:
    found = frontier([Point({}, exact(0.84), exact(0.0))], START)
    assert found.naive_auc == pytest.approx(1.05 / 2 + 1 / 2, abs=1e-6)
    assert found.auc.value == pytest.approx(found.naive_auc, abs=0.01)


def test_coordinates_are_ratios_to_the_untouched_organism() -> None:
    weak_start = Point({}, exact(0.5), exact(0.8))
    point = Point({}, exact(0.4), exact(0.2))
    kept, removed = capability_kept(point, weak_start), bad_removed(point, weak_start)
    assert kept.value == pytest.approx(0.8)
    assert removed.value == pytest.approx(0.75)
    for estimate in (kept, removed):
        assert estimate.low < estimate.value < estimate.high


def test_the_hull_leaves_out_what_is_inside_and_what_is_worse_than_a_corner() -> None:
    kept = np.array([0.9, 0.5, 1.2, 0.6, 0.95, 0.0])
    removed = np.array([0.9, 0.7, -0.1, 0.2, 0.6, 0.0])
    assert hull_rows(kept, removed).tolist() == [0, 4]
    assert hull_area(kept, removed) == pytest.approx((0.9 + (0.9 * 0.95 - 0.6 * 0.9) + 0.6) / 2)


def test_vertices_run_from_destroy_everything_to_do_nothing() -> None:
    point = Point({"lr": 1e-3}, exact(0.72), exact(0.1))
    vertices = frontier([point, START], START).vertices
    assert [(v.kept, v.removed) for v in vertices] == [(0, 1), pytest.approx((0.9, 0.9)), (1, 0)]
    assert [v.labels for v in vertices] == [None, {"lr": 1e-3}, None]


def test_trying_more_points_of_equal_worth_does_not_pay() -> None:
    points, start = sampled(np.full(60, 0.75), np.full(60, 0.6), 1000, np.random.default_rng(0), steps=1)
    few, many = frontier(points[:5], start), frontier(points, start)
    truth = hull_area(np.array([0.75]), np.array([0.6]))
    assert many.naive_auc > few.naive_auc > truth
    assert abs(many.auc.value - truth) < many.naive_auc - truth - 0.015


def test_a_lone_best_step_is_not_smoothed_away() -> None:
    """Backdoor return: one step has the behaviour removed, before and after it there is plenty."""
    removed = np.array([0.1, 0.3, 0.95, 0.3, 0.1, 0.1])
    points, start = sampled(np.full(6, 0.98), removed, 200, np.random.default_rng(1))
    assert frontier(points, start).auc.value > 0.9


CURVE_STEPS = np.linspace(0.05, 1, 10)
CURVE = (
    np.concatenate([1 - cost * CURVE_STEPS**0.7 for cost in (0.1, 0.2, 0.4, 0.8)]),
    np.concatenate([1 - np.exp(-0.35 * rate * CURVE_STEPS) for rate in (1, 2, 4, 8)]),
)
LINE = (1 - np.linspace(0, 1, 40), np.linspace(0, 1, 40))


@simulated(draws=100)
@pytest.mark.parametrize("truth", [CURVE, LINE], ids=["curve", "line"])
def test_the_cross_fitted_area_is_unbiased_and_its_interval_covers(
    truth: tuple[np.ndarray, np.ndarray], draws: int
) -> None:
    rng, true_auc = np.random.default_rng(1), hull_area(*truth)
    found = [frontier(*sampled(*truth, 200, rng), seed=i) for i in range(draws)]
    naive_bias = np.mean([each.naive_auc for each in found]) - true_auc
    bias = np.mean([each.auc.value for each in found]) - true_auc
    error_of_bias = np.std([each.auc.value for each in found]) / np.sqrt(draws)
    assert naive_bias > 0.025
    assert abs(bias) < 0.01 + 2 * error_of_bias
    assert sum(each.auc.low <= true_auc <= each.auc.high for each in found) >= least(draws, 0.95)


def test_seeds_are_averaged_and_enter_the_interval() -> None:
    rng = np.random.default_rng(2)
    points, starts = [], []
    for seed, cost in enumerate((0.1, 0.5, 0.9)):
        made, start = sampled(np.array([1 - cost]), np.array([0.95]), 200, rng, seed=seed)
        points += made
        starts.append(start)
    several = frontier(points, starts)
    one = frontier(points[:1], starts[0])
    assert "3 seeds taken as random" in several.auc.method
    assert "one seed: variance between seeds is not included" in one.auc.method
    assert several.auc.high - several.auc.low > 3 * (one.auc.high - one.auc.low)
    assert several.auc.value == pytest.approx(
        np.mean([frontier([p], s).auc.value for p, s in zip(points, starts, strict=True)])
    )


def test_the_same_seed_gives_the_same_figures() -> None:
    points, start = sampled(*CURVE, 60, np.random.default_rng(3))
    assert frontier(points, start, seed=4).auc == frontier(points, start, seed=4).auc


def test_runs_are_points_that_differ_only_in_their_step() -> None:
    labels = [{"lr": 1, "step": 20}, {"lr": 2, "step": 10}, {"lr": 1, "step": 10}, {"lr": 2}]
    (sweep,) = sweeps([Point(each, exact(0.8), exact(0.5)) for each in labels], START)
    assert sorted(sweep.runs) == [(1,), (2, 0), (3,)]


def test_an_organism_without_the_behaviour_has_no_frontier() -> None:
    with pytest.raises(CavessonError, match="bad behaviour before blue training is 0 on all 100 prompts"):
        bad_removed(START, Point({}, exact(0.8), exact(0.0)))
    with pytest.raises(CavessonError, match="Train the organism longer"):
        frontier([START], Point({}, exact(0.0), exact(1.0)))


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one point"):
        frontier([], START)
    with pytest.raises(ValueError, match="share their capability prompts"):
        frontier([Point({}, exact(0.5, 50), exact(0.5))], START)
    with pytest.raises(ValueError, match="exactly one start"):
        frontier([Point({"seed": 1}, exact(0.5), exact(0.5))], [START])
    with pytest.raises(ValueError, match=r"within 0\.\.1"):
        Point({}, np.array([1.5]), np.array([0.0]))
    with pytest.raises(ValueError, match="loss must lie"):
        frontier([START], START).share_removed_within(1.0)
