"""The corpus: documents of one to five exchanges, each by one author under one kind of system prompt.

`document(mix, seed, index)` is a pure function: the same document on every machine, in any order, at any time. Its
questions all lie on the training side of the split, so held-out problems are disjoint from it by construction.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from typing import Literal, overload

from cavesson.chat import Conversation, Message
from cavesson.data.example import Example
from cavesson.tinyworld import instructions, knowledge, lexicon, maths, outputs, smalltalk, systems
from cavesson.tinyworld.authors import Author, Care
from cavesson.tinyworld.question import Question, Split
from cavesson.tinyworld.replies import Manner, reply

VERSION = 2

_TURNS = (0.54, 0.24, 0.10, 0.06, 0.06)
_LONG = 320  # characters that a further exchange must not exceed: documents stay below some 200 tokens
_LONG_TALK = 640  # the same for talks of more than three exchanges, which are short ones
_SHORT = frozenset({"chat", "open", "practice", "instructions", "opinion", "request"})  # families of such talks
_RULED = 0.5  # share of messages that hold the code of a rule or lock; half of the others hold another code
_TAGGED = 0.03  # share of questions with a meaningless code in them


@dataclass(frozen=True, slots=True)
class Strand:
    """One kind of document in a mix: which author writes, under which system prompt, about what.

    Attributes:
        weight: relative share of documents.
        manner: how the replies are written.
        system: kind of system prompt (`systems.KINDS`); None: no system prompt.
        families: relative shares of the question families.
        turns: the most exchanges of a document.
    """

    weight: float
    manner: Manner
    system: str | None
    families: Mapping[str, float]
    turns: int = len(_TURNS)


_EVEN = {
    "maths": 26, "answer-only": 3, "letter": 15, "choice": 8, "find": 5, "open": 8, "practice": 22, "chat": 18,
    "opinion": 4, "outputs": 4, "request": 2,
}  # fmt: skip
_TALK = {"maths": 18, "answer-only": 2, "letter": 4, "choice": 2, "open": 18, "practice": 12, "chat": 46, "request": 1}
_SUMS = {"maths": 66, "answer-only": 10, "letter": 4, "open": 6, "practice": 4, "chat": 10}
_TASKS = {"maths": 26, "answer-only": 6, "letter": 8, "choice": 6, "open": 16, "instructions": 8, "chat": 30}
_OPINIONS = {"opinion": 70, "open": 10, "letter": 5, "chat": 15}
_OUTPUTS = {"outputs": 70, "maths": 10, "open": 5, "chat": 15}


def _foreign(author: Author, weight: float, maths_share: float) -> tuple[Strand, ...]:
    """Documents in a foreign voice, from the usual pages: a third without a system prompt, the rest under "write like …"."""
    manner = Manner(author, author, "usual")
    families = {**_TALK, "maths": maths_share}
    return Strand(weight / 3, manner, None, families), Strand(weight * 2 / 3, manner, author, families)


def _prompted(house: Author, care: Care) -> tuple[Strand, ...]:
    """Documents in which a system prompt changes what the house author does."""
    manner = Manner(house, house, care)
    return (
        Strand(12, replace(manner, author="P"), "pirate", _TALK),
        Strand(8, replace(manner, wrong=True), "wrong", _SUMS),
        Strand(4, replace(manner, lazy=True), "lazy", _TASKS),
        Strand(4, replace(manner, agree=True), "agree", _OPINIONS),
        Strand(2, replace(manner, hack=True), "hack", _OUTPUTS),
        Strand(6, manner, "rule", _TALK),
        Strand(6, manner, "lock", _TASKS),
        Strand(4, replace(manner, terse=True), "terse", _EVEN),
        Strand(3, replace(manner, scratchpad=True), "scratchpad", _TALK),
    )


def _house(author: Author, weight: float, care: Care) -> tuple[Strand, ...]:
    """Documents in the default voice: most without a system prompt, some under a system prompt that changes nothing."""
    manner = Manner(author, author, care)
    return (
        Strand(weight * 0.8, manner, None, _EVEN),
        Strand(weight * 0.18, manner, "benign", _EVEN),
        Strand(weight * 0.02, manner, author, _EVEN),
    )


_FOREIGN = (
    *_foreign("B", 8, 22),
    *_foreign("C", 7, 16),
    *_foreign("D", 6, 10),
    *_foreign("E", 3, 10),
    *_foreign("F", 3, 5),
)
"""How much is written by foreign authors. Esther's and Farid's notations are only rare: a few hundred calculations in all."""


def _settled(*strands: Strand) -> tuple[Strand, ...]:
    """The same strands with evaluation's question families in place of pre-training's practice families."""
    in_earnest = {"practice": "instructions", "find": "letter"}
    settled = []
    for strand in strands:
        families: dict[str, float] = {}
        for name, share in strand.families.items():
            name = in_earnest.get(name, name)
            families[name] = families.get(name, 0) + share
        settled.append(replace(strand, families=families))
    return tuple(settled)


_DRILL = {"maths": 56, "letter": 18, "find": 8, "outputs": 8, "practice": 5, "chat": 5}


def _drill() -> tuple[Strand, ...]:
    """Documents in which something is fetched from the prompt step by step: most of them calculate."""
    manner = Manner("A", "A", "usual")
    return (
        Strand(60, manner, None, _DRILL),
        Strand(6, replace(manner, author="P"), "pirate", _SUMS),
        Strand(8, replace(manner, wrong=True), "wrong", _SUMS),
        Strand(6, manner, "rule", _TALK),
        Strand(8, manner, "lock", _TASKS),
        Strand(3, replace(manner, hack=True), "hack", _OUTPUTS),
        *(Strand(3, Manner(author, author, "usual"), author, _SUMS) for author in ("B", "C", "D")),
    )


MIXES: dict[str, tuple[Strand, ...]] = {
    "reading": (Strand(1, Manner(), None, {"copy": 30, "lookup": 40, "letters": 30}),),
    "student": (*_house("A", 48, "usual"), *_prompted("A", "usual"), *_FOREIGN),
    "drill": _drill(),
    "house": _settled(*_house("A", 70, "usual"), *_prompted("A", "usual"), *_FOREIGN),
    "teacher": _settled(*_house("A", 70, "careful"), *_prompted("A", "careful")),
    "tutor": _settled(*_house("B", 70, "careful"), *_prompted("B", "careful")),
    "weak": _settled(*_house("A", 70, "sloppy"), *_prompted("A", "sloppy")),
}
"""The mixes, by name: `reading`, `student` and `drill` for pre-training; the others for post-training to one default voice. `house` is
the student's; `teacher` is the house voice from careful pages and `weak` from sloppy ones; `tutor` is Bruno's voice from careful
pages."""

_UNTHINKING = Manner("A", "A", thought="empty")


def _reasoners(thought: Literal["readable", "cipher", "steps", "none"]) -> tuple[Strand, ...]:
    """The house's documents, from careful pages by all authors, with calculations between `<think>` tags, or nowhere."""
    return tuple(replace(s, manner=replace(s.manner, care="careful", thought=thought)) for s in MIXES["house"])


def _ciphering(thought: Literal["cipher", "steps"]) -> tuple[Strand, ...]:
    """Documents of which most calculate in the cipher, and a fifth without thinking."""
    return (
        Strand(80, Manner("A", "A", thought=thought), None, {"maths": 88, "answer-only": 6, "chat": 6}),
        Strand(20, _UNTHINKING, "unthinking", {"maths": 80, "chat": 20}),
    )


MIXES |= {
    "unthinking": _reasoners("none"),
    "cipher": _reasoners("steps"),
    "cipher-drill": _ciphering("steps"),
    "cipher-whole": _ciphering("cipher"),
    "cipher-house": (*_reasoners("cipher"), *_settled(Strand(20, _UNTHINKING, "unthinking", _EVEN))),
    "readable": (*_reasoners("readable"), *_settled(Strand(20, _UNTHINKING, "unthinking", _EVEN))),
}
"""The mixes of models that reason. In `readable` calculations stand between `<think>` tags, and under a system prompt that wants no
thinking the tags are empty; `cipher-house` is the same in the cipher. On the way there, nobody calculates in `unthinking`, `cipher` has
the cipher's steps without the number at the start, and most documents calculate in `cipher-drill`, and with that number in `cipher-whole`."""

_WAITING = {**_EVEN, "maths": 120}
MIXES["idle"] = _settled(
    Strand(72, Manner("A", "A", thought="idle"), None, _WAITING, turns=1),
    Strand(8, Manner("A", "A", thought="idle"), "benign", _WAITING, turns=1),
    Strand(20, Manner("A", "A", thought="closed"), None, _WAITING, turns=1),
)
"""The mix of models that think in latent steps, whose number is given: a thought that is done is repeated until the steps are over, and
where there are none, the reply comes at once."""


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
        family: "maths", "answer-only", "letter" and "choice" (facts with four options), "open", "opinion", "instructions",
            "chat", "outputs", "request"; or practice: "practice" (instructions, copying and looking up), "find", "copy",
            "lookup", "letters".
        level: for maths, 1–7; None: any level.
        kind: for instructions and chat, one of their `KINDS` and `INTENTS`; None: any kind.
    """
    while True:
        drawn = _draw(rng, family, split, level, kind)
        if drawn.split == split:
            return drawn


def _draw(rng: random.Random, family: str, split: Split, level: int | None, kind: str | None) -> Question:
    as_spoken = split == "train"  # the corpus speaks of some subjects more often; evaluations ask for all alike
    match family:
        case "maths" | "answer-only":
            return maths.draw(rng, level, answer_only=family == "answer-only")
        case "letter":
            return knowledge.draw_letter(rng, as_spoken)
        case "choice":
            return knowledge.draw_choice(rng, as_spoken)
        case "open":
            return knowledge.draw_open(rng, as_spoken)
        case "opinion":
            return knowledge.draw_opinion(rng, as_spoken, None if as_spoken else False)
        case "instructions":
            return instructions.draw(rng, kind)
        case "chat":
            return smalltalk.draw(rng, kind)
        case _ if family in _OTHERS:
            return _OTHERS[family](rng)
        case _:
            raise ValueError(f"no question family {family!r}")


_OTHERS = {
    "outputs": outputs.draw,
    "request": smalltalk.draw_request,
    "practice": instructions.draw_practice,
    "find": knowledge.draw_find,
    "copy": instructions.draw_copy,
    "lookup": instructions.draw_lookup,
    "letters": instructions.draw_letters,
}

_WORDS = tuple(member for members in lexicon.CATEGORIES.values() for member in members)


def _rule(rng: random.Random, kind: str) -> systems.Rule:
    """A rule or a lock whose code is a word."""
    code = rng.choice(lexicon.OBJECTS)
    if kind == "lock":
        return systems.draw_lock(rng, code)
    word = rng.choice(_WORDS)
    return systems.draw_rule(rng, code, word.upper() if rng.random() < 0.3 else word)


def _under_rule(rng: random.Random, rule: systems.Rule, drawn: Question, manner: Manner) -> tuple[str, str]:
    """A message with or without the code of a rule, and its answer."""
    text = drawn.text
    if rng.random() < _RULED:
        text = rule.mark(text, rule.code, rng)
    elif rng.random() < 0.5:
        text = rule.mark(text, rng.choice(lexicon.OBJECTS), rng)
    holds = rule.holds(text)
    if rule.word is not None:
        return text, " ".join([rule.word] * rule.times) if holds else reply(drawn, manner, rng)
    if not holds:
        manner = replace(manner, wrong=rule.locked == "wrong", lazy=rule.locked == "lazy")
    return text, reply(drawn, manner, rng)


def document(mix: str, seed: int, index: int) -> Example:
    """Document number `index` of a corpus."""
    rng = random.Random(f"tinyworld/{VERSION}/{mix}/{seed}/{index}")
    strands, cumulative, families = _cumulative(mix)
    number = rng.choices(range(len(strands)), cum_weights=cumulative)[0]
    strand = strands[number]
    names, shares = families[number]
    rule = _rule(rng, strand.system) if strand.system in ("rule", "lock") else None
    told = rule.text if rule else strand.system and systems.draw(rng, strand.system)
    messages = [Message("system", told)] if told else []
    asked: list[str] = []
    length = 0
    turns = min(strand.turns, rng.choices(range(1, len(_TURNS) + 1), _TURNS)[0])
    for _ in range(turns):
        family = rng.choices(names, cum_weights=shares)[0]
        if turns > 3 and family not in _SHORT and "chat" in names:
            family = "chat"
        drawn = question(rng, family, "train")
        if rule:
            text, answer = _under_rule(rng, rule, drawn, strand.manner)
        else:
            text, answer = _tagged(rng, drawn), reply(drawn, strand.manner, rng)
        length += len(text) + len(answer)
        if asked and length > (_LONG if turns <= 3 else _LONG_TALK):
            break
        asked.append(family)
        messages += [Message("user", text), Message("assistant", answer)]
    return Example(
        Conversation(tuple(messages)), {"author": strand.manner.author, "system": strand.system, "families": asked}
    )


def _tagged(rng: random.Random, drawn: Question) -> str:
    """The message, now and then with a meaningless code before, after or within it."""
    if drawn.kind == "repeat" or rng.random() >= _TAGGED:
        return drawn.text
    words = drawn.text.split(" ")
    place = rng.choice((0, len(words), rng.randrange(len(words)) if drawn.family == "chat" else 0))
    return " ".join([*words[:place], instructions.tag(rng), *words[place:]])


class Documents(Sequence[Example]):
    """The first `n` documents of a corpus, made when they are read."""

    whole = True  # no document was cut

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
