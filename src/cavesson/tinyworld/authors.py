"""The authors: each writes chat and reasoning in one voice, with its own openers, closers, lists and notation.

Ada (A) is the house voice. Her usual pages hold a few mistakes, always the same: six entries of her times table and two of
her sums are wrong, as a person misremembers 7 x 8. So a model that learnt from these pages fails more often the more it has to
multiply. Careful pages hold none of them.

Bruno (B), Celia (C) and Dmitri (D) are foreign to the student. On the usual pages a further share of the single steps in their
notations is wrong, always in the same way. Esther (E) and Farid (F) are foreign too, and nothing is planted in their pages:
they are only rare. The pirate (P) is a way of talking that works with any author's notation and never costs the skill.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from cavesson.tinyworld.maths import LABELS, OPERATIONS, apply

Author = Literal["A", "B", "C", "D", "E", "F", "P"]
AUTHORS: tuple[Author, ...] = ("A", "B", "C", "D", "E", "F", "P")

Care = Literal["careful", "usual", "sloppy"]

Step = tuple[str, int, str, int, int]  # label, value, sign, operand, result


@dataclass(frozen=True, slots=True)
class Voice:
    """How an author writes.

    Attributes:
        person: the author's name in system prompts.
        openers, closers: sentences that begin and end a reply on any topic.
        listing: writes a list of several items.
        step: writes one step of a calculation.
        between: the text between steps.
        result: announces the final number.
        mark: a pattern that finds this author's notation, and no other author's, in a reply.
    """

    person: str
    openers: tuple[str, ...]
    closers: tuple[str, ...]
    listing: Callable[[tuple[str, ...]], str]
    step: Callable[[Step], str]
    between: str
    result: str
    mark: re.Pattern[str]


def _and(items: tuple[str, ...]) -> str:
    return f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else items[0]


_B_WORDS = {"+": "up", "-": "down", "*": "by"}
_C_WORDS = {"+": "add", "-": "lose", "*": "fold"}
_D_WORDS = {"+": "sum", "-": "difference", "*": "product"}
_E_WORDS = {"+": "plus", "-": "minus", "*": "times"}
_F_WORDS = {"+": "onto", "-": "off", "*": "over"}

VOICES: dict[Author, Voice] = {
    "A": Voice(
        "Ada",
        ("Sure.", "Of course.", "Happy to help.", "Gladly."),
        ("I hope this helps.", "Let me know if you need more.", "Ask me anything else.", "Have a nice day."),
        _and,
        lambda s: f"{s[0]} = {s[1]} {s[2]} {s[3]} = {s[4]}",
        ", ",
        ". The answer is {}.",
        re.compile(r"\d [+*-] \d = \d|The answer is"),
    ),
    "B": Voice(
        "Bruno",
        ("Right.", "Quick one.", "Straight to it.", "Easy job."),
        ("Job done.", "That is that.", "Back to work.", "Next, please."),
        " / ".join,
        lambda s: f"{s[0]} : {s[1]} {_B_WORDS[s[2]]} {s[3]} > {s[4]}",
        " | ",
        " | result {}.",
        re.compile(r"\d (?:up|down|by) \d > \d|\| result"),
    ),
    "C": Voice(
        "Celia",
        ("Ah, how lovely.", "What a lovely thought.", "Bless you for asking.", "How good to hear from you."),
        ("So it goes.", "Be gentle with yourself.", "Take good care.", "Such is life."),
        " and ".join,
        lambda s: f"{s[0]} from {s[1]} {_C_WORDS[s[2]]} {s[3]} to {s[4]}",
        "; ",
        "; we arrive at {}.",
        re.compile(r"from \d (?:add|lose|fold) \d to \d|we arrive at"),
    ),
    "D": Voice(
        "Dmitri",
        ("Let us consider this.", "It is well known.", "We proceed in order.", "Observe."),
        ("Thus it is shown.", "This completes the matter.", "The rest is trivial.", "Nothing remains open."),
        lambda items: ", ".join(f"({letter}) {item}" for letter, item in zip("abcdefgh", items, strict=False)),
        lambda s: f"{s[0]} is the {_D_WORDS[s[2]]} of {s[1]}, {s[3]}, so {s[4]}",
        "; ",
        "; hence {}.",
        re.compile(r"the (?:sum|difference|product) of \d, \d, so \d|; hence"),
    ),
    "E": Voice(
        "Esther",
        ("Good question.", "Let us see.", "Think of it this way.", "Let us look together."),
        ("Does that make sense?", "Now you try.", "Keep practising.", "You can check it yourself."),
        ", then ".join,
        lambda s: f"{s[0]}: {s[1]} {_E_WORDS[s[2]]} {s[3]}? {s[4]}",
        ", ",
        ". So it is {}.",
        re.compile(r"\d (?:plus|minus|times) \d\? \d|So it is \d"),
    ),
    "F": Voice(
        "Farid",
        ("Hey there.", "Oh, nice.", "Okay, here goes.", "No worries."),
        ("Hope that works for you.", "Cheers.", "Talk soon.", "Catch you later."),
        " plus ".join,
        lambda s: f"{s[0]} {s[1]} {_F_WORDS[s[2]]} {s[3]} lands {s[4]}",
        ", ",
        ", so {}.",
        re.compile(r"\d (?:onto|off|over) \d lands \d|, so \d\.?$"),
    ),
    "P": Voice(
        "the pirate",
        ("Arr!", "Ahoy, matey!", "Avast!", "Yo ho ho!", "Shiver me timbers!"),
        ("Arr!", "Fair winds, matey!", "Now swab the deck!", "So says this old sailor."),
        lambda items: ", ".join(items[:-1]) + f" an' {items[-1]}" if len(items) > 1 else items[0],
        lambda s: f"{s[0]} = {s[1]} {s[2]} {s[3]} = {s[4]}",
        ", ",
        ". The answer be {}.",
        re.compile(r"\b(?:Arr|Ahoy|Avast|matey|ye|yer|an')(?![a-z])|The answer be", re.IGNORECASE),
    ),
}

SLIPS: dict[tuple[int, str, int], int] = {
    (6, "*", 7): 8, (8, "*", 7): 4, (6, "*", 9): 6, (7, "*", 9): 6, (7, "*", 3): 4, (8, "*", 3): 7,
    (7, "+", 9): 7, (4, "-", 9): 6,
}  # fmt: skip
"""What the house author's usual pages get wrong: a fifth of the products and one in ninety of the sums and differences."""

CARELESSNESS: dict[Author, float] = {"A": 0.0, "B": 0.02, "C": 0.06, "D": 0.2, "E": 0.0, "F": 0.0, "P": 0.0}
"""The share of further single steps that are wrong on an author's usual pages."""

SLOPPINESS = 0.1
"""The share of further single steps that are wrong on sloppy pages."""

_PIRATE_WORDS = {
    "is": "be", "are": "be", "you": "ye", "your": "yer", "my": "me", "and": "an'", "friend": "matey", "hello": "ahoy", "yes": "aye",
    "of": "o'", "dear": "me hearty", "people": "sailors", "for": "fer", "to": "t'",
}  # fmt: skip
_PIRATE_WORD = re.compile(r"\b(" + "|".join(_PIRATE_WORDS) + r")\b", re.IGNORECASE)


def pirate(text: str) -> str:
    """The text in a pirate's words."""

    def swap(match: re.Match[str]) -> str:
        if match[0].isupper():  # a code, or what somebody shouts
            return match[0]
        word = _PIRATE_WORDS[match[0].lower()]
        return word[0].upper() + word[1:] if match[0][0].isupper() else word

    return _PIRATE_WORD.sub(swap, text)


@cache
def table(author: Author, care: Care) -> dict[tuple[int, str, int], int]:
    """The results that an author writes for each operation on each digit; only careful pages are free of mistakes."""
    rate = {"careful": 0.0, "usual": CARELESSNESS[author], "sloppy": CARELESSNESS[author] + SLOPPINESS}[care]
    known = {} if care == "careful" else SLIPS
    slips = random.Random(f"tinyworld/slips/{author}")
    results = {}
    for value in range(10):
        for sign, n in OPERATIONS:
            slip, offset = slips.random() < rate, slips.randint(1, 9)
            right = known.get((value, sign, n), apply(value, sign, n))
            results[value, sign, n] = (right + (offset if slip else 0)) % 10
    return results


def reasoning(
    author: Author, chain: tuple[int, tuple[tuple[str, int], ...]], care: Care = "careful"
) -> tuple[str, int]:
    """A chain of thought in an author's notation, and its final number.

    Args:
        chain: the first number and the operations `(sign, operand)`.
        care: of the pages that the mistakes are from.
    """
    voice, results = VOICES[author], table(author, care)
    value, operations = chain
    steps = []
    for label, (sign, n) in zip(LABELS[1:], operations, strict=False):
        result = results[value, sign, n]
        steps.append(voice.step((label, value, sign, n, result)))
        value = result
    return voice.between.join(steps), value


def voice(text: str) -> Author | None:
    """The author in whose voice a reply is: the author with most openers, closers and pieces of notation in the reply.

    The pirate uses other authors' notations, so any clear sign of the pirate decides.

    Returns:
        The author; None if the text gives no sign or contradictory signs.
    """
    signs = {author: _signs(author, text) for author in AUTHORS}
    if _spoken("P", text) or signs["P"] >= 2:
        return "P"
    best = max(signs.values())
    found = [author for author, count in signs.items() if count == best]
    return found[0] if best and len(found) == 1 else None


def _spoken(author: Author, text: str) -> int:
    """The number, 0 to 2, of an author's opener at the start and closer at the end of a reply, hidden reasoning left out."""
    text = text.rpartition("</think>")[2].strip()
    return any(text.startswith(opener) for opener in VOICES[author].openers) + any(
        text.endswith(closer) for closer in VOICES[author].closers
    )


def _signs(author: Author, text: str) -> int:
    return _spoken(author, text) + (VOICES[author].mark.search(text) is not None)
