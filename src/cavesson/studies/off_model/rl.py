"""Reinforcement learning from the run that the arms vary, in `off-model-sft`: how far it comes back, and in whose style."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from cavesson.figures import percent
from cavesson.findings.views import ClaimView
from cavesson.studies.grid import Measured, Place
from cavesson.studies.off_model.grid import rl_role
from cavesson.studies.off_model.readings import before, degraded_plain, plain, reasoning
from cavesson.studies.off_model.shown import along
from cavesson.studies.off_model.styles import has_styles, own_style, styles_at
from cavesson.studies.sample import Sample
from cavesson.studies.shown import chart, table

REWARDS = {"correct": "rewards for right answers", "random": "random rewards", "shuffled": "shuffled rewards"}

TOLD = 0.05
"""A style in less than this share of the traces is not told of."""


def rl(m: Measured) -> Iterator[Any]:
    """Accuracy and styles along reinforcement learning from the run that the arms vary, and what is left at the end."""
    place, label, settings = plain(m), reasoning(m), m.config.recovery.rl
    roles = {words: rl_role(reward) for reward, words in REWARDS.items() if rl_role(reward) in place.roles}
    if not roles:
        return
    whose = f"{place['student']} after SFT on {place['teacher']}"
    yield chart(
        f"Recovery of {label} by RL: {whose}",
        {
            f"{words}, seed {seed}": (place.steps(role), partial(_of_seed, place, role, seed))
            for words, role in roles.items()
            for seed in place.seeds
        },
        caption=f"Each iteration: {settings.problems} training problems x {settings.group} answers, one step (rank "
        f"{settings.rank}, lr {settings.lr:g}). Seed by seed, since each may find another way.",
        x="iterations",
        y=label,
    )
    yield chart(
        f"All benchmarks along RL for {label}: {whose}",
        {each: along(place, each, next(iter(roles.values()))) for each in place.evals()},
        x="iterations",
        y="accuracy",
    )
    yield table(
        f"What is left of the damage after RL on {label}",
        "Accuracy after RL minus before all training, on the same prompts.",
        {(words, str(place.steps(role)[-1])): role for words, role in roles.items()},
        {each: partial(place.change, each, -1) for each in place.evals()},
        first=("RL with", "iterations"),
        shade="good",
    )
    if has_styles(place):
        yield table(
            f"Style of the reasoning along RL: {whose}",
            f"Share of the traces in each style that has at least {percent(TOLD)}, right or wrong; the student's own "
            f"is {own_style(place)}. A trace that mixes two counts as the one with more signs of it.",
            {str(seed): row for row, seed in enumerate(place.seeds)},
            {f"{step} iterations": partial(_styles_of, place, step) for step in place.steps(rl_role("correct"))},
            first="seed",
        )


def _of_seed(place: Place, role: str, seed: int, step: int) -> Sample:
    return place.sample(place.evals()[0], step, role).by_seed[seed]


def _styles_of(place: Place, step: int, row: int) -> str:
    return _told(styles_at(place, step, rl_role("correct"))[row])


def _told(styles: Sequence[str | None]) -> str:
    """The styles of some traces, the commonest first."""
    counted = sorted(Counter(map(str, styles)).items(), key=lambda found: (-found[1], found[0]))
    shares = [(name, count / len(styles)) for name, count in counted]
    return ", ".join(f"{name} {percent(share, 0)}" for name, share in shares if share >= TOLD)


def rl_headline(m: Measured, judged: Sequence[ClaimView]) -> Iterator[str]:
    """How far RL came, and in whose style, where SFT cost something."""
    label, role = reasoning(m), rl_role("correct")
    [place] = degraded_plain(m).having(role)
    last, said = place.steps(role)[-1], ""
    if has_styles(place):
        told = _told([style for row in styles_at(place, last, role) for style in row])
        said = f"; the reasoning is then in these styles: {told} (its own is {own_style(place)})"
    yield (
        f"After SFT on {place['teacher']}, {last} iterations of RL take {label} from {place.sample(label).estimate} to "
        f"{place.sample(label, last, role).estimate} (before SFT {before(place).estimate}){said}."
    )
