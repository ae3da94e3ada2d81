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

from cavesson.stats import Array


@dataclass(frozen=True, slots=True)
class Variance:
    """The parts of the variance of a score, in its unit squared.

    Attributes:
        seeds: between seeds.
        prompts: between prompts, common to all seeds; None: not known apart from the others.
        own: of a seed's own luck with a prompt, and of one answer; None: not known apart.
        count, n: seeds and prompts of the table.
    """

    seeds: float
    prompts: float | None
    own: float | None
    count: int
    n: int

    @property
    def sd_of_seeds(self) -> float:
        """How far seeds lie apart: the standard deviation of the true figure of a seed."""
        return float(np.sqrt(self.seeds))

    def of_mean(self, seeds: int, n: int) -> float:
        """The variance of the mean over so many seeds and prompts."""
        return self.seeds / seeds + (self.prompts or 0.0) / n + (self.own or 0.0) / (seeds * n)

    @property
    def shares(self) -> dict[str, float]:
        """The share of each part in the variance of one seed's mean over the prompts in use; the shares add up to 1."""
        parts = {"seeds": self.seeds, "prompts": (self.prompts or 0.0) / self.n, "own": (self.own or 0.0) / self.n}
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
                of_seeds = _half(seeds) ** 2 * (self.seeds + (self.own or 0.0) / n)
                widths[seeds, n] = of_seeds + stdtrit(n - 1, 0.975) ** 2 * (self.prompts or 0.0) / n
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
        float(np.mean([getattr(one, name) or 0.0 for one in parts])) for name in ("seeds", "prompts", "own")
    )
    return Variance(seeds, prompts, own, parts[0].count, parts[0].n)


def of_units(each: Sequence[float], n: int) -> Variance:
    """The variance of a figure that has a value for every seed (or pair) and none for a prompt, such as an AUC.

    Raises:
        ValueError: there are fewer than two values.
    """
    if len(each) < 2:
        raise ValueError("a spread needs two seeds or more")
    return Variance(float(np.var(each, ddof=1)), None, None, len(each), n)


def _half(seeds: int) -> float:
    """Half the width of Student's interval, in standard deviations of the seeds' figures."""
    return float(stdtrit(seeds - 1, 0.975)) / float(np.sqrt(seeds))


def by_pairs(tables: Array) -> dict[str, float]:
    """Shares of the variance of one seed's mean on one pair, from scores [pairs, seeds, prompts]: pairs, seeds, and prompts.

    The seeds' part holds what a seed does on one pair alone; the prompts' part is what is left.
    """
    pairs, seeds, n = tables.shape
    if min(pairs, seeds, n) < 2:
        raise ValueError(f"needs two pairs, seeds and prompts or more, not {tables.shape}")
    means = tables.mean(axis=2)
    chance = float(tables.var(axis=2, ddof=1).mean()) / n
    within = float(means.var(axis=1, ddof=1).mean())
    between = max(float(means.mean(axis=1).var(ddof=1)) - within / seeds, 0.0)
    parts = {"pairs": between, "seeds": max(within - chance, 0.0), "prompts": chance}
    total = sum(parts.values())
    return {name: part / total if total else 0.0 for name, part in parts.items()}
