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
from scipy.special import stdtrit


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

    def best_split(self, budget: float, seed_costs: float, prompt_costs: float) -> tuple[int, int]:
        """Seeds and prompts of each at which a budget buys the narrowest interval of the mean, by trying numbers of prompts.

        Args:
            budget: in the unit of the costs, such as seconds.
            seed_costs: of a seed without its scoring: its training.
            prompt_costs: of one prompt of a seed: its scoring.

        Raises:
            ValueError: the budget does not pay for two seeds.
        """
        widths = {}
        for n in PROMPTS:
            seeds = int(budget / (seed_costs + n * prompt_costs))
            if seeds >= 2:
                of_seeds = _half(seeds) ** 2 * (self.seeds + self.own / n)
                widths[seeds, n] = of_seeds + stdtrit(n - 1, 0.975) ** 2 * self.prompts / n
        if not widths:
            raise ValueError("the budget does not pay for two seeds")
        return min(widths, key=lambda split: widths[split])


PROMPTS = (20, 30, 40, 60, 80, 100, 150, 200, 300, 500, 1000)
"""Numbers of prompts that are tried: with fewer a rate has too few steps."""


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


def _half(seeds: int) -> float:
    """Half the width of Student's interval, in standard deviations of the seeds' figures."""
    return float(stdtrit(seeds - 1, 0.975)) / float(np.sqrt(seeds))
