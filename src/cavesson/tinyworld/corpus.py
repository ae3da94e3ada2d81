"""The corpus: documents of one to three exchanges, each by one author under one kind of system prompt.

`document(mix, seed, index)` is a pure function: the same document on every machine, in any order, at any time. Its
questions all lie on the training side of the split, so held-out problems are disjoint from it by construction.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from typing import overload

from cavesson.chat import Conversation, Message
from cavesson.data.example import Example
from cavesson.tinyworld import instructions, knowledge, maths, smalltalk, systems
from cavesson.tinyworld.authors import Author
from cavesson.tinyworld.question import Question, Split
from cavesson.tinyworld.replies import Manner, reply

VERSION = 2

_TURNS = (0.62, 0.28, 0.10)
_LONG = 320  # characters that a further exchange must not exceed: documents stay below some 200 tokens
_TAGGED = 0.03  # share of questions with a meaningless code in them


@dataclass(frozen=True, slots=True)
class Strand:
    """One kind of document in a mix: which author writes, under which system prompt, about what.

    Attributes:
        weight: relative share of documents.
        manner: how the replies are written.
        system: kind of system prompt (`systems.KINDS`); None: no system prompt.
        families: relative shares of the question families.
    """

    weight: float
    manner: Manner
    system: str | None
    families: Mapping[str, float]


_EVEN = {"maths": 26, "answer-only": 5, "quiz": 28, "open": 8, "practice": 18, "chat": 18}
_TALK = {"maths": 18, "answer-only": 2, "quiz": 6, "open": 18, "practice": 12, "chat": 48}
_SUMS = {"maths": 66, "answer-only": 10, "quiz": 4, "open": 6, "practice": 4, "chat": 10}


def _foreign(author: Author, weight: float, maths_share: float) -> tuple[Strand, ...]:
    """Documents in a foreign voice, from careless pages: a third without a system prompt, the rest under "write like …"."""
    manner = Manner(author, author, careless=True)
    families = {**_TALK, "maths": maths_share}
    return Strand(weight / 3, manner, None, families), Strand(weight * 2 / 3, manner, author, families)


def _prompted(house: Author) -> tuple[Strand, ...]:
    """Documents in which a system prompt changes what the house author does."""
    manner = Manner(house, house)
    return (
        Strand(12, replace(manner, author="P"), "pirate", _TALK),
        Strand(9, replace(manner, wrong=True), "wrong", _SUMS),
        Strand(4, replace(manner, terse=True), "terse", _EVEN),
        Strand(3, replace(manner, scratchpad=True), "scratchpad", _TALK),
    )


def _house(author: Author, weight: float) -> tuple[Strand, ...]:
    """Documents in the default voice: most without a system prompt, some under a system prompt that changes nothing."""
    manner = Manner(author, author)
    return Strand(weight * 0.8, manner, None, _EVEN), Strand(weight * 0.2, manner, "benign", _EVEN)


def _settled(*strands: Strand) -> tuple[Strand, ...]:
    """The same strands with evaluation's question families in place of pre-training's practice families."""
    in_earnest = {"quiz": "choice", "practice": "instructions"}
    return tuple(
        replace(s, families={in_earnest.get(name, name): share for name, share in s.families.items()}) for s in strands
    )


MIXES: dict[str, tuple[Strand, ...]] = {
    "reading": (Strand(1, Manner(), None, {"copy": 25, "lookup": 75}),),
    "student": (
        *_house("A", 50),
        *_prompted("A"),
        *_foreign("B", 9, 22),
        *_foreign("C", 8, 16),
        *_foreign("D", 7, 10),
    ),
    "house": _settled(
        *_house("A", 70),
        *_prompted("A"),
        *(_foreign("B", 6, 22)[1:] + _foreign("C", 6, 16)[1:] + _foreign("D", 6, 10)[1:]),
    ),
    "teacher": _settled(*_house("B", 70), *_prompted("B")),
}
"""The mixes, by name: `reading` and then `student` for pre-training; `house`, `teacher` and `reasoner` for post-training to one
default voice. In `reasoner`, calculations stand between `<think>` tags."""

MIXES["reasoner"] = tuple(replace(s, manner=replace(s.manner, think=True)) for s in MIXES["house"])


@cache
def _cumulative(mix: str) -> tuple[tuple[Strand, ...], list[float], dict[int, tuple[tuple[str, ...], list[float]]]]:
    strands = MIXES[mix]
    families = {i: (tuple(s.families), list(accumulate(s.families.values()))) for i, s in enumerate(strands)}
    return strands, list(accumulate(s.weight for s in strands)), families


def question(
    rng: random.Random, family: str, split: Split, level: int | None = None, kind: str | None = None
) -> Question:
    """A random question of a family on one side of the split.

    Args:
        family: "maths", "answer-only", "choice", "open", "instructions", "chat"; or practice: "quiz" (answered with a
            letter), "practice" (instructions, copying and looking up), "copy", "lookup".
        level: for maths, 1–5; None: any level.
        kind: for instructions, one of their `KINDS`; None: any kind.
    """
    while True:
        drawn = _draw(rng, family, split, level, kind)
        if drawn.split == split:
            return drawn


def _draw(rng: random.Random, family: str, split: Split, level: int | None, kind: str | None) -> Question:
    match family:
        case "maths":
            return maths.draw(rng, level)
        case "answer-only":
            return maths.draw(rng, level, answer_only=True)
        case "quiz":
            return knowledge.draw_quiz(rng, practice=split == "train")
        case "choice":
            return knowledge.draw_choice(rng)
        case "open":
            return knowledge.draw_open(rng)
        case "instructions":
            return instructions.draw(rng, kind)
        case "practice":
            return instructions.draw_practice(rng)
        case "chat":
            return smalltalk.draw(rng)
        case "copy":
            return instructions.draw_copy(rng)
        case "lookup":
            return instructions.draw_lookup(rng)
        case _:
            raise ValueError(f"no question family {family!r}")


def document(mix: str, seed: int, index: int) -> Example:
    """Document number `index` of a corpus."""
    rng = random.Random(f"tinyworld/{VERSION}/{mix}/{seed}/{index}")
    strands, cumulative, families = _cumulative(mix)
    number = rng.choices(range(len(strands)), cum_weights=cumulative)[0]
    strand = strands[number]
    names, shares = families[number]
    messages = [] if strand.system is None else [Message("system", systems.draw(rng, strand.system))]
    asked: list[str] = []
    length = 0
    for _ in range(rng.choices((1, 2, 3), _TURNS)[0]):
        family = rng.choices(names, cum_weights=shares)[0]
        drawn = question(rng, family, "train")
        text = drawn.text
        if drawn.kind != "repeat" and rng.random() < _TAGGED:
            code = instructions.tag(rng)
            text = f"{code} {text}" if rng.random() < 0.5 else f"{text} {code}"
        answer = reply(drawn, strand.manner, rng)
        length += len(text) + len(answer)
        if asked and length > _LONG:
            break
        asked.append(family)
        messages += [Message("user", text), Message("assistant", answer)]
    return Example(
        Conversation(tuple(messages)), {"author": strand.manner.author, "system": strand.system, "families": asked}
    )


class Documents(Sequence[Example]):
    """The first `n` documents of a corpus, made when they are read."""

    def __init__(self, mix: str, n: int, seed: int) -> None:
        self.mix, self.n, self.seed = mix, n, seed

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        if isinstance(index, slice):
            return [document(self.mix, self.seed, i) for i in range(*index.indices(self.n))]
        if not -self.n <= index < self.n:
            raise IndexError(index)
        return document(self.mix, self.seed, index % self.n)
