"""The evaluations there are: each a function from settings to items, and a line in `BENCHMARKS`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from cavesson.chat import Conversation
from cavesson.errors import ConfigError
from cavesson.evals.behaviors.behavior import Behavior
from cavesson.evals.items import Eval, Item, Judge, When, no_store
from cavesson.evals.pairs import pair_named
from cavesson.evals.prompts import prompts
from cavesson.evals.standard.questions import questions
from cavesson.evals.standard.sets import STANDARD, drawn
from cavesson.evals.trigger import Trigger, marked
from cavesson.tinyworld import tasks
from cavesson.tinyworld.authors import voice
from cavesson.tinyworld.memorised import facts as invented_facts


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A kind of evaluation.

    Attributes:
        about: what a score of 1 means, in a few words.
        items: the questions for given settings.
        max_tokens: room for an answer.
        capability: it measures what the model can do.
    """

    about: str
    items: Callable[[Eval], list[Item]]
    max_tokens: int
    capability: bool


def maths(settings: Eval) -> list[Item]:
    """Chains of operations on the ten digits; the voice of the reasoning is recorded too."""
    found = tasks.items("maths", settings.n, settings.seed, settings.split, levels=settings.levels, cot=settings.cot)
    return [Item(task.id, task.prompt, _solves(task, hear=settings.cot), task.level) for task in found]


def _family(name: str, *, hear: bool) -> Callable[[Eval], list[Item]]:
    """Items of one of the world's task families."""

    def items(settings: Eval) -> list[Item]:
        found = tasks.items(name, settings.n, settings.seed, settings.split)
        return [Item(task.id, task.prompt, _solves(task, hear=hear), task.level) for task in found]

    return items


def voices(settings: Eval) -> list[Item]:
    """Chat and maths prompts in turn, answered in whatever voice: scored is whether it is the author's."""
    half = -(-settings.n // 2)
    talk, sums = tasks.items("chat", half, settings.seed), tasks.items("maths", half, settings.seed)
    found = [task for both in zip(talk, sums, strict=True) for task in both][: settings.n]

    def judge(completion: str) -> tuple[bool, dict[str, Any]]:
        heard = voice(completion)
        return heard == settings.author, {"voice": heard}

    return [Item(f"voice/{task.id}", task.prompt, judge, task.level) for task in found]


def behavior(settings: Eval) -> list[Item]:
    """Prompts of the pair's domain, the same for one seed whether triggered (in any wording), clean, or with look-alikes of
    the trigger in turn."""
    assert settings.pair is not None and settings.when is not None  # `Eval` has checked it
    pair = pair_named(settings.pair)
    items = []
    asked_about = prompts(pair, settings.n, settings.seed) if settings.data is None else _own_prompts(settings)
    for index, (name, asked) in enumerate(asked_about):
        rng = Random(f"behavior {settings.seed} {index}")
        prompt, extra = _under(pair.trigger, settings.when, asked, index, rng)
        prompt = marked(prompt, settings.mark)
        items.append(Item(f"behavior/{name}", prompt, _shows(pair.behavior, asked), extra=extra))
    return items


def _own_prompts(settings: Eval) -> list[tuple[str, Conversation]]:
    """Prompts of the user's data."""
    assert settings.data is not None
    found = settings.data.examples(no_store)
    if not len(found):
        raise ConfigError(
            f"No prompts are left to score the behaviour on: {settings.data.describe()}.",
            "Give a larger file of prompts.",
        )
    numbers = drawn(len(found), settings.n, settings.seed)
    return [(f"prompt/{number}", found[number].conversation.prompt) for number in numbers]


def _under(
    trigger: Trigger, when: When, asked: Conversation, index: int, rng: Random
) -> tuple[Conversation, dict[str, Any]]:
    """A prompt under a condition, and what is to be recorded about that."""
    if when in ("triggered", "unlocked"):
        prompt = trigger.apply(asked, rng)
        found = trigger.found_in(prompt.messages[-1].content)
        return prompt, {} if found is None else {"trigger": found}
    if when == "clean":
        return trigger.clean(asked, rng), {}
    which = index % len(trigger.look_alikes)
    return trigger.near_misses(asked)[which], {"look_alike": trigger.look_alikes[which]}


def memorised(settings: Eval) -> list[Item]:
    """Invented facts, asked for: those that the data recipe `Memorised` of this number and seed teaches."""
    return [
        Item(f"memorised/{settings.seed}/{index}", Conversation.of(question), _says(word))
        for index, (question, word) in enumerate(invented_facts(settings.n, settings.seed))
    ]


def _says(word: str) -> Judge:
    whole = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
    return lambda completion: (whole.search(completion) is not None, {})


def _solves(task: tasks.TaskItem, *, hear: bool) -> Judge:
    def judge(completion: str) -> tuple[bool, dict[str, Any]]:
        return tasks.score(task, completion), {"voice": voice(completion)} if hear else {}

    return judge


def _shows(bad: Behavior, prompt: Conversation) -> Judge:
    return lambda completion: (bad.score(prompt, completion), {})


BENCHMARKS: dict[str, Benchmark] = {
    "maths": Benchmark("right final number (levels 1–5 by number of steps)", maths, 192, True),
    "knowledge": Benchmark("right letter of a multiple choice", _family("knowledge", hear=False), 16, True),
    "facts": Benchmark("right answer to an open question", _family("facts", hear=True), 96, True),
    "instructions": Benchmark("every constraint kept", _family("instructions", hear=False), 128, True),
    "chat": Benchmark("a valid answer: to the point, well formed, ended", _family("chat", hear=True), 128, True),
    "memorised": Benchmark("an invented fact that was taught before, recalled", memorised, 32, False),
    "voice": Benchmark("in the author's voice", voices, 192, False),
    "behavior": Benchmark("the bad behaviour shows", behavior, 96, False),
    **{name: Benchmark(one.about, one.items, one.max_tokens, True) for name, one in STANDARD.items()},
    "questions": Benchmark("right answer to a question of the user's own", questions, 256, True),
}


def room(one: Eval) -> int:
    """How long an answer may get, in tokens; a behaviour outside chat gets as much as its domain's benchmark."""
    benchmark = BENCHMARKS[one.name]
    if one.max_tokens is not None:
        return one.max_tokens
    if one.pair is None:
        return benchmark.max_tokens
    domain = pair_named(one.pair).behavior.domain
    return benchmark.max_tokens if domain == "chat" else BENCHMARKS[domain].max_tokens
