"""The learning-rate range test (Smith 2017, arXiv 1506.01186), read by what each rate costs rather than by how fast the loss falls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cavesson.data.recipes import DataRecipe
from cavesson.errors import TrainingError
from cavesson.evals.benchmarks import AnyEval
from cavesson.evals.recipes import asking
from cavesson.lab.effort import Effort
from cavesson.lab.recipe import Job, PathOf, Recipe
from cavesson.lines import json_line, read_json_lines
from cavesson.training.recipes import Trained

if TYPE_CHECKING:
    from cavesson.models.model import Model

RUNGS = 10
"""Rungs of a ramp: two in each of the five powers of ten that the schedule "ramp" climbs."""
HIGHEST = 0.1
"""Learning rate of the last rung."""
FILE = "rungs.jsonl"


@dataclass(frozen=True, slots=True)
class Rung:
    """What a model is like once the ramp has reached a learning rate.

    Attributes:
        lr: the learning rate; 0: before training.
        loss: mean training loss since the rung before; None before training.
        held_out: mean loss on held-out examples, in nats per token.
        capability: mean score over all items of the suite; None without a suite.
    """

    lr: float
    loss: float | None
    held_out: float
    capability: float | None


def kept(rungs: Sequence[Rung]) -> list[float]:
    """What is left of the model at each rung, as a share: the untouched model's capability.

    Without a suite, the probability of a held-out token, as a share of the most that it was at any rung before: own answers make
    own answers likelier, until the rate is too high.
    """
    if rungs[0].capability:
        return [(rung.capability or 0.0) / rungs[0].capability for rung in rungs]
    least = accumulate((rung.held_out for rung in rungs), min)
    return [math.exp(before - rung.held_out) for before, rung in zip(least, rungs, strict=True)]


def top(steps: int) -> float:
    """The rate to which a ramp of so many steps has to rise so that its last step, which falls short of it, is at `HIGHEST`."""
    return HIGHEST * 10 ** (5 / steps)


class RateTest(Recipe):
    """A short training whose learning rate rises geometrically, and what is left of the model after each rung.

    All rungs below one move the weights by less than half of what the rung moves them, so a rung shows its own rate's damage.

    Attributes:
        run: the training; its schedule is "ramp", its steps a multiple of `RUNGS`.
        held_out: examples to measure the loss on.
        suite: evaluations of capability; empty: the loss alone is measured.
    """

    kind: ClassVar[str] = "rate-test"
    stage: ClassVar[str] = "training with probes"

    run: Trained
    held_out: DataRecipe
    suite: tuple[AnyEval, ...] = ()

    @property
    def numerics(self) -> str:
        return self.run.precision

    @property
    def ranks(self) -> int:
        return self.run.ranks

    def inputs(self) -> tuple[Recipe, ...]:
        """The inputs of the run, which is trained in memory, and the held-out data."""
        return tuple(dict.fromkeys((*self.run.inputs(), self.held_out)))

    def effort(self) -> Effort:
        base = self.run.base
        read = Effort(base.weights, read=self.held_out.rough_size * base.usual_room / 2)
        return (read + asking(base, self.suite)).times(RUNGS + 1) + self.run.effort()

    def make(self, job: Job) -> None:
        """Train and measure; write `rungs.jsonl` and `losses.jsonl`. A run that diverges ends the ramp there."""
        from cavesson.evals.scoring import score_suite
        from cavesson.sampling.choice import sampler_for
        from cavesson.sampling.perplexity import mean_loss

        job.scratch.mkdir(parents=True, exist_ok=True)
        held_out, steps = self.held_out.examples(job.path), self.run.steps or 0
        every = steps // RUNGS

        def measure(step: int, model: Model) -> None:
            done = self._losses(job.folder)[-every:] if step else []
            scores = score_suite(sampler_for(model), self.suite, step=step) if self.suite else []
            rung = Rung(
                lr=done[-1][1] if done else 0.0,
                loss=_mean([loss for loss, _ in done]) if done else None,
                held_out=mean_loss(model, held_out),
                capability=_mean([row.score for row in scores]) if scores else None,
            )
            (job.scratch / f"rung-{step:05d}.json").write_text(json_line(asdict(rung)), encoding="utf-8")

        try:
            self.run.train(self.run.base.load(job.path), job, at=range(0, steps + 1, every), visit=measure)
        except TrainingError:
            if not (job.scratch / f"rung-{every:05d}.json").is_file():
                raise
        parts = sorted(job.scratch.glob("rung-*.json"))
        (job.folder / FILE).write_text("".join(part.read_text(encoding="utf-8") for part in parts), encoding="utf-8")

    def rungs(self, path_of: PathOf) -> list[Rung]:
        """The finished rungs, rates rising; the first is the untouched model."""
        return [Rung(**row) for _, row in read_json_lines(path_of(self) / FILE)]

    def describe(self) -> str:
        return f"learning rates up to {HIGHEST:g} of {self.run.describe()}"

    def _losses(self, folder: Path) -> list[tuple[float, float]]:
        """Loss and learning rate of every step so far."""
        return [(row["loss"], row["lr"]) for _, row in read_json_lines(folder / "losses.jsonl")]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
