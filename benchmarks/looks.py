"""Seeds until a claim is decided: does the interval cover the truth when the study stops? Part `looks` of `coverage.py`."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from cavesson.estimate import Estimate
from cavesson.stats import mean_over_seeds, spending
from cavesson.studies.config import Looks
from simulated import HARD, Drawn, mean_rate, normal_seeds, two_groups

PROMPTS = 60

KINDS: dict[str, Drawn] = {
    "alike": normal_seeds(0.0),
    "logit-normal, sd 0.3": normal_seeds(0.3),
    "logit-normal, sd 1": normal_seeds(1.0),
    "logit-normal near 0, sd 1": normal_seeds(1.0, around=-3.0),
    "two groups, modes overlap": two_groups(0.4, high=2.0, low=-1.0),
    "two groups, half high": two_groups(0.5),
    "two groups, 40 % high": two_groups(0.4),
    "two groups, 20 % high": two_groups(0.2),
    "two groups, 10 % high": two_groups(0.1),
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
    """The table of `docs/notes/coverage.md`, under "Seeds until a claim is decided"."""
    plan, rows = plan or Looks(), []
    for name, drawn in KINDS.items():
        truth = mean_rate(drawn)
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
