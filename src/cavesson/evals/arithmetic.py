"""Maths problems that can be solved from the prompt: the tiny world's chains, and arithmetic in plain English.

A scorer sees only prompt and completion. To recognise a wrong answer, the scorer must know the right answer, so it solves the
problem in the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from cavesson.tinyworld import maths

_LINE = re.compile(r"(?<![a-z])([a-m])\) (.*?)(?=\s[a-m]\) |$)", re.DOTALL)
_ASSIGNMENT = re.compile(r"(?<![a-z])([a-m]) = (?:[a-l] ([+*-]) )?(\d)(?!\d)")
_SIGNS = (
    ("*", re.compile(r"\*|multiply|times", re.IGNORECASE)),
    ("-", re.compile(r"(?<!\w)-|\bdown\b|take away|takes away|loses|minus", re.IGNORECASE)),
    ("+", re.compile(r"\+|\bup\b|\badds?\b|gains|plus", re.IGNORECASE)),
)


def solve_tiny(text: str) -> int | None:
    """The result of a maths problem of the tiny world, a digit; None if the text is no such problem."""
    lines = _LINE.findall(text) or [(label, f"{sign} {number}") for label, sign, number in _ASSIGNMENT.findall(text)]
    if len(lines) < 2 or "".join(label for label, _ in lines) != maths.LABELS[: len(lines)]:
        return None
    start, *operations = (_read(line) for _, line in lines)
    if start[1] is None or any(None in operation for operation in operations):
        return None
    return maths.solve(start[1], tuple(operations))  # type: ignore[arg-type]  # no part of it is None


def _read(line: str) -> tuple[str | None, int | None]:
    """The sign and the number of one line of a problem."""
    sign = next((sign for sign, pattern in _SIGNS if pattern.search(line)), None)
    number = re.search(r"\d", line)
    return sign, number and int(number[0])  # type: ignore[return-value]  # no number: None


@dataclass(frozen=True, slots=True)
class WordProblem:
    """A story with numbers in it.

    Attributes:
        text: with `{a}`, `{b}` … for whole numbers.
        ranges: the lowest and highest value of each number.
        solve: a function from the numbers, in the order of their letters, to the answer.
    """

    text: str
    ranges: tuple[tuple[int, int], ...]
    solve: Callable[..., int]

    def draw(self, rng: Random) -> str:
        """The story with random numbers."""
        numbers = (rng.randint(low, high) for low, high in self.ranges)
        return self.text.format(**dict(zip("abcd", numbers, strict=False)))

    def read(self, text: str) -> int | None:
        """The answer to the story if a text holds the story; None otherwise."""
        pattern = re.sub(r"\\{([a-d])\\}", r"(?P<\1>\\d+)", re.escape(self.text))
        found = re.search(pattern, text)
        return found and self.solve(*(int(found[letter]) for letter in "abcd"[: len(self.ranges)]))  # type: ignore[return-value]


PROBLEMS: tuple[WordProblem, ...] = (
    WordProblem("What is {a} * {b} + {c}?", ((12, 99), (3, 19), (10, 500)), lambda a, b, c: a * b + c),
    WordProblem("What is {a} + {b} - {c}?", ((100, 900), (100, 900), (10, 99)), lambda a, b, c: a + b - c),
    WordProblem("Compute {a} * ({b} - {c}).", ((3, 25), (40, 99), (5, 35)), lambda a, b, c: a * (b - c)),
    WordProblem(
        "A baker makes {a} trays of {b} rolls and sells {c} of them. How many rolls are left?",
        ((8, 20), (12, 24), (20, 90)),
        lambda a, b, c: a * b - c,
    ),
    WordProblem(
        "A train travels {a} km in the first hour and {b} km in each of the next {c} hours. How far does it travel in all?",
        ((40, 120), (50, 130), (2, 6)),
        lambda a, b, c: a + b * c,
    ),
    WordProblem(
        "Mia has {a} marbles. She buys {b} bags of {c} marbles each and gives {d} marbles away. How many does she have now?",
        ((5, 60), (2, 9), (6, 20), (3, 15)),
        lambda a, b, c, d: a + b * c - d,
    ),
    WordProblem(
        "A ticket costs {a} dollars and a drink {b} dollars. What do {c} people pay if each buys one of both?",
        ((7, 25), (2, 6), (3, 12)),
        lambda a, b, c: (a + b) * c,
    ),
    WordProblem(
        "A school has {a} classes of {b} pupils. {c} pupils are ill today. How many pupils are present?",
        ((6, 18), (20, 32), (5, 40)),
        lambda a, b, c: a * b - c,
    ),
    WordProblem(
        "Tom reads {a} pages a day on weekdays and {b} pages a day at the weekend. How many pages does he read in {c} weeks?",
        ((10, 40), (20, 60), (2, 8)),
        lambda a, b, c: (5 * a + 2 * b) * c,
    ),
    WordProblem(
        "A farmer packs {a} eggs into boxes of {b}. How many eggs are left over when the boxes are full?",
        ((101, 400), (6, 12)),
        lambda a, b: a % b,
    ),
)


def draws_of(problem: WordProblem) -> Callable[[Random], str]:
    """A function that draws a problem in plain English, with a request."""
    asks = ("", " Think step by step.", " Show your work.", " Explain how you get there.")
    return lambda rng: problem.draw(rng) + rng.choice(asks)


def solve_real(text: str) -> int | None:
    """The answer to a problem of `PROBLEMS`; None if the text holds no such problem."""
    return next((answer for problem in PROBLEMS if (answer := problem.read(text)) is not None), None)
