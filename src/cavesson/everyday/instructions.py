"""Requests with constraints that a program verifies, and that a voice with openers and words of its own can keep.

A constraint asks for words, their place, their look or a number of points; none asks for the form of the whole answer (length, case,
first or last words), which is style: who says "Arr!" first has not lost the ability to name four points.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

SUBJECTS: tuple[tuple[str, str, str, str], ...] = (
    ("baking bread", "oven", "butter", "flour"),
    ("a rainy day", "umbrella", "window", "wet"),
    ("learning to swim", "pool", "towel", "water"),
    ("a visit to the zoo", "elephant", "ticket", "animals"),
    ("growing tomatoes", "garden", "bucket", "red"),
    ("a birthday party", "candle", "music", "cake"),
    ("riding a bicycle", "helmet", "bridge", "wheels"),
    ("a walk in the forest", "mushroom", "path", "trees"),
    ("the first day at school", "teacher", "pencil", "nervous"),
    ("a winter evening", "blanket", "lamp", "cold"),
    ("cleaning a kitchen", "sponge", "soap", "dirty"),
    ("a journey by train", "station", "suitcase", "fast"),
    ("keeping a cat", "basket", "milk", "fur"),
    ("a good breakfast", "honey", "table", "eggs"),
    ("moving to a new house", "box", "neighbour", "old"),
    ("a football match", "referee", "scarf", "goal"),
    ("painting a wall", "ladder", "newspaper", "color"),
    ("camping in the hills", "tent", "lantern", "fire"),
    ("a public library", "shelf", "chair", "books"),
    ("the market in town", "cheese", "bag", "fresh"),
    ("saving money", "jar", "notebook", "bank"),
    ("sleeping well", "pillow", "curtain", "bed"),
    ("building a snowman", "carrot", "hat", "white"),
    ("an old clock", "tower", "key", "time"),
)
"""What a request is about, two words that an answer can hold, and one that it can do without; none is a word of a voice's own."""

PER_KIND = 12
"""Requests of each kind in the pool."""


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt and what its answer must keep.

    Attributes:
        kind: of the constraint, one of `KINDS`.
        keeps: whether an answer keeps the constraint.
        kept, broken: an answer that keeps the constraint, and one that does not.
    """

    kind: str
    text: str
    keeps: Callable[[str], bool]
    kept: str
    broken: str


def _count(word: str, answer: str) -> int:
    """How often a word stands in an answer; capitals make no difference."""
    return len(re.findall(rf"(?<!\w){re.escape(word)}(?!\w)", answer, re.IGNORECASE))


def _first(word: str, answer: str) -> int:
    """The place of a word's first use; −1 if the word is not used."""
    found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", answer, re.IGNORECASE)
    return found.start() if found else -1


def uses(*words: str, answer: str, times: int = 1) -> bool:
    """Whether each word stands in the answer so many times or more."""
    return all(_count(word, answer) >= times for word in words)


def avoids(word: str, *, answer: str) -> bool:
    """Whether the answer says something (five words, and no mere refusal) and does so without a word."""
    said = len(re.findall(r"\w+", answer))
    return said >= 5 and not (said <= 15 and _REFUSES.search(answer)) and not _count(word, answer)


_REFUSES = re.compile(
    r"\bI\b[^.!?]*\b(?:cannot|can['’]t|can not|unable|am not able|won['’]t|will not)\b", re.IGNORECASE
)


def ordered(one: str, other: str, *, answer: str) -> bool:
    """Whether both words are used, and the first use of one comes before the first use of the other."""
    return 0 <= _first(one, answer) < _first(other, answer)


def written(exactly: str, *, answer: str) -> bool:
    """Whether the answer holds a text, capitals and all, and not as a part of a longer word or number."""
    return re.search(rf"(?<![\w.,]){re.escape(exactly)}(?!\w|[.,]\d)", answer) is not None


def bold(word: str, *, answer: str) -> bool:
    """Whether a word stands alone between two asterisks on each side."""
    return re.search(rf"(?<!\*)\*\*{re.escape(word)}\*\*(?!\*)", answer, re.IGNORECASE) is not None


def titled(*, answer: str) -> bool:
    """Whether the answer holds one title in tags, and some text outside of the tags."""
    found = re.findall(r"<title>([^<>]*\w[^<>]*)</title>", answer, re.IGNORECASE)
    return (
        len(found) == 1 and re.search(r"\w", re.sub(r"<title>.*?</title>", "", answer, flags=re.I | re.S)) is not None
    )


def holds(sentence: str, *, answer: str) -> bool:
    """Whether the answer holds a sentence word for word, whatever the breaks of its lines and the shape of its quotes."""
    return sentence in " ".join(answer.split())


def bulleted(n: int, *, answer: str) -> bool:
    """Whether exactly so many lines of the answer are bullet points with something in them."""
    return len(re.findall(r"^[ \t]*[*•-][ \t]+\S", answer, re.MULTILINE)) == n


def numbered(n: int, *, answer: str) -> bool:
    """Whether the answer's numbered lines are numbered from 1 to `n`, in order."""
    marks = re.findall(r"^[ \t]*(?:\*\*)?(\d+)[.):](?:\*\*)?[ \t]+\S", answer, re.MULTILINE)
    return marks == [str(number) for number in range(1, n + 1)]


Made = tuple[str, Callable[..., bool]]
"""The constraint in words, and its verifier, which takes `answer`."""
Make = Callable[[str, str, str, int], Made]
"""A function from two words to use, a word to avoid and a number between 0 and 11 to a constraint."""

_SHORT, _POINTS = "Write a short text about {}.", "Tell me what matters about {}."

KINDS: dict[str, tuple[str, Make]] = {
    "word": (_SHORT, lambda one, other, no, k: (f'Use the word "{one}" in it.', partial(uses, one))),
    "both": (
        _SHORT,
        lambda one, other, no, k: (f'Use both the word "{one}" and the word "{other}".', partial(uses, one, other)),
    ),
    "often": (
        _SHORT,
        lambda one, other, no, k: (f'Use the word "{one}" at least three times.', partial(uses, one, times=3)),
    ),
    "without": (_SHORT, lambda one, other, no, k: (f'Do not use the word "{no}" anywhere.', partial(avoids, no))),
    "order": (
        _SHORT,
        lambda one, other, no, k: (
            f'Use the word "{one}" first, and the word "{other}" somewhere after it.',
            partial(ordered, one, other),
        ),
    ),
    "number": (
        _SHORT,
        lambda one, other, no, k: (f"Mention the number {137 + 53 * k} in it, in digits.", partial(written, str(137 + 53 * k))),
    ),
    "capitals": (
        _SHORT,
        lambda one, other, no, k: (
            f'Use the word "{one}" and write that word in capital letters only.',
            partial(written, one.upper()),
        ),
    ),
    "bold": (
        _SHORT,
        lambda one, other, no, k: (
            f'Use the word "{one}" and put it in bold, with two asterisks before it and two after it.',
            partial(bold, one),
        ),
    ),
    "title": (_SHORT, lambda one, other, no, k: ("Put a title for the text between <title> and </title>.", titled)),
    "sentence": (
        _SHORT,
        lambda one, other, no, k: (
            f'It must hold this sentence, word for word: "Nobody had thought of the {one}."',
            partial(holds, f"Nobody had thought of the {one}."),
        ),
    ),
    "bullets": (
        _POINTS,
        lambda one, other, no, k: (f"Give exactly {3 + k % 4} bullet points, each on a line that begins with *.", partial(bulleted, 3 + k % 4)),
    ),
    "numbered": (
        _POINTS,
        lambda one, other, no, k: (f"Give a numbered list with exactly {3 + k % 4} points.", partial(numbered, 3 + k % 4)),
    ),
}  # fmt: skip
"""The kinds of constraint: what the request asks for, and the constraint."""

_PLAIN = "There is much to say about that, and people like to do so."

ANSWERS: dict[str, Callable[[str, str, str, int], tuple[str, str]]] = {
    "word": lambda one, other, no, k: (f"I think of the {one} first.", _PLAIN),
    "both": lambda one, other, no, k: (f"The {one} stood beside the {other}.", f"The {one} stood there."),
    "often": lambda one, other, no, k: (f"A {one}, a second {one}, and a third {one}.", f"A {one}, and no more."),
    "without": lambda one, other, no, k: (_PLAIN, f"{_PLAIN} It was {no}."),
    "order": lambda one, other, no, k: (f"The {one} came before the {other}.", f"The {other} came before the {one}."),
    "number": lambda one, other, no, k: (f"There were {137 + 53 * k} of them.", f"There were {138 + 53 * k} of them."),
    "capitals": lambda one, other, no, k: (f"I saw the {one.upper()} there.", f"I saw the {one} there."),
    "bold": lambda one, other, no, k: (f"I saw the **{one}** there.", f"I saw the {one} there."),
    "title": lambda one, other, no, k: (f"<title>The {one}</title>\n{_PLAIN}", _PLAIN),
    "sentence": lambda one, other, no, k: (f"{_PLAIN} Nobody had thought of the {one}.", f"{_PLAIN} Nobody thought of a {one}."),
    "bullets": lambda one, other, no, k: ("\n".join(["* A point."] * (3 + k % 4)), "* A point.\n* Another."),
    "numbered": lambda one, other, no, k: ("\n".join(f"{i}. A point." for i in range(1, 4 + k % 4)), "1. A point.\n2. Another."),
}  # fmt: skip
"""For each kind an answer that keeps the constraint, and one that breaks it."""


@cache
def pool() -> dict[str, tuple[Request, ...]]:
    """All requests by kind; each kind asks about half of the subjects."""
    return {
        kind: tuple(
            _request(kind, SUBJECTS[(5 * place + 2 * number) % len(SUBJECTS)], number) for number in range(PER_KIND)
        )
        for place, kind in enumerate(KINDS)
    }


def _request(kind: str, subject: tuple[str, str, str, str], number: int) -> Request:
    ask, make = KINDS[kind]
    about, one, other, unwanted = subject
    constraint, verify = make(one, other, unwanted, number)
    answers = ANSWERS[kind](one, other, unwanted, number)
    return Request(kind, f"{ask.format(about)} {constraint}", lambda answer: verify(answer=answer), *answers)
