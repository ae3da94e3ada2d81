"""Seeds until a claim is decided: does the interval cover the truth when the study stops? Part `looks` of `coverage.py`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from cavesson.stats import Estimate, mean_over_seeds, spending
from cavesson.studies.config import Looks

Array = NDArray[np.float64]
Drawn = Callable[[np.random.Generator, int], Array]
"""Logits of seeds, [seeds, 1]."""

PROMPTS = 60
HARD = 1.0
"""Standard deviation of the prompts' difficulty, in logits; all seeds share the prompts."""

PLACES = ndtri((np.arange(100) + 0.5) / 100)
"""A hundred quantiles of the standard normal distribution, evenly spaced in probability."""

KINDS: dict[str, Drawn] = {
    "alike": lambda rng, count: np.zeros((count, 1)),
    "logit-normal, sd 0.3": lambda rng, count: 0.3 * rng.standard_normal((count, 1)),
    "logit-normal, sd 1": lambda rng, count: rng.standard_normal((count, 1)),
    "logit-normal near 0, sd 1": lambda rng, count: -3 + rng.standard_normal((count, 1)),
    "two groups, modes overlap": lambda rng, count: np.where(rng.random((count, 1)) < 0.4, 2.0, -1.0),
    "two groups, half high": lambda rng, count: np.where(rng.random((count, 1)) < 0.5, 4.0, -4.0),
    "two groups, 40 % high": lambda rng, count: np.where(rng.random((count, 1)) < 0.4, 4.0, -4.0),
    "two groups, 20 % high": lambda rng, count: np.where(rng.random((count, 1)) < 0.2, 4.0, -4.0),
    "two groups, 10 % high": lambda rng, count: np.where(rng.random((count, 1)) < 0.1, 4.0, -4.0),
}

DISTANCES = (-0.15, 0.05, 0.3)
"""From the truth to the bound of the claim "at most": far away a claim is decided early, nearby late; below the truth it is false."""


def studies(
    drawn: Drawn, looks: Looks, repeats: int
) -> tuple[list[list[Estimate]], list[list[Estimate]], list[Estimate]]:
    """What studies see: at every look at the look's level, at every look at 95 %, and with the first look's seeds alone."""
    rng, honest, naive = np.random.default_rng(0), [], []
    for _ in range(repeats):
        levels = drawn(rng, looks.at[-1])
        answers = rng.random((looks.at[-1], PROMPTS)) < expit(levels + HARD * rng.standard_normal((1, PROMPTS)))
        naive.append([mean_over_seeds(answers[:count]) for count in looks.at])
        with spending(looks.share, ""):
            honest.append([mean_over_seeds(answers[:count]) for count in looks.at])
    return honest, naive, [study[0] for study in naive]


def stop(study: list[Estimate], bound: float) -> int:
    """The look at which "at most `bound`" is decided, else the last, from 0."""
    return next((look for look, seen in enumerate(study) if seen.high <= bound or seen.low > bound), len(study) - 1)


def covers(found: Estimate, truth: float) -> bool:
    return found.low <= truth <= found.high


def looks(repeats: int = 2000, plan: Looks | None = None) -> None:
    """The table of `docs/statistics.md`, under "Seeds until a claim is decided"."""
    plan, rows = plan or Looks(), []
    for name, drawn in KINDS.items():
        population = drawn(np.random.default_rng(1), 40_000)
        truth = float(np.mean([expit(population + HARD * hard).mean() for hard in PLACES]))
        honest, naive, fixed = studies(drawn, plan, repeats)
        for distance in (one for one in DISTANCES if 0 < truth + one < 1):
            ends, plain = ([stop(study, truth + distance) for study in seen] for seen in (honest, naive))
            seen = [study[end] for study, end in zip(honest, ends, strict=True)]
            unpaid = [study[end] for study, end in zip(naive, plain, strict=True)]
            shares = [
                np.mean([covers(one, truth) for one in seen]),
                np.mean([one.low > truth + distance if distance > 0 else one.high <= truth + distance for one in seen]),
                np.mean([covers(one, truth) for one in unpaid]),
                np.mean([covers(one, truth) for one in fixed]),
            ]
            seeds = f"{np.mean([plan.at[end] for end in ends]):.0f}"
            always = f"{100 * np.mean([all(covers(one, truth) for one in study) for study in honest]):.1f}"
            rows.append(
                [f"{name}: {truth:.2f}", f"{distance:+}", *(f"{100 * share:.1f}" for share in shares), always, seeds]
            )
    header = [
        "seeds: true rate",
        "bound minus truth",
        "covers when it stops",
        "wrong verdict",
        "covers, each look at 95 %",
        f"{plan.at[0]} seeds at 95 %, no looks",
        "all looks cover",
        "seeds used",
    ]
    print(f"\nLooks at {plan.at}, {PROMPTS} prompts, {repeats} studies a row, in %\n")
    for row in (header, ["---"] * len(header), *rows):
        print("| " + " | ".join(row) + " |")
