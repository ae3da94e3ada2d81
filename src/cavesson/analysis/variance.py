"""Where the chance in a figure comes from: seeds, prompts, or their interaction.

A table of scores [seeds, prompts] has three parts of variance: seeds differ, prompts differ, and a seed has its own luck with a
prompt (with one answer to a prompt, the chance of that answer is part of it). The mean over k seeds and n prompts varies by
`seeds / k + prompts / n + own / (k n)`. Source: any textbook on random effects, such as Searle, Casella and McCulloch,
"Variance Components" (1992), chapter 4: the method of moments for two crossed factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Variance:
    """The parts of the variance of a score, in its unit squared.

    Attributes:
        seeds: between seeds.
        prompts: between prompts, common to all seeds.
        own: of a seed's own luck with a prompt, and of one answer.
        count, n: seeds and prompts of the table.
    """

    seeds: float
    prompts: float
    own: float
    count: int
    n: int

    @property
    def sd_of_seeds(self) -> float:
        """How far seeds lie apart: the standard deviation of the true figure of a seed."""
        return float(np.sqrt(self.seeds))

    @property
    def shares(self) -> dict[str, float]:
        """The share of each part in the variance of one seed's mean over the prompts in use; the shares add up to 1."""
        parts = {"seeds": self.seeds, "prompts": self.prompts / self.n, "own": self.own / self.n}
        total = sum(parts.values())
        return {name: part / total if total else 0.0 for name, part in parts.items()}


def decomposed(table: ArrayLike) -> Variance:
    """The parts of variance of scores, [seeds, prompts].

    Raises:
        ValueError: there are not two seeds and two prompts at least.
    """
    scores = np.asarray(table, dtype=float)
    if scores.ndim != 2 or min(scores.shape) < 2:
        raise ValueError(f"a decomposition needs two seeds and two prompts or more, not shape {scores.shape}")
    count, n = scores.shape
    by_seed, by_prompt = scores.mean(axis=1), scores.mean(axis=0)
    left = scores - by_seed[:, None] - by_prompt + scores.mean()
    own = float((left**2).sum() / ((count - 1) * (n - 1)))
    seeds = max(float(by_seed.var(ddof=1)) - own / n, 0.0)
    prompts = max(float(by_prompt.var(ddof=1)) - own / count, 0.0)
    return Variance(seeds, prompts, own, count, n)


def average(parts: Sequence[Variance]) -> Variance:
    """The mean of several decompositions with equally many seeds and prompts, part by part."""
    seeds, prompts, own = (
        float(np.mean([getattr(one, name) for one in parts])) for name in ("seeds", "prompts", "own")
    )
    return Variance(seeds, prompts, own, parts[0].count, parts[0].n)
