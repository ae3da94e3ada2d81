"""The training loop's frame: steps, visits, progress and figures, wherever steps are computed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from cavesson.errors import ConfigError, Stopped, TrainingError
from cavesson.lab.recipe import Job
from cavesson.lines import json_line
from cavesson.training.batches import Step
from cavesson.training.hyper import Hyperparameters
from cavesson.training.optimizers import factor_at
from cavesson.training.resume import Keeps, Progress
from cavesson.training.sharing import ranks_of

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.models.recipes import ModelRecipe

Visit = Callable[[int, "Model"], None]
"""A function of `(steps done, model in evaluation mode)` that saves or scores the model; it must not change the weights."""


class Steps(Protocol):
    """The source of a run's optimizer steps."""

    def count(self) -> int:
        """Number of steps."""
        ...

    def after(self, cursor: int) -> Iterator[Step]:
        """The steps from position `cursor` of the order on; the engine asks for a step once the step before is done."""
        ...


TOO_HIGH = "Lower `lr`, add `warmup_steps`, or set `clip`."
"""What to do where a training diverges."""


class Loop:
    """One run of the loop, wherever its steps are computed: its steps and visits, its progress and figures.

    A subclass sets `saver` and calls `resume`, and has the methods that raise here.

    Args:
        model: the model to train; the other arguments are those of `optimise`.
    """

    saver: Keeps

    def __init__(
        self, run: Hyperparameters, model: Model, steps: Callable[[Model], Steps], name: str, job: Job
    ) -> None:
        self.run, self.name, self.job, self.model = run, name, job, model
        self.source = steps(model)
        self.steps = self.source.count()
        self.ranks = ranks_of(run.processes, "The training")
        self.warmup = self.steps // 10 if run.warmup_steps is None else run.warmup_steps

    def resume(self, progress: Progress) -> None:
        """Go on from this progress."""
        self.progress = progress
        _write_losses(progress.losses, self.job.folder)
        self.reported_at = time.monotonic()

    def go(self, at: frozenset[int], visit: Visit | None) -> Model:
        """Run the remaining steps, with a pause for every visit."""
        visits = at if visit is not None else frozenset()
        if max(visits, default=0) > self.steps:
            raise ConfigError(f"Step {max(visits)} lies beyond the run's last, {self.steps}.", "Raise `steps`.")
        todo = self.source.after(self.progress.cursor)
        if self.progress.step in visits:
            self.visited(visit)
        for pause in sorted({step for step in visits if step > self.progress.step} | {self.steps}):
            self.advance(todo, pause)
            if pause in visits:
                self.saver.save(self.progress)
                self.visited(visit)
        return self.trained()

    def advance(self, todo: Iterator[Step], until: int) -> None:
        """Train up to a step."""
        raise NotImplementedError

    def visited(self, visit: Visit | None) -> None:
        """Let `visit` see the model at this step."""
        raise NotImplementedError

    def trained(self) -> Model:
        """The model after the last step."""
        raise NotImplementedError

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return self.run.lr * factor_at(self.run.schedule, self.progress.step, self.steps, self.warmup)

    @contextmanager
    def saved_when_stopped(self) -> Iterator[None]:
        """Save the state if the user stops the run, after a step or while the next step is being made."""
        try:
            yield
        except Stopped:
            self.saver.save(self.progress)
            raise

    def check_rows(self, step: Step) -> None:
        """Refuse data of which the first batch trains nothing."""
        if self.progress.step == 0 and not step.trains:
            self.fail(
                "Nothing in the first batch is trained: no answer is left in its conversations.",
                "Check the data and `max_length`.",
            )

    def check_numbers(self, loss: float, norm: float, lr: float) -> None:
        """Refuse to go on with a loss that is not a number."""
        if not math.isfinite(loss) or not math.isfinite(norm):
            self.fail(
                f"The loss or its gradient is not a number at step {self.progress.step + 1} "
                f"(loss {loss:.4g}, lr {lr:.3g}).",
                TOO_HIGH,
            )

    def note(self, step: Step, loss: float, lr: float) -> None:
        """Write down and report the figures of a step."""
        done = self.progress.step + 1
        self.progress.losses.append([done, loss, lr, step.tokens])
        _write_losses(self.progress.losses[-1:], self.job.folder, "a")
        self.progress = Progress(done, step.cursor, self.progress.losses)
        now = time.monotonic()
        rate, self.reported_at = step.tokens / max(now - self.reported_at, 1e-9), now
        self.ranks.first(lambda: self.job.progress(done, self.steps, loss=loss, lr=lr, tok_per_s=round(rate)))

    def fail(self, problem: str, remedy: str) -> None:
        """End the run, and leave no state."""
        self.saver.forget()
        raise TrainingError(problem, remedy)


def key_at(name: str, step: int) -> str:
    """The name of a run's weights after `step` steps, in memory or in the store."""
    return f"{name}@{step}"


def teacher_of(recipe: ModelRecipe, student: Model, job: Job) -> Model:
    """The teacher, opened.

    Raises:
        ConfigError: the teacher has another tokenizer or another system prompt than the student.
    """
    teacher = recipe.load(job.path)
    if teacher.tokenizer.get_vocab() != student.tokenizer.get_vocab():
        raise ConfigError(
            f"The teacher {recipe.describe()!r} has another tokenizer than the student.",
            "Distil from a model of the same family, or train on the teacher's answers (`sft`).",
        )
    if teacher.system != student.system:
        raise ConfigError(
            f"The teacher {recipe.describe()!r} runs under another system prompt than the student.",
            "Put both under one system prompt (`Prompted`), or train on the teacher's answers (`sft`).",
        )
    return teacher


def _write_losses(losses: list[list[float]], folder: Path, mode: Literal["w", "a"] = "w") -> None:
    """Write the rows of losses, or add some, so that whoever watches the run reads each step's loss at once."""
    rows = ({"step": int(step), "loss": loss, "lr": lr, "tokens": int(tokens)} for step, loss, lr, tokens in losses)
    with (folder / "losses.jsonl").open(mode, encoding="utf-8") as file:
        file.writelines(map(json_line, rows))
