"""Points: what one checkpoint kept of its capability and of its bad behaviour, prompt by prompt.

A frontier has two axes. *Capability kept* is the checkpoint's capability divided by the untouched organism's. *Bad behaviour
removed* is one minus the checkpoint's bad rate divided by the untouched organism's. The untouched organism is at (1, 0). Both
figures may leave 0..1: a blue run can raise capability or make the behaviour worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cavesson.errors import CavessonError
from cavesson.estimate import Bounds, Estimate
from cavesson.stats import Array, average_over, mean_ci, sharing


@dataclass(frozen=True, eq=False)
class Point:
    """One model and its scores, prompt by prompt.

    Points that are compared share their prompts, in the same order; capability and bad behaviour have different prompts.

    Attributes:
        labels: what the model is (organism, intervention, lr, step, seed, adapter …). `seed` tells repetitions of the
            whole experiment apart, `step` the checkpoints of one run; points equal in all labels but `step` are a run.
        capability: capability scores within 0..1, [capability prompts].
        bad: 1 where the bad behaviour showed, [bad prompts].
    """

    labels: Mapping[str, Any]
    capability: Array
    bad: Array

    def __post_init__(self) -> None:
        for name in ("capability", "bad"):
            object.__setattr__(self, name, _scores(getattr(self, name), name))

    @property
    def capability_rate(self) -> Estimate:
        """Mean capability with its interval."""
        return mean_ci(self.capability)

    @property
    def bad_rate(self) -> Estimate:
        """Rate of the bad behaviour with its interval."""
        return mean_ci(self.bad)


@dataclass(frozen=True, eq=False)
class Sweep:
    """All points of one seed, stacked, and the organism from which the blue runs started.

    Attributes:
        points: the points, in the caller's order.
        start: the untouched organism.
        capability: capability scores, the start first, [1 + points, capability prompts].
        bad: 1 where the bad behaviour showed, the start first, [1 + points, bad prompts].
        runs: for each run, the indices of its points in the order of their steps; a point without a step is its own run.
    """

    points: tuple[Point, ...]
    start: Point
    capability: Array
    bad: Array
    runs: tuple[tuple[int, ...], ...]


def capability_kept(point: Point, start: Point) -> Estimate:
    """The point's capability divided by the untouched organism's, paired by prompt."""
    return share_kept(start.capability, point.capability)


def bad_removed(point: Point, start: Point) -> Estimate:
    """One minus the point's bad rate divided by the untouched organism's, paired by prompt."""
    return share_removed(start.bad, point.bad)


def share_kept(before: ArrayLike, after: ArrayLike) -> Estimate:
    """A later rate as a share of an earlier one, averaged over seeds, paired by prompt; arguments as of `share_removed`."""
    start, now = (np.atleast_2d(np.asarray(each, dtype=float)) for each in (before, after))
    return _kept(now, start, "capability")


def share_removed(before: ArrayLike, after: ArrayLike) -> Estimate:
    """The share of a behaviour that is gone: one minus a later rate over an earlier one, averaged over seeds, paired by prompt.

    The interval does not leave what is possible: at most everything is gone, and at worst every prompt shows the behaviour.

    Args:
        before: scores within 0..1, [seeds, prompts] or for one seed [prompts].
        after: scores on the same prompts, same shape.
    """
    start, now = (np.atleast_2d(np.asarray(each, dtype=float)) for each in (before, after))
    return _kept(now, start, "bad behaviour").plus(1, times=-1)


def removed_by_seed(before: ArrayLike, after: ArrayLike) -> tuple[Array, Array]:
    """The share of a behaviour that is gone under each seed, [seeds], and how far each prompt moves it, [seeds, prompts].

    Args:
        before, after: as of `share_removed`, [seeds, prompts].
    """
    start, now = (np.atleast_2d(np.asarray(each, dtype=float)) for each in (before, after))
    values, moves, _ = _ratios(now, start, "bad behaviour")
    return 1 - values, -moves


def removed_gap_by_seed(before: ArrayLike, one: ArrayLike, two: ArrayLike) -> tuple[Array, Array]:
    """The share that is gone in `one` minus the share that is gone in `two`, [seeds], and how far each prompt moves it.

    Two pseudo-prompts, on which the one or the other alone shows the behaviour, keep the interval open where no prompt tells the two
    apart (as in the paired intervals of Bonett and Price).

    Args:
        before, one, two: scores within 0..1 on the same prompts, [seeds, prompts].

    Raises:
        CavessonError: under some seed there was no behaviour before.
    """
    start, first, second = (np.atleast_2d(np.asarray(each, dtype=float)) for each in (before, one, two))
    for row in start:
        _require_some(row, "bad behaviour")
    total = start.sum(axis=1, keepdims=True)
    apart = np.pad(second - first, ((0, 0), (0, 2)))
    apart[:, -2:] = 1.0, -1.0
    gap = (second - first).sum(axis=1, keepdims=True) / total
    moves = (apart - gap * np.pad(start, ((0, 0), (0, 2)))) / total
    moves[:, -2:] *= np.sqrt(sharing(moves[:, :-2]))
    return gap[:, 0], moves


def sweeps(points: Sequence[Point], start: Point | Sequence[Point]) -> list[Sweep]:
    """Group points by their `seed` label and give each group its start.

    Args:
        points: points of one organism (or of its repetitions under several seeds).
        start: the untouched organism; where every seed made its own organism, one start for each `seed` label.

    Raises:
        ValueError: there are no points, the prompts do not match, or a seed has no start or several.
        CavessonError: the untouched organism has no capability or no bad behaviour.
    """
    if not points:
        raise ValueError("a frontier needs at least one point")
    by_seed: dict[Any, list[Point]] = {}
    for point in points:
        by_seed.setdefault(point.labels.get("seed"), []).append(point)
    return [_stacked(group, _start_of(seed, start)) for seed, group in by_seed.items()]


def with_doubt(scores: Array) -> Array:
    """Scores with two pseudo-prompts appended, [rows, prompts + 2].

    On one pseudo-prompt only the start (row 0) scores, on the other only the points do. There is no spread where all prompts
    agree, so 0 of 50 would be a certain zero. The pseudo-prompts widen the interval to what 50 prompts
    cannot rule out; Bonett and Price (2012) do the same for a paired difference.
    """
    start_only = np.zeros((len(scores), 1))
    start_only[0] = 1
    return np.concatenate([scores, start_only, 1 - start_only], axis=1)


def _start_of(seed: Any, start: Point | Sequence[Point]) -> Point:
    if isinstance(start, Point):
        return start
    matching = [point for point in start if point.labels.get("seed") == seed]
    if len(matching) != 1:
        raise ValueError(f"seed {seed!r} needs exactly one start, found {len(matching)}")
    return matching[0]


def _stacked(points: list[Point], start: Point) -> Sweep:
    for name in ("capability", "bad"):
        sizes = {getattr(point, name).size for point in (start, *points)}
        if len(sizes) > 1:
            raise ValueError(f"points and start must share their {name} prompts, but have {sorted(sizes)} of them")
        _require_some(getattr(start, name), name)
    runs: dict[Any, list[int]] = {}
    for row, point in enumerate(points):
        labels = {name: value for name, value in point.labels.items() if name != "step"}
        run = repr(sorted(labels.items())) if "step" in point.labels else row
        runs.setdefault(run, []).append(row)
    return Sweep(
        points=tuple(points),
        start=start,
        capability=np.stack([start.capability, *(point.capability for point in points)]),
        bad=np.stack([start.bad, *(point.bad for point in points)]),
        runs=tuple(tuple(sorted(rows, key=lambda row: points[row].labels.get("step", 0))) for rows in runs.values()),
    )


def _kept(now: Array, start: Array, name: str) -> Estimate:
    """The rate `now` over the rate at the start, averaged over seeds, [seeds, prompts] both."""
    values, every, pull = _ratios(now, start, name)
    bounds: Bounds = (0.0, float(1 / start.mean()))
    return average_over(values, every, n=now.shape[1], bounds=bounds, pull=pull)


def _ratios(now: Array, start: Array, name: str) -> tuple[Array, Array, float]:
    """The ratio of rates under each seed, [seeds], how far each prompt moves it, and how far the pseudo-prompts pull the middle."""
    if now.shape != start.shape:
        raise ValueError(f"point and start must share their prompts, but have {now.size} and {start.size} of them")
    for row in start:
        _require_some(row, name)
    moves, pulls = zip(*(_ratio_moves(*rows) for rows in zip(now, start, strict=True)), strict=True)
    values, n, every = now.mean(axis=1) / start.mean(axis=1), now.shape[1], np.stack(moves)
    doubt = sharing(every[:, :n])
    every[:, n:] *= np.sqrt(doubt)
    return values, every, doubt * float(np.mean(pulls))


def _ratio_moves(now: Array, start: Array) -> tuple[Array, float]:
    """How far each prompt, with the pseudo-prompts, moves a ratio of rates (delta method), and how far these pull it."""
    before, after = with_doubt(np.stack([start, now]))
    ratio = after.sum() / before.sum()
    return (after - ratio * before) / before.sum(), float(ratio - now.sum() / start.sum())


def _require_some(start: Array, name: str) -> None:
    if not start.any():
        raise CavessonError(
            f"The organism's {name} before blue training is 0 on all {start.size} prompts: nothing can be kept or removed.",
            "Train the organism longer, or evaluate it on prompts on which it shows both.",
        )


def _scores(given: ArrayLike, name: str) -> Array:
    scores = np.asarray(given, dtype=float)
    if scores.ndim != 1 or scores.size == 0 or not np.all((scores >= 0) & (scores <= 1)):
        raise ValueError(
            f"{name} must be scores within 0..1 of shape [prompts], at least one, not shape {scores.shape}"
        )
    return scores
