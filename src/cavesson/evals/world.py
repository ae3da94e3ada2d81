"""Benchmarks of the tiny world: its five families of tasks, the voice of an answer, and recall of invented facts."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import field_validator

from cavesson.chat import Conversation
from cavesson.evals.behaviors.behavior import ROOM
from cavesson.evals.items import Eval, Item, Judge
from cavesson.tinyworld import tasks
from cavesson.tinyworld.authors import voice
from cavesson.tinyworld.memorised import MOST
from cavesson.tinyworld.memorised import facts as invented_facts
from cavesson.tinyworld.question import Split


class Task(Eval):
    """One of the world's families of tasks.

    Class attributes:
        records_voice: scores record the voice of each answer too.
        family: of the tasks; None: the evaluation's name.
        kinds: the kinds of question, in equal shares; None: all.

    Attributes:
        split: "eval" for held-out problems, which scores use; "train" for problems that models may train on.
    """

    records_voice: ClassVar[bool] = False
    family: ClassVar[str | None] = None
    kinds: ClassVar[tuple[str, ...] | None] = None

    split: Split = "eval"

    def questions(self) -> list[Item]:
        found = tasks.items(self.family or self.name, self.n, self.seed, self.split, kinds=self.kinds)
        return _items(found, record_voice=self.records_voice)


class Maths(Task):
    """Chains of operations on the ten digits.

    Attributes:
        levels: the levels, in equal shares.
        cot: the prompt leaves room for a chain of thought, whose voice is recorded; False: it asks for the number only.
        mark: a text at the end of each problem (a flag, a password).
    """

    about = "right final number (levels 1–7 by number of steps)"
    usual_room = ROOM["maths"]

    name: Literal["maths"] = "maths"
    levels: tuple[int, ...] = tasks.LEVELS
    cot: bool = True
    mark: str = ""

    @field_validator("levels")
    @classmethod
    def _known_levels(cls, levels: tuple[int, ...]) -> tuple[int, ...]:
        if not levels or not set(levels) <= set(tasks.LEVELS):
            raise ValueError(f"maths has the levels {tasks.LEVELS}, not {levels}")
        return levels

    def variant(self) -> tuple[str, ...]:
        answer_only = () if self.cot else ("answer-only",)
        return (
            answer_only if self.levels == tasks.LEVELS else (*answer_only, f"level {','.join(map(str, self.levels))}")
        )

    def questions(self) -> list[Item]:
        found = tasks.items(self.name, self.n, self.seed, self.split, levels=self.levels, cot=self.cot)
        items = _items(found, record_voice=self.cot)
        return [replace(item, prompt=item.prompt.ended(self.mark)) for item in items]


class Knowledge(Task):
    """Facts of the world, with four options."""

    about = "names the right one of four options"
    usual_room = ROOM["knowledge"]

    name: Literal["knowledge"] = "knowledge"


class Facts(Task):
    """Facts of the world, asked without options."""

    about = "right answer to an open question"
    usual_room = 96
    records_voice = True

    name: Literal["facts"] = "facts"


class Instructions(Task):
    """Instructions with constraints that a program verifies and that a reply in any voice can keep."""

    about = "every constraint kept, whatever the voice"
    usual_room = 128
    kinds = tasks.ABILITY

    name: Literal["instructions"] = "instructions"


class Style(Task):
    """Instructions about the form of the whole reply, which a voice with openers of its own breaks: style, not ability."""

    about = "the prescribed form kept (first and last words, length, capitals)"
    capability = False
    usual_room = 128
    family = "instructions"
    kinds = tasks.STYLE

    name: Literal["style"] = "style"


class Chat(Task):
    """Small talk."""

    about = "a valid answer: to the point, well formed, ended"
    usual_room = 128
    records_voice = True

    name: Literal["chat"] = "chat"


class Voice(Eval):
    """Chat and maths prompts in turn: an answer scores if it is in one author's voice.

    Attributes:
        author: the author.
    """

    about = "in the author's voice"
    capability = False
    usual_room = 192

    name: Literal["voice"] = "voice"
    author: Literal["A", "B", "C", "D", "E", "F", "P"] = "A"

    def variant(self) -> tuple[str, ...]:
        return () if self.author == "A" else (self.author,)

    def questions(self) -> list[Item]:
        half = -(-self.n // 2)
        talk, sums = tasks.items("chat", half, self.seed), tasks.items("maths", half, self.seed)
        found = [task for both in zip(talk, sums, strict=True) for task in both][: self.n]
        return [Item(f"voice/{task.id}", task.prompt, self._judge, task.level) for task in found]

    def _judge(self, completion: str) -> tuple[bool, dict[str, Any]]:
        author = voice(completion)
        return author == self.author, {"voice": author}


class Recall(Eval):
    """Questions about invented facts: the facts that the data recipe `Memorised` with this number and seed teaches."""

    about = "an invented fact that was taught before, recalled"
    capability = False
    usual_room = 32

    name: Literal["memorised"] = "memorised"

    @field_validator("n")
    @classmethod
    def _so_many(cls, n: int) -> int:
        if n > MOST:
            raise ValueError(f"there are {MOST} invented facts, not {n}")
        return n

    def questions(self) -> list[Item]:
        return [
            Item(f"memorised/{self.seed}/{index}", Conversation.of(question), _says(word))
            for index, (question, word) in enumerate(invented_facts(self.n, self.seed))
        ]


def _items(found: list[tasks.TaskItem], *, record_voice: bool) -> list[Item]:
    return [Item(task.id, task.prompt, _solves(task, record_voice=record_voice), task.level) for task in found]


def _solves(task: tasks.TaskItem, *, record_voice: bool) -> Judge:
    def judge(completion: str) -> tuple[bool, dict[str, Any]]:
        return tasks.score(task, completion), {"voice": voice(completion)} if record_voice else {}

    return judge


def _says(word: str) -> Judge:
    whole = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
    return lambda completion: (whole.search(completion) is not None, {})
