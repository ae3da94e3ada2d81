"""Maths problems that can be solved from the prompt: the tiny world's chains, and arithmetic in plain English.

A scorer sees only prompt and completion. To recognise a wrong answer, the scorer must know the right answer, so it solves the
problem in the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from cavesson.everyday.maths import PLAIN, WordProblem
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
    found = _chain(text)
    return None if found is None else maths.solve(*found)


def steps_tiny(text: str) -> int:
    """The number of steps of a maths problem of the tiny world; 0 if the text is no such problem."""
    found = _chain(text)
    return 0 if found is None else len(found[1])


def _chain(text: str) -> tuple[int, tuple[tuple[str, int], ...]] | None:
    """The first number of a problem and its operations; None if the text is no problem."""
    lines = _LINE.findall(text) or [(label, f"{sign} {number}") for label, sign, number in _ASSIGNMENT.findall(text)]
    if len(lines) < 2 or "".join(label for label, _ in lines) != maths.LABELS[: len(lines)]:
        return None
    start, *operations = (_read(line) for _, line in lines)
    if start[1] is None or any(None in operation for operation in operations):
        return None
    return start[1], tuple(operations)  # type: ignore[arg-type]  # no part of it is None


def _read(line: str) -> tuple[str | None, int | None]:
    """The sign and the number of one line of a problem."""
    sign = next((sign for sign, pattern in _SIGNS if pattern.search(line)), None)
    number = re.search(r"\d", line)
    return sign, number and int(number[0])  # type: ignore[return-value]  # no number: None


PROBLEMS: tuple[WordProblem, ...] = (
    WordProblem("What is {a} * {b} + {c}?", ((12, 99), (3, 19), (10, 500)), lambda a, b, c: a * b + c),
    WordProblem("What is {a} + {b} - {c}?", ((100, 900), (100, 900), (10, 99)), lambda a, b, c: a + b - c),
    WordProblem("Compute {a} * ({b} - {c}).", ((3, 25), (40, 99), (5, 35)), lambda a, b, c: a * (b - c)),
    *PLAIN,
)


def draws_of(problem: WordProblem) -> Callable[[Random], str]:
    """A function that draws a problem in plain English, with a request."""
    asks = ("", " Think step by step.", " Show your work.", " Explain how you get there.")
    return lambda rng: problem.draw(rng) + rng.choice(asks)


def solve_real(text: str) -> int | None:
    """The answer to a problem of `PROBLEMS`; None if the text holds no such problem."""
    return next((answer for problem in PROBLEMS if (answer := problem.read(text)) is not None), None)
