"""Inspect is started here and nowhere else: a task on a model, with its log and its cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cavesson.audit.verdicts import Cost
from cavesson.errors import CavessonError, ConfigError, optional

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.model import Model

MESSAGES = 120
"""Messages in one conversation, of the model and the tools together."""

SECONDS = 1800
"""Of one conversation."""


class ModelFailed(CavessonError):
    """The model could not be reached, or Inspect gave up."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Answered:
    """One sample of a task: what the model submitted, why the model stopped, and the cost.

    Attributes:
        text: the submitted answer; empty if the model submitted none.
        limit: the limit that ended the conversation, if one did.
        cost: the cost of this sample.
    """

    text: str
    limit: str | None
    cost: Cost


def inspect() -> ModuleType:
    """The package.

    Raises:
        MissingExtra: Inspect is not installed.
    """
    with optional("inspect-ai", "audit"):
        import inspect_ai
    return inspect_ai


def model_named(name: str | Model) -> Model:
    """A model by Inspect's name for it.

    Raises:
        ConfigError: there is no such provider, or the provider lacks a package or a key.
    """
    inspect()
    from inspect_ai.model import Model, get_model

    if isinstance(name, Model):
        return name
    if "/" not in name:
        raise ConfigError(
            f"{name!r} is no model of Inspect's.", "Write provider/name, such as openai/gpt-5 or vllm/PATH."
        )
    try:
        return get_model(name)
    except Exception as error:  # providers raise errors of many classes: missing packages, missing keys, unknown names
        problem = " ".join(str(error).split())
        raise ConfigError(f"Inspect cannot use the model {name!r}: {problem}",
                          "See https://inspect.aisi.org.uk/providers.html for its package and key.") from error  # fmt: skip


def run_task(task: Task, model: Model, logs: Path) -> list[Answered]:
    """Run a task, or what a stopped run of the same task left to do, and read its answers in the order of the samples.

    A log folder belongs to one task: samples that are complete in the folder are not asked again.

    Raises:
        ModelFailed: samples are missing at the end, or the logs of another task lie there.
    """
    package = inspect()
    from inspect_ai.log import read_eval_log

    logs.mkdir(parents=True, exist_ok=True)
    try:
        done, found = package.eval_set(
            task, model=model, log_dir=str(logs), display="none", retry_attempts=1, retry_wait=1, retry_cleanup=True,
            log_level="critical", message_limit=MESSAGES, time_limit=SECONDS, score=False, max_samples=4,
        )  # fmt: skip
    except Exception as error:  # Inspect wraps a provider's failures in many classes
        raise ModelFailed(f"Inspect stopped: {' '.join(str(error).split())[:300]}",
                          f"Its log is in {logs}; the same command goes on from there.") from error  # fmt: skip
    log: EvalLog = read_eval_log(str(found[0].location))
    samples = {str(sample.id): sample for sample in log.samples or []}
    failed = [sample.error.message for sample in samples.values() if sample.error]
    names = [str(sample.id) for sample in task.dataset]
    if not done or failed or not set(names) <= set(samples):
        problem = failed[0] if failed else log.error.message if log.error else "samples are missing"
        raise ModelFailed(f"The model {model} gave no answer: {' '.join(problem.split())[:300]}",
                          f"Its log is in {logs}; the same command goes on from there.")  # fmt: skip
    return [_answered(samples[name]) for name in names]


def _answered(sample: EvalSample) -> Answered:
    usage = list(sample.model_usage.values())
    submitted = any(_submits(message) for message in sample.messages)
    is_agent = any(getattr(message, "tool_calls", None) for message in sample.messages)
    return Answered(
        text=sample.output.completion if submitted or not is_agent else "",
        limit=sample.limit.type if sample.limit else None,
        cost=Cost(
            seconds=float(sample.total_time or 0.0),
            tokens=sum(one.total_tokens for one in usage),
            dollars=sum(one.total_cost or 0.0 for one in usage),
        ),
    )


def _submits(message: Any) -> bool:
    return any(call.function == "submit" for call in getattr(message, "tool_calls", None) or ())
