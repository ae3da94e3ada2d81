"""Tasks of Inspect (UK AI Security Institute) as benchmarks: any task that an installed package or a file of yours registers."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cavesson.errors import CavessonError, ConfigError, optional
from cavesson.evals.conducted import Conducted, digest
from cavesson.evals.items import drawn
from cavesson.evals.scores import Score
from cavesson.lab.trust import trusted_source
from cavesson.sampling.sampler import Progress, Sampler

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.scorer import Score as InspectScore

PREFIX = "inspect:"
GRADER = "grader"
"""The argument that names the model that grades, where a task's scorer is a model: it is none of the task's own."""
UNREADABLE = ("invalid_response_format", "no_response", "grader_failed", "scoring_failed")
"""Inspect's reasons for which a score says nothing about whether the answer is right."""


@contextmanager
def logging_kept() -> Iterator[None]:
    """Leave the root logger as it was: Inspect sets its level and gives it a handler, which would swallow everybody's warnings."""
    root = logging.getLogger()
    level, handlers = root.level, [*root.handlers]
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


class InspectTask(Conducted):
    """A task of Inspect. An answer scores if the task's first scorer gives it full marks; a sample without a score is unreadable.

    Each score records what else Inspect said: `value` where it is neither full nor no marks, `reason`, and the other scorers'
    `values`. Greedy unless the task names a temperature; one epoch.
    """

    about = "full marks from the task's own scorer"
    called = "Inspect's task {!r}"
    capability = True

    name: Literal["inspect"] = "inspect"

    @classmethod
    def read(cls, task: str, arguments: Mapping[str, Any]) -> tuple[Task, str]:
        found = _loaded(task, arguments)
        return found, _content(found, task)

    def conduct(
        self, sampler: Sampler, step: int | None = None, logs: Path | None = None, progress: Progress | None = None
    ) -> list[Score]:
        import inspect_ai
        from inspect_ai.dataset import MemoryDataset

        from cavesson.sampling.inspected import model_of

        arguments = dict(self.arguments)
        task = self.unchanged()
        samples = list(task.dataset)
        chosen = [samples[number] for number in drawn(len(samples), self.n, self.seed)]
        task.dataset = MemoryDataset(chosen, name=task.dataset.name)
        asking = self.asking(sampler, progress, len(chosen))
        with ExitStack() as stack:
            folder = logs or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            stack.enter_context(logging_kept())
            [log] = inspect_ai.eval(
                task,
                model=model_of("model", asking, self.room),
                model_roles={GRADER: str(arguments[GRADER])} if GRADER in arguments else None,
                max_tokens=self.max_tokens,
                epochs=1,
                log_dir=str(folder),
                display="none",
                log_level="critical",
            )
            if asking.halted is not None:
                raise asking.halted
            return self._scores(
                log, [str(sample.id) for sample in chosen], step
            )  # reads the log, which is in the folder

    def _scores(self, log: EvalLog, ids: list[str], step: int | None) -> list[Score]:
        found = {str(sample.id): sample for sample in log.samples or ()}
        failed = next((sample.error.message for sample in found.values() if sample.error), None)
        if log.status != "success" or failed or not set(ids) <= found.keys():
            why = failed or (log.error.message if log.error else "samples are missing")
            raise CavessonError(
                f"Inspect's task {self.task!r} failed: {' '.join(why.split())[:300]}",
                f"Try it by itself: inspect eval {self.task} --model cavesson/MODEL --limit 2",
            )
        return [self._score(found[name], step) for name in ids]

    def _score(self, sample: EvalSample, step: int | None) -> Score:
        if not sample.scores:
            raise ConfigError(f"Inspect's task {self.task!r} has no scorer.", "Name a task that has one.")
        first, *others = sample.scores.values()
        worth = value_of(first, self.task)
        unreadable = math.isnan(worth) or (worth < 1 and first.reason in UNREADABLE)
        extra: dict[str, Any] = {"unreadable": True} if unreadable else {}
        extra |= {"value": worth} if 0 < worth < 1 else {}
        extra |= {"reason": first.reason} if first.reason else {}
        extra |= {"values": [one.value for one in others]} if others else {}
        answered = [number for number, message in enumerate(sample.messages) if message.role == "assistant"]
        asked = sample.messages[: answered[-1]] if answered else sample.messages
        return Score(
            step=step,
            eval=self.label,
            item=f"{self.task}/{sample.id}",
            level=None,
            prompt=[{"role": "user" if one.role == "tool" else one.role, "content": one.text} for one in asked],
            completion=sample.output.completion,
            score=int(worth >= 1),
            finished=sample.output.stop_reason != "max_tokens",
            extra=extra,
        )


def inspect_task(name: str, **settings: Any) -> dict[str, Any]:
    """The settings of a benchmark by name: `inspect:inspect_evals/gsm8k`, `inspect:mine.py@task:level=3`.

    Raises:
        MissingExtra, ConfigError: as of `_loaded`.
    """
    from cavesson.named import template_arguments

    task, arguments = template_arguments(name.removeprefix(PREFIX))
    file, at, own = task.rpartition("@")
    if at and file.endswith(".py"):  # workers, and later runs, may stand in another folder
        task = f"{Path(file).expanduser().resolve()}@{own}"
    content = _content(_loaded(task, arguments), task)
    return {"task": task, "arguments": tuple(arguments.items()), "content": content, **settings}


def value_of(score: InspectScore, task: str) -> float:
    """What a score of Inspect's is worth, between 0 and 1; NaN: it is unscored.

    Raises:
        ConfigError: the score has several values, or is beyond full marks.
    """
    from inspect_ai.scorer import value_to_float

    if isinstance(score.value, (Mapping, list, tuple)):
        raise ConfigError(f"The first scorer of Inspect's task {task!r} gives several values.", "Give it one score.")
    worth = float(score.value) if isinstance(score.value, float) else float(value_to_float()(score.value))
    if worth < 0 or worth > 1:
        raise ConfigError(
            f"The first scorer of Inspect's task {task!r} gives {worth:g}, which is no share of full marks.",
            "Score answers between 0 and 1, or with C and I.",
        )
    return worth


def _loaded(name: str, arguments: Mapping[str, Any]) -> Task:
    """The task of a name.

    Raises:
        MissingExtra: Inspect is not installed.
        ConfigError: there is no such task, or it cannot be made, or its samples cannot be had.
    """
    with optional("inspect-ai", "inspect"):
        from inspect_ai._eval.loader import load_tasks
    file, at, _ = name.rpartition("@")
    if at and file.endswith(".py"):
        try:
            trusted_source(Path(file).expanduser().resolve())
        except OSError as error:
            raise ConfigError(
                f"The file of Inspect's task {name!r} cannot be read: {error}", "Check its path."
            ) from error
    own = {key: value for key, value in arguments.items() if key != GRADER}
    try:
        tasks = load_tasks([name], own)
    except Exception as error:  # a task's own code is executed: it may raise anything
        raise ConfigError(
            f"Inspect's task {name!r} cannot be made: {type(error).__name__}: {' '.join(str(error).split())[:300]}",
            "Name it as package/task or file.py@task; the package that registers it has to be installed.",
        ) from error
    if len(tasks) != 1:
        raise ConfigError(
            f"Inspect has {'several tasks' if tasks else 'no task'} {name!r}.",
            "Name one, as package/task or file.py@task; the package that registers it has to be installed.",
        )
    for number, sample in enumerate(tasks[0].dataset, start=1):
        sample.id = number if sample.id is None else sample.id
    return tasks[0]


def _content(task: Task, name: str) -> str:
    """A digest of the task's name and samples, and of its file or the version of its package."""
    file, at, own = name.rpartition("@")
    in_file = bool(at) and file.endswith(".py")
    code = (own, Path(file).read_text(encoding="utf-8")) if in_file else (name, _version(name.partition("/")[0]))
    return digest(code, [sample.model_dump(mode="json", exclude_none=True) for sample in task.dataset])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
