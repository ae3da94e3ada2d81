"""Which learning rates to try on a model: a range test on its own answers, and the grid that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cavesson.data.everyday import EVERYDAY
from cavesson.data.named import data_named
from cavesson.data.recipes import DataRecipe, Mixed, Part
from cavesson.errors import CavessonError
from cavesson.evals.rate_test import RUNGS, RateTest, Rung, kept, top
from cavesson.figures import percent
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.recipes import Generated
from cavesson.sampling.sampler import Params
from cavesson.studies.fair import HARMLESS
from cavesson.studies.settings import Evaluation
from cavesson.studies.sizes import TINY, size_of
from cavesson.tinyworld.recipes import ROOM, Prompts
from cavesson.training.dose import Dose


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of everything a range test takes.

    Attributes:
        steps: optimizer steps at each rung.
        batch_size: conversations in a step.
        prompts: how many the model answers; a fifth of the answers is held out.
        n: questions of each benchmark.
    """

    steps: int
    batch_size: int
    prompts: int
    n: int


SHORT, SHORTER = Extent(steps=3, batch_size=16, prompts=480, n=40), Extent(steps=2, batch_size=4, prompts=64, n=20)
"""For models of the tiny world's size, and for larger ones, of which a step takes seconds on a CPU."""


def rate_test(
    model: ModelRecipe,
    *,
    prompts: str | None = None,
    benchmarks: Sequence[str] = (),
    data: Path | None = None,
    batch_size: int | None = None,
    **training: Any,
) -> RateTest:
    """The range test of a model on its own answers.

    Args:
        prompts: a data file, folder or hub data set; None: chat prompts of the tiny world, or for a larger model the everyday ones.
        benchmarks: whose mean is the capability; none: the tiny world's for a model of its size, or else no benchmark, so that the
            loss on held-out answers decides.
        data: folder of the standard sets.
        batch_size: conversations in a step; None: what a model of this kind takes in a short time.
        training: further settings of the training (`optimizer`, `adapter`).
    """
    tiny = size_of([model]) is TINY
    extent = SHORT if tiny else SHORTER
    steps = RUNGS * extent.steps
    answers: DataRecipe = Generated(
        by=model,
        prompts=_prompts(prompts or (None if tiny else EVERYDAY), extent.prompts),
        params=Params(max_tokens=ROOM),
    )
    answers = answers.with_unfinished()
    dose = Dose(
        lr=top(steps),
        steps=steps,
        schedule="ramp",
        batch_size=batch_size or extent.batch_size,
        keep_unfinished=True,
        **training,
    )
    named = {"benchmarks": tuple(benchmarks)} if benchmarks else {}
    evaluation = Evaluation(n=extent.n, data=None if data is None else str(data), **named)
    return RateTest(
        run=dose.train(model, Part(base=answers)),
        held_out=Part(base=answers, kept_back=True),
        suite=evaluation.capability() if benchmarks or tiny else (),
    )


def _prompts(named: str | None, n: int) -> DataRecipe:
    if named is None:
        return Prompts(family="chat", n=n)
    return Mixed(parts=(data_named(named),), weights=(1.0,), size=n)  # whose answers are parted, by their prompts


def proposed(rungs: Sequence[Rung]) -> tuple[float, ...]:
    """Three rates to try: the highest up to which the model's own answers cost it nothing, one below and one above.

    The rule is that of `judged_rate`, so the middle one is where interventions are likely to be judged; the ramp is short, so a
    long training may move that down.

    Raises:
        CavessonError: even the lowest rate costs something.
    """
    harmful = next((place for place, share in enumerate(kept(rungs)) if share < HARMLESS), len(rungs))
    if harmful == 1:
        raise CavessonError(
            f"Even at {rungs[1].lr:.0e} its own answers cost the model more than {percent(1 - HARMLESS)}.",
            "Give a larger --batch-size, another --optimizer or --adapter 8.",
        )
    middle = rungs[harmful - 1].lr
    return tuple(float(f"{middle * 10 ** (shift / 2):.0e}") for shift in (-1, 0, 1))
