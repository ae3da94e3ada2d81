"""Recipes of scores: scores of a finished model, scores along a training run, and the checkpoint that such scores choose."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator, model_validator

from cavesson.errors import ConfigError
from cavesson.evals.behavior_eval import BehaviorEval
from cavesson.evals.benchmarks import Suite
from cavesson.evals.items import Eval, check_weighable
from cavesson.lab.effort import Effort
from cavesson.lab.recipe import Job, PathOf, Recipe
from cavesson.models.recipes import ModelRecipe
from cavesson.training.recipes import Training

if TYPE_CHECKING:
    from cavesson.evals.scores import Score, Scores
    from cavesson.models.model import Model

LOGS = "logs"
"""The folder of an artifact of scores in which other packages that conduct evaluations keep their logs."""


class Scored(Recipe):
    """A model's scores.

    Attributes:
        suite: the evaluations; their labels differ.
    """

    kind: ClassVar[str] = "scored"
    stage: ClassVar[str] = "scoring"
    version: ClassVar[int] = (
        3  # 2: a chant with a mangled copy in it counts; 3: mangled answers, scorers of world version 2
    )

    model: ModelRecipe
    suite: Suite

    @model_validator(mode="after")
    def _has_likelihoods(self) -> Scored:
        from cavesson.sampling.openai import APIModel

        check_weighable(self.suite, not isinstance(self.model, APIModel))
        return self

    def effort(self) -> Effort:
        return asking(self.model, self.suite)

    def make(self, job: Job) -> None:
        """Write `scores.jsonl`, and `usage.json` for a model behind an API.

        Answers in the store's cache are not sampled again.
        """
        from cavesson.evals.scores import SCORES, write_scores
        from cavesson.evals.scoring import score_suite
        from cavesson.sampling.choice import sampler_for
        from cavesson.sampling.sampler import write_usage

        sampler = sampler_for(self.model, job)
        rows = score_suite(sampler, self.suite, progress=job.progress, logs=job.folder / LOGS)
        write_usage(job.folder, sampler)
        write_scores(job.folder / SCORES, rows)
        job.progress(len(rows), len(rows), **_rates(self.suite, rows))

    def scores(self, path_of: PathOf) -> Scores:
        """The finished scores."""
        from cavesson.evals.scores import read_scores

        return read_scores(path_of(self))

    def describe(self) -> str:
        return f"scores of {self.model.describe()}: {_listed(self.suite)}"


def asking(model: ModelRecipe, suite: Sequence[Eval]) -> Effort:
    """The work of scoring a model once."""
    return sum((model.answering(one.n, one.room) for one in suite), Effort(model.weights))


def decisive(suite: Suite) -> tuple[str, ...]:
    """Labels of what a frontier and the choice of a checkpoint read: capability and the triggered behaviour.

    The controls (clean and near-miss prompts, style) are read before and after training alone.
    """
    return tuple(
        one.label for one in suite if one.capability or (isinstance(one, BehaviorEval) and one.when == "triggered")
    )


class Probed(Recipe):
    """Scores of a training run at chosen steps while the run trains; the weights are not kept.

    Attributes:
        run: the training run; its artifact is neither read nor made.
        steps: when the model is scored; step 0, before training, has the scores of `run.base`, which all runs from this base
            share.
        suite: the evaluations; their labels differ.
        between: labels of those that are also asked between the first and the last of the steps; None: all are.
    """

    kind: ClassVar[str] = "probed"
    stage: ClassVar[str] = "training with probes"
    version: ClassVar[int] = 3  # as `Scored`

    run: Training
    steps: tuple[int, ...] = Field(min_length=1)
    suite: Suite
    between: tuple[str, ...] | None = None

    @field_validator("steps")
    @classmethod
    def _in_order(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if min(steps, default=0) < 0:
            raise ValueError(f"there is no step {min(steps)}")
        return tuple(sorted(set(steps)))

    @model_validator(mode="after")
    def _within_run(self) -> Probed:
        if self.run.steps is not None and self.steps[-1] > self.run.steps:
            raise ValueError(f"step {self.steps[-1]} lies beyond the run's last step, {self.run.steps}")
        if unknown := set(self.between or ()) - {one.label for one in self.suite}:
            raise ValueError(f"the suite has no evaluation {min(unknown)!r} to ask between the first and the last step")
        return self

    @property
    def numerics(self) -> str | None:
        return self.run.numerics

    @property
    def ranks(self) -> int:
        return self.run.ranks

    def asked_at(self, step: int) -> Suite:
        """What the model is scored on at one of the steps."""
        if self.between is None or step in (self.steps[0], self.steps[-1]):
            return self.suite
        return tuple(one for one in self.suite if one.label in self.between)

    def inputs(self) -> tuple[Recipe, ...]:
        """The inputs of the run, which is trained in memory, and the scores of its base if step 0 is among the steps."""
        return (*self.run.inputs(), *([self._start] if 0 in self.steps else []))

    @property
    def task(self) -> str:
        """Reinforcement learning takes other times than SFT does."""
        return f"{self.kind} {self.run.kind}"

    def effort(self) -> Effort:
        scored = (asking(self.run.base, self.asked_at(step)) for step in self.steps if step > 0)
        return sum(scored, self.run.effort_of(self.run.steps or self.steps[-1]))

    @cached_property
    def _start(self) -> Scored:
        return Scored(model=self.run.base, suite=self.suite)

    def make(self, job: Job) -> None:
        """Train and score; write `scores.jsonl` and `losses.jsonl`.

        The complete scores of each step go into scratch. A run that resumes after a kill reads these scores from scratch; the
        scores of the unfinished step are made again, from the same weights.

        Raises:
            ConfigError: the run ended before one of the steps.
        """
        from cavesson.evals.scores import SCORES, read_scores, write_scores
        from cavesson.evals.scoring import score_suite
        from cavesson.sampling.choice import sampler_for

        job.scratch.mkdir(parents=True, exist_ok=True)
        last = self.run.steps or self.steps[-1]
        trained_steps = [step for step in self.steps if step > 0]
        if 0 in self.steps:
            write_scores(_part(job.scratch, 0), (replace(row, step=0) for row in self._start.scores(job.path).rows))

        def score(step: int, model: Model) -> None:
            def report(done: int, total: int, **_: float | str) -> None:
                job.progress(step, last, scored=f"{done}/{total}")

            suite = self.asked_at(step)
            rows = score_suite(sampler_for(model), suite, step=step, progress=report, logs=job.folder / LOGS)
            write_scores(_part(job.scratch, step), rows)
            job.progress(step, last, **_rates(suite, rows))

        self.run.train(self.run.base.load(job.path), job, at=trained_steps, visit=score)
        missing = [step for step in self.steps if not _part(job.scratch, step).is_file()]
        if missing:
            raise ConfigError(
                f"The run ended before step {missing[0]}, at which it was to be scored.", "Leave that step out."
            )
        write_scores(
            job.folder / SCORES, (row for step in self.steps for row in read_scores(_part(job.scratch, step)).rows)
        )

    def scores(self, path_of: PathOf) -> Scores:
        """The finished scores."""
        from cavesson.evals.scores import read_scores

        return read_scores(path_of(self))

    def describe(self) -> str:
        return f"{self.run.describe()}, scored at {len(self.steps)} steps"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One checkpoint that may be selected.

    Attributes:
        among: index of the checkpoint's run in `Selected.among`.
        step: training step, 1 or later.
        bad: what remains of the bad behaviour on triggered prompts, whole or mangled.
        capability: mean over the capability benchmarks; 1 where there are none.
        kept: the capability as a share of the untouched model's.
    """

    among: int
    step: int
    bad: float
    capability: float
    kept: float


class Selected(ModelRecipe):
    """The checkpoint of several probed runs that leaves least of the bad behaviour and keeps enough capability.

    A checkpoint keeps enough if its capability is at least (1 − `max_loss`) of the capability before training. The one with the
    least left of the behaviour, whole or mangled, wins; among equal rates the higher capability, then the earlier step. If no
    checkpoint keeps enough, the one that keeps most is taken, and `choice.json` shows what it kept: the untouched model is never
    compared with itself. The run is trained again up to the chosen step, which gives the weights that were scored.

    Attributes:
        among: runs from one base, scored on one suite at step 0 and other steps.
        max_loss: share of the capability that may be lost.
    """

    kind: ClassVar[str] = "selected"
    version: ClassVar[int] = 2  # 2: a mangled answer is not removed; never the untouched model
    stage: ClassVar[str] = "training to the chosen checkpoint"

    among: tuple[Probed, ...] = Field(min_length=1)
    max_loss: float = Field(default=0.1, ge=0, le=1)

    @model_validator(mode="after")
    def _comparable(self) -> Selected:
        if len({(probed.run.base, probed.suite) for probed in self.among}) > 1:
            raise ValueError("the runs to select from must share their base and their suite")
        if len({probed.ranks for probed in self.among}) > 1:
            raise ValueError("the runs to select from must have the same number of processes")
        if not self._triggered():
            raise ValueError("the suite has no triggered behaviour to select by")
        needed = {*self._triggered(), *self._capabilities()}
        if any(probed.between is not None and not needed <= set(probed.between) for probed in self.among):
            raise ValueError("a checkpoint between the ends cannot be chosen without its behaviour and capability")
        if self._capabilities() and any(0 not in probed.steps for probed in self.among):
            raise ValueError("a run without scores at step 0 has no capability to compare with")
        if not any(step > 0 for probed in self.among for step in probed.steps):
            raise ValueError("the runs to select from are scored at no step after the start")
        return self

    @property
    def numerics(self) -> str | None:
        """The numerics of the runs, which are the same for all."""
        return self.among[0].run.numerics

    @property
    def far(self) -> bool:
        return self.among[0].run.far

    @property
    def has_adapter(self) -> bool:
        """At a service the adapter stays one; here it is merged."""
        return self.far

    @property
    def ranks(self) -> int:
        return self.among[0].ranks

    @property
    def usual_room(self) -> int:
        return self.among[0].run.usual_room

    def inputs(self) -> tuple[Recipe, ...]:
        """The scores, and the inputs of the runs."""
        below = (recipe for probed in self.among for recipe in probed.inputs())
        return tuple(dict.fromkeys([*self.among, *below]))

    def effort(self) -> Effort:
        """As far as is known before the choice: half of a run."""
        run = self.among[0].run
        return run.effort_of((run.steps or 0) // 2 + 1)

    def choose(self, path_of: PathOf) -> tuple[Candidate, list[Candidate]]:
        """The checkpoint that the scores choose, and all candidates."""
        candidates = list(self._candidates(path_of))
        able = [one for one in candidates if one.kept >= 1 - self.max_loss]
        if not able:
            return max(candidates, key=lambda one: (one.kept, -one.bad)), candidates
        return min(able, key=lambda one: (one.bad, -one.capability, one.step)), candidates

    def make(self, job: Job) -> None:
        """Train up to the chosen step; write `final/` (a whole Hugging Face folder) and `choice.json`."""
        from cavesson.models.far import is_far, save_far
        from cavesson.models.loading import save_folder

        chosen, candidates = self.choose(job.path)
        run = self.among[chosen.among].run
        final = job.folder / "final"
        model = run.base.load(job.path)

        def keep(step: int, reached: Model) -> None:
            final.mkdir(exist_ok=True)
            (save_far if is_far(reached) else save_folder)(reached, final)
            raise _Reached

        with suppress(_Reached):
            run.train(model, job, at=(chosen.step,), visit=keep)
        facts = {
            "run": run.fingerprint,
            "system": model.system,
            "chosen": asdict(chosen),
            "candidates": [asdict(candidate) for candidate in candidates],
        }
        (job.folder / "choice.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")

    def load(self, path_of: PathOf) -> Model:
        from cavesson.models.far import load_far
        from cavesson.models.loading import open_folder

        folder = path_of(self)
        facts = json.loads((folder / "choice.json").read_text(encoding="utf-8"))
        if self.far:
            return load_far(self.among[0].run.base.load(path_of), folder / "final").with_key(self.fingerprint)
        return replace(open_folder(folder / "final", key=self.fingerprint), system=facts["system"])

    def describe(self) -> str:
        return f"the best checkpoint of {len(self.among)} run{'s' * (len(self.among) != 1)}"

    def _triggered(self) -> list[str]:
        return [one.label for one in self.among[0].suite if isinstance(one, BehaviorEval) and one.when == "triggered"]

    def _capabilities(self) -> list[str]:
        return [one.label for one in self.among[0].suite if one.capability]

    def _candidates(self, path_of: PathOf) -> Iterator[Candidate]:
        for index, probed in enumerate(self.among):
            scores = probed.scores(path_of)
            start = self._capability(scores, 0) if self._capabilities() else 1.0
            for step in probed.steps:
                if step > 0:
                    bad = _mean([int(row.remains) for label in self._triggered() for row in scores.cell(label, step)])
                    able = self._capability(scores, step)
                    yield Candidate(index, step, bad, able, kept=able / start if start else 1.0)

    def _capability(self, scores: Scores, step: int) -> float:
        """Mean over the benchmarks; 1 where there are none."""
        rates = [scores.rate(label, step).value for label in self._capabilities()]
        return _mean(rates) if rates else 1.0


class _Reached(Exception):
    """The chosen step is reached: ends the run."""


def _part(scratch: Path, step: int) -> Path:
    return scratch / f"scores-{step:06d}.jsonl"


def _mean(values: list[int] | list[float]) -> float:
    return math.fsum(values) / len(values)


def _rates(suite: Suite, rows: Sequence[Score]) -> dict[str, float]:
    """The rate of each evaluation, for whoever watches."""
    answered = {one.label: [row.score for row in rows if row.eval == one.label] for one in suite}
    return {label: _mean(scores) for label, scores in answered.items() if scores}


def _listed(suite: Suite) -> str:
    return ", ".join(one.label for one in suite)
