"""Does the interval behind each kind of claim cover the truth, at the seeds and prompts of the `full` presets? Part `claims` of
`coverage.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from cavesson.analysis.contrasts import (
    correlation,
    difference_across_prompts,
    lowest_rate,
    ratio_of_variances,
    share_regained,
    slope,
)
from cavesson.analysis.frontier import frontier, hull_area, possible_gap
from cavesson.analysis.pairs import IMAGINED, auc_table, mean_over_pairs, mean_table
from cavesson.analysis.points import share_removed
from cavesson.estimate import Estimate
from cavesson.stats import difference_over_seeds, independent_difference, mean_over_seeds
from simulated import HARD, NORMAL, Array, game, sampled

Rng = np.random.Generator


class Kind(NamedTuple):
    """One kind of figure.

    Attributes:
        what: the figure; by: claims that it decides; design: seeds and prompts.
        draw: from a generator to one study's interval.
        truth: what the interval is about.
    """

    what: str
    by: str
    design: str
    draw: Callable[[Rng], Estimate | None]
    truth: float


def scores(rng: Rng, levels: Array, n: int, hard: Array | None = None) -> Array:
    """0/1 scores of models at these logits, [models, n]; a prompt that is hard is so for every model."""
    hard = HARD * rng.standard_normal(n) if hard is None else hard
    return np.asarray(rng.random((len(levels), n)) < expit(levels[:, None] + hard), dtype=float)


def rate_at(level: float, sd: float) -> float:
    """The mean rate of seeds that spread so about a logit, over seeds and prompts."""
    spread = float(np.hypot(sd, HARD))
    return float(expit(level + spread * NORMAL).mean())


def seeds_at(rng: Rng, level: float, sd: float, seeds: int) -> Array:
    return level + sd * rng.standard_normal(seeds)


# ------------------------------------------------------------------------------------------------ kinds


def rates() -> Iterator[Kind]:
    for seeds, n, by in ((6, 80, "pirate-leaves-little"), (5, 100, "other-domain-removes")):
        for level, sd in ((-2.5, 1.0), (0.0, 1.0)):

            def draw(rng: Rng, level: float = level, sd: float = sd, seeds: int = seeds, n: int = n) -> Estimate:
                return mean_over_seeds(scores(rng, seeds_at(rng, level, sd, seeds), n))

            yield Kind("a rate", by, f"{seeds} × {n}", draw, rate_at(level, sd))


def differences() -> Iterator[Kind]:
    for seeds, n, by in ((6, 80, "pirate-beats-hhh"), (5, 100, "off-model arms"), (8, 80, "poison-brings-back")):
        for one, two in ((-2.5, 0.0), (2.5, 2.5)):

            def draw(rng: Rng, one: float = one, two: float = two, seeds: int = seeds, n: int = n) -> Estimate:
                hard, shared = HARD * rng.standard_normal(n), rng.standard_normal(seeds)
                arms = [level + (shared + rng.standard_normal(seeds)) / np.sqrt(2) for level in (one, two)]
                return difference_over_seeds(*(scores(rng, arm, n, hard) for arm in arms))

            yield Kind("a difference of two arms", by, f"{seeds} × {n}", draw, rate_at(one, 1.0) - rate_at(two, 1.0))


def lowest() -> Iterator[Kind]:
    for low in (3.5, 1.0):

        def draw(rng: Rng, low: float = low) -> Estimate:
            return lowest_rate([scores(rng, seeds_at(rng, level, 0.5, 6), 80) for level in (low, *[3.5] * 11)])

        yield Kind("the lowest of 12 rates", "starts-at-100", "6 × 80", draw, rate_at(low, 0.5))


def two_benchmarks() -> Iterator[Kind]:
    for seeds, n, by in ((6, 80, "pirate-hurts-ifeval"), (5, 100, "order-of-damage")):

        def draw(rng: Rng, seeds: int = seeds, n: int = n) -> Estimate:
            hurt = seeds_at(rng, 0.0, 0.7, seeds)
            return difference_across_prompts(scores(rng, hurt + 1.0, n), scores(rng, hurt, n))

        yield Kind("two benchmarks of the same runs", by, f"{seeds} × {n}", draw, rate_at(1.0, 0.7) - rate_at(0.0, 0.7))


def regained() -> Iterator[Kind]:
    for seeds, n, by in ((5, 300, "few-steps-restore"), (8, 240, "honest-restores")):
        for level in (0.0, 1.8):
            before, damaged, now = rate_at(2.0, 0.3), rate_at(-0.5, 0.5), rate_at(level, 0.5)

            def draw(rng: Rng, level: float = level, seeds: int = seeds, n: int = n) -> Estimate:
                hard = HARD * rng.standard_normal(n)
                stages = ((2.0, 0.3), (-0.5, 0.5), (level, 0.5))
                return share_regained(*(scores(rng, seeds_at(rng, *stage, seeds), n, hard) for stage in stages))

            yield Kind("a share of a loss", by, f"{seeds} × {n}", draw, (now - damaged) / (before - damaged))


def over_pairs() -> Iterator[Kind]:
    for pairs, seeds, n, by in (
        (8, 2, 40, "side arms"),
        (15, 2, 40, "main arms"),
        (9, 3, 64, "reminder-keeps-removed"),
    ):
        for shift in (0.0, 0.8):

            def draw(rng: Rng, pairs: int = pairs, seeds: int = seeds, n: int = n, shift: float = shift) -> Estimate:
                tables = []
                for _ in range(pairs):
                    hard, own = HARD * rng.standard_normal(n), 0.7 * rng.standard_normal()
                    arms = (own + shift + 0.5 * rng.standard_normal(), own)
                    one, two = (scores(rng, seeds_at(rng, arm, 0.4, seeds), n, hard) for arm in arms)
                    tables.append(one - two)
                return mean_over_pairs(*mean_table(np.stack(tables)), n=n, pairs="random", imagined=IMAGINED)

            sds = float(np.sqrt(0.7**2 + 0.5**2 + 0.4**2)), float(np.hypot(0.7, 0.4))
            truth = rate_at(shift, sds[0]) - rate_at(0.0, sds[1])
            yield Kind("a difference over pairs, random", by, f"{pairs} pairs × {seeds} × {n}", draw, truth)


def area_gaps() -> Iterator[Kind]:
    def drawn(rng: Rng, kind: str, cost: float) -> tuple[Array, Array, int]:
        kept, removed, steps = game(kind, 2, 3)
        return np.maximum(1 - (1 - kept) * cost, 0), removed, steps

    def area(kind: str) -> float:
        rng = np.random.default_rng(1)
        costs = np.exp(0.3 * rng.standard_normal(1000))
        return float(np.mean([hull_area(*drawn(rng, kind, cost)[:2]) for cost in costs]))

    def draw(rng: Rng) -> Estimate:
        costs, found = np.exp(0.3 * rng.standard_normal(6)), []
        for kind in ("removes", "hardly"):
            made = [
                sampled(k, r, 80, rng, steps=s, seed=i)
                for i, c in enumerate(costs)
                for k, r, s in [drawn(rng, kind, c)]
            ]
            found.append([frontier([p for points, _ in made for p in points], [start for _, start in made])])
        (values, moves), (others, other_moves) = map(auc_table, found)
        return mean_over_pairs(
            values - others, moves - other_moves, n=80, pairs="fixed", bounds=possible_gap(found[0], found[1])
        )

    yield Kind("a gap of two AUCs", "pirate-frontier", "6 × 80, 6 checkpoints", draw, area("removes") - area("hardly"))


def over_teachers() -> Iterator[Kind]:
    names = [str(i) for i in range(12)]

    def falls(rng: Rng, slope_of: float) -> tuple[Array, Array]:
        """Scores of twelve teachers, and the changes of their students: as far as the teacher is weak, and by chance."""
        able = rng.uniform(0.1, 1.0, 12)
        theirs = (rng.random((12, 100)) < able[:, None]).astype(float)
        after = np.clip(0.9 + slope_of * (able - 1) + 0.05 * rng.standard_normal((5, 12)), 0, 1)
        return theirs, (rng.random((5, 12, 100)) < after[..., None]) - (rng.random((5, 12, 100)) < 0.9).astype(float)

    for true in (0.0, 0.6):

        def fitted(rng: Rng, true: float = true) -> Estimate | None:
            theirs, change = falls(rng, true)
            return slope(names, theirs, change, apart=0.05, unit="teacher")

        yield Kind("a slope over teachers", "weaker-hurt-more", "12 teachers × 5 × 100", fitted, true)

    def together(rng: Rng) -> Estimate:
        hurt = rng.normal(0.35, 0.15, 12)
        other = 0.35 + 0.9 * (hurt - 0.35) + np.sqrt(1 - 0.81) * rng.normal(0, 0.15, 12)
        one, two = (
            -(rng.random((12, 5, 60)) < np.clip(rate, 0.01, 0.99)[:, None, None]).astype(float)
            for rate in (hurt, other)
        )
        return correlation(range(12), one, two, unit="teacher")

    yield Kind("a correlation over teachers", "maths-correlates", "12 teachers × 5 × 60", together, 0.9)


def others() -> Iterator[Kind]:
    for ratio in (1.0, 4.0):

        def spread(rng: Rng, ratio: float = ratio) -> Estimate:
            return ratio_of_variances(0.1 * np.sqrt(ratio) * rng.standard_normal(5), 0.1 * rng.standard_normal(5))

        yield Kind("a ratio of variances", "improbable-is-erratic", "5 seeds, normal", spread, ratio)

    def apart(rng: Rng) -> Estimate:
        one, two = (mean_over_seeds(scores(rng, seeds_at(rng, level, 0.7, 5), 100)) for level in (1.0, 0.0))
        return independent_difference(one, two)

    yield Kind("two estimates without common prompts", "explicit, inoculation", "5 × 100", apart, rate_at(1.0, 0.7) - rate_at(0.0, 0.7))  # fmt: skip


def chosen() -> Iterator[Kind]:
    """The least bad of six checkpoints that kept enough of the capability, chosen on half of the prompts and measured on the other."""
    able = np.array([4.0, 1.9, 1.5, 1.35, 2.0, 1.1, 0.4])  # logits, the untouched organism first
    bad = np.array([4.0, 2.0, 1.0, 0.0, 1.0, -1.0, -3.0])

    def draw(rng: Rng) -> Estimate:
        before, after = np.zeros((6, 80)), np.zeros((6, 80))
        hard, hard_of_able = HARD * rng.standard_normal(80), HARD * rng.standard_normal(240)
        for seed in range(6):
            left = scores(rng, bad + 0.7 * rng.standard_normal() * (bad < 4), 80, hard)
            kept = scores(rng, able, 240, hard_of_able)
            before[seed] = left[0]
            for half in (0, 1):
                ability = kept[:, half::2].mean(axis=1)
                affordable = [i for i in range(1, 7) if ability[i] >= 0.8 * ability[0]] or [1]
                best = min(affordable, key=lambda i, half=half: left[i, half::2].mean())  # type: ignore[misc]
                after[seed, 1 - half :: 2] = left[best, 1 - half :: 2]
        return share_removed(before, after)

    truth = float(np.mean([draw(np.random.default_rng((7, i))).value for i in range(1500)]))
    yield Kind("a share removed, checkpoint chosen", "normal-adam-hhh", "6 × 80, 6 checkpoints", draw, truth)


KINDS = (rates, differences, lowest, two_benchmarks, regained, chosen, over_pairs, area_gaps, over_teachers, others)


def rows(repeats: int = 600) -> Iterator[list[str]]:
    """A row for each kind: how often its interval covers, and how often it lies below or above the truth."""
    for kinds in KINDS:
        for number, kind in enumerate(kinds()):
            rng = np.random.default_rng(number)
            times = repeats // 4 if kinds is area_gaps else repeats
            found = [each for each in (kind.draw(rng) for _ in range(times)) if each is not None]
            below, above = np.mean([(each.high < kind.truth, each.low > kind.truth) for each in found], axis=0)
            yield [
                kind.what,
                kind.by,
                kind.design,
                f"{round(kind.truth, 2) + 0.0:.2f}",
                f"{100 * (1 - below - above):.1f}",
                f"{100 * below:.1f} / {100 * above:.1f}",
            ]
