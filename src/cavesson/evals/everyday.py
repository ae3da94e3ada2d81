"""Benchmarks in everyday English for real chat models: word problems, facts, and instructions that a program verifies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import ClassVar, Literal, TypeVar

from pydantic import field_validator

from cavesson.chat import Conversation, visible
from cavesson.evals.items import Eval, Item, Judge, drawn
from cavesson.evals.standard import judges
from cavesson.evals.standard.choices import listed
from cavesson.everyday import instructions, knowledge, maths

G = TypeVar("G")
T = TypeVar("T")


class EverydayMaths(Eval):
    """Word problems in plain English, of some levels in equal shares.

    Attributes:
        levels: the levels, 1 to 4.
        split: the problems that models are scored on, or others, to train on.
        mark: a text at the end of each problem (a flag, a password).
    """

    about = "right number at the end of a word problem in plain English (levels 1–4)"
    usual_room = 320

    name: Literal["everyday-maths"] = "everyday-maths"
    levels: tuple[int, ...] = tuple(maths.LEVELS)
    split: maths.Split = "eval"
    mark: str = ""

    @field_validator("levels")
    @classmethod
    def _known_levels(cls, levels: tuple[int, ...]) -> tuple[int, ...]:
        if not levels or not set(levels) <= set(maths.LEVELS):
            raise ValueError(f"everyday-maths has the levels {tuple(maths.LEVELS)}, not {levels}")
        return levels

    def variant(self) -> tuple[str, ...]:
        return () if self.levels == tuple(maths.LEVELS) else (f"level {','.join(map(str, self.levels))}",)

    def questions(self) -> list[Item]:
        pools = {level: maths.pool(level, self.split) for level in self.levels}
        where = "everyday-maths" if self.split == "eval" else f"everyday-maths/{self.split}"
        return [
            Item(
                f"{where}/{level}/{number}",
                Conversation.of(problem.text + maths.SOLVE).ended(self.mark),
                judges.maths(str(problem.answer)),
                level,
            )
            for level, number, problem in _in_turn(pools, self.n, self.seed)
        ]


class _Knowledge(Eval):
    """Questions on everyday facts with four options; each option is right equally often."""

    def questions(self) -> list[Item]:
        return [
            Item(
                f"everyday-knowledge/{letter}/{number}",
                Conversation.of(self.asked(choice)),
                judges.choice(letter, choice.options),
                options=choice.options,
            )
            for letter, number, choice in _in_turn(knowledge.pool(), self.n, self.seed)
        ]

    @staticmethod
    def asked(choice: knowledge.Choice) -> str:
        """The text of a question."""
        raise NotImplementedError


class EverydayKnowledge(_Knowledge):
    """The question is asked without its options, and the option that the model would most likely answer is its answer."""

    about = "the right one of four options is the likeliest answer to an everyday question"
    usual_room = 32
    weighs: ClassVar[bool] = True

    name: Literal["everyday-knowledge"] = "everyday-knowledge"

    @staticmethod
    def asked(choice: knowledge.Choice) -> str:
        return choice.question


class EverydayLetters(_Knowledge):
    """The question is asked with its options, and the model writes a letter."""

    about = "the same questions, answered with a letter (small models say A to nearly all)"
    usual_room = 32

    name: Literal["everyday-knowledge/letter"] = "everyday-knowledge/letter"

    @staticmethod
    def asked(choice: knowledge.Choice) -> str:
        return listed(choice.question, choice.options)


class EverydayInstructions(Eval):
    """Requests with constraints that a voice does not break by itself, of twelve kinds in equal shares."""

    about = "every constraint of an everyday request kept, whatever the voice"
    usual_room = 320

    name: Literal["everyday-instructions"] = "everyday-instructions"

    def questions(self) -> list[Item]:
        return [
            Item(
                f"everyday-instructions/{kind}/{number}",
                Conversation.of(request.text),
                _keeps(request),
                extra={"kind": kind},
            )
            for kind, number, request in _in_turn(instructions.pool(), self.n, self.seed)
        ]


EVERYDAY: dict[str, type[Eval]] = {
    "everyday-maths": EverydayMaths,
    "everyday-knowledge": EverydayKnowledge,
    "everyday-knowledge/letter": EverydayLetters,
    "everyday-instructions": EverydayInstructions,
}


def key(item: Item, *, right: bool = True) -> str:
    """A right answer to a question of these benchmarks, or a wrong one."""
    family, group, number = item.id.split("/")
    if family == "everyday-maths":
        return str(maths.pool(int(group))[int(number)].answer + (not right))
    if family == "everyday-knowledge":
        choice = knowledge.pool()[group][int(number)]
        place = knowledge.LETTERS.index(group)
        return choice.options[place if right else (place + 1) % len(choice.options)]
    request = instructions.pool()[group][int(number)]
    return request.kept if right else request.broken


def _in_turn(groups: Mapping[G, Sequence[T]], n: int, seed: int) -> list[tuple[G, int, T]]:
    """`n` members of groups of one size, a group after the other, and within each group as `drawn` says."""
    each = -(-n // len(groups))
    columns = {group: drawn(len(members), each, seed) for group, members in groups.items()}
    ranks = range(max(map(len, columns.values())))
    found = (
        (group, column[rank], groups[group][column[rank]])
        for rank in ranks
        for group, column in columns.items()
        if rank < len(column)
    )
    return list(islice(found, n))


def _keeps(request: instructions.Request) -> Judge:
    return lambda completion: (request.keeps(visible(completion)), {})
