"""Blue sweeps and seeds with a known truth, for the simulations beside this file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from cavesson.analysis.points import Point

Array = NDArray[np.float64]

_STEP = np.linspace(0.05, 1, 10)
_COST = np.array([0, 0.01, 0.02, 0.1, 0.3, 0.5])
_GONE = np.array([0, 0.05, 0.95, 0.97, 0.98, 0.98])

SHAPES: dict[str, tuple[Array, Array, int]] = {
    "in proportion": (1 - np.linspace(0, 1, 40), np.linspace(0, 1, 40), 10),
    "curve": (
        np.concatenate([1 - cost * _STEP**0.7 for cost in (0.1, 0.2, 0.4, 0.8)]),
        np.concatenate([1 - np.exp(-0.35 * rate * _STEP) for rate in (1, 2, 4, 8)]),
        10,
    ),
    "sudden and cheap": (
        np.concatenate([1 - _COST, 1 - 0.5 * _COST, 1 - 1.5 * _COST]),
        np.concatenate([_GONE, [0, 0.02, 0.05, 0.3, 0.9, 0.95], [0.05, 0.9, 0.97, 0.98, 0.98, 0.99]]),
        6,
    ),
    "returns after one step": (
        np.concatenate([1 - _COST, (1 - _COST) ** 0.5, (1 - _COST) ** 2]),
        np.array([0, 0.9, 0.5, 0.3, 0.2, 0.2, 0, 0.3, 0.6, 0.3, 0.2, 0.1, 0.5, 0.95, 0.3, 0.1, 0.1, 0.1]),
        6,
    ),
    "nothing works": (np.ones(40), np.zeros(40), 10),
}
"""Capability kept and bad behaviour removed of each checkpoint, and how many of them make a run."""


def game(kind: str, rates: int, steps: int) -> tuple[Array, Array, int]:
    """A small game as studies play it: capability kept and behaviour removed along runs at rising learning rates.

    "removes": most of the behaviour goes and costs some capability; "hardly": little goes for as much; "for nothing": it goes at
    hardly any cost before the cost comes.
    """
    along = np.linspace(1 / steps, 1, steps)
    costs = {"removes": (0.08, 0.25), "hardly": (0.05, 0.2), "for nothing": (0.05, 0.4)}[kind]
    speeds = {"removes": (1.5, 4.0), "hardly": (0.05, 0.3), "for nothing": (0.9, 2.0)}[kind]
    kept = [
        1 - cost * along ** {"removes": 0.8, "hardly": 1, "for nothing": 2}[kind] for cost in np.linspace(*costs, rates)
    ]
    gone = {"removes": lambda s: 1 - np.exp(-s * along), "hardly": lambda s: s * along, "for nothing": lambda s: np.minimum(1, s * along)}[kind]  # fmt: skip
    return np.concatenate(kept), np.concatenate([gone(speed) for speed in np.linspace(*speeds, rates)]), steps


def sampled(
    kept: Array, removed: Array, n: int, rng: np.random.Generator, *, steps: int, **labels: Any
) -> tuple[list[Point], Point]:
    """The checkpoints and their start as measured on n prompts of each kind; the start has 0.8 and 0.98."""
    capability = _scores(np.concatenate([[1], kept]) * 0.8, n, rng)
    bad = _scores((1 - np.concatenate([[0], removed])) * 0.98, n, rng)
    points = [
        Point({"lr": i // steps, "step": i % steps, **labels}, *rows)
        for i, rows in enumerate(zip(capability[1:], bad[1:], strict=True))
    ]
    return points, Point(labels, capability[0], bad[0])


def exactly(kept: Array, removed: Array, n: int, *, steps: int) -> tuple[list[Point], Point]:
    """The same without noise: every score is its prompt's true rate."""
    points = [
        Point({"lr": i // steps, "step": i % steps}, np.full(n, k * 0.8), np.full(n, (1 - r) * 0.98))
        for i, (k, r) in enumerate(zip(kept, removed, strict=True))
    ]
    return points, Point({}, np.full(n, 0.8), np.full(n, 0.98))


def _scores(rates: Array, n: int, rng: np.random.Generator) -> Array:
    """[rates, n] 0/1 scores; prompts that are easy are so for every checkpoint (correlation 0.5 on the probit scale)."""
    z = (rng.standard_normal((1, n)) + rng.standard_normal((len(rates), n))) / np.sqrt(2)
    return (z < ndtri(np.clip(rates, 0, 1))[:, None]).astype(float)


# ------------------------------------------------------------------------------------------------ seeds

Drawn = Callable[[np.random.Generator, int], Array]
"""Draws the logits of so many seeds, [seeds, 1]."""

HARD = 1.0
"""Prompts differ, too, by one unit on the logit scale; a prompt that is hard is so for every seed."""

NORMAL = ndtri((np.arange(100) + 0.5) / 100)
"""A hundred quantiles of the standard normal distribution, evenly spaced in probability."""


def normal_seeds(sd: float, *, around: float = 0.0) -> Drawn:
    """Seeds that are normal on the logit scale."""
    return lambda rng, count: around + sd * (rng.standard_normal((count, 1)) if sd else np.zeros((count, 1)))


def two_groups(share: float, *, high: float = 4.0, low: float = -4.0) -> Drawn:
    """Seeds of which a share lies high and the others low."""
    return lambda rng, count: np.where(rng.random((count, 1)) < share, high, low)


def mean_rate(drawn: Drawn) -> float:
    """The mean over seeds and prompts of the population."""
    levels = drawn(np.random.default_rng(1), 40_000)
    return float(np.mean([expit(levels + HARD * hard).mean() for hard in NORMAL]))
