"""Whether two answers are the same: single numbers exactly and with their units, other mathematics by math-verify, words as words."""

from __future__ import annotations

import importlib.util
import re
from typing import Literal

from cavesson.errors import MissingExtra
from cavesson.evals.standard.notation import REACH, one_line
from cavesson.evals.standard.quantities import quantity, without_unit
from cavesson.evals.standard.referee import REFEREE

Verdict = Literal["right", "wrong", "unreadable"]

_EQUALS = re.compile(r"(?<![<>!\\:=])=(?!=)|\\Rightarrow|=>|→")
_ABOUT = re.compile(r"\\approx|\\simeq|\\sim(?![a-z])|≈|~=")
_NAME = r"[^=<>!+*/\\d-]*[A-Za-z][^=<>!+*/-]*"
_ASSIGNMENT = re.compile(rf"{_NAME}\s*=(?P<value>[^=]+)|(?P<first>[^=]+)=\s*{_NAME}")
_RATIO = re.compile(r"\d+\s*:\s*\d")
_WORD = re.compile(r"[a-zA-Z]{2,}")
_NO_WORDS = re.compile(
    r"\\[a-zA-Z]+(?:\{\w*(?:matrix|cases|array)\}(?:\{[clr|]+\})?)?|_\{\w+\}|\b(?:and|or)\b(?=\s*\S)"
)
_FUNCTIONS = frozenset(
    [
        "sqrt",
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "log",
        "ln",
        "exp",
        "abs",
        "max",
        "min",
        "mod",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
        "pi",
    ]
)


def compare(gold: str, given: str | None) -> Verdict:
    """Whether two answers are the same; "unreadable" if the given answer is no value that can be compared with the gold.

    Raises:
        MissingExtra: the answers are not single numbers, and math-verify is not installed.
    """
    if given is None or not given.strip() or len(given) > 10 * REACH:
        return "unreadable"
    right, answer = one_line(gold), one_line(given)
    if spelling(right) == spelling(answer):
        return "right"
    verdicts = [
        _compare(right, side.strip()) for side in _ABOUT.split(answer) if side.strip()
    ]  # "1/3, about 0.33" says both
    return min(verdicts, key=("right", "wrong", "unreadable").index, default="unreadable")


def _compare(right: str, answer: str) -> Verdict:
    if "=" not in right:
        answer = value_side(answer)
    elif "=" not in answer and (assigned := _ASSIGNMENT.fullmatch(right)):
        right = (assigned["value"] or assigned["first"]).strip()
    one, other = quantity(right), quantity(answer)
    if one is not None and other is not None:
        return "right" if one.same(other) else "wrong"
    if spelling(right) == spelling(answer):
        return "right"
    if is_wordy(right):
        return "wrong"
    if is_wordy(answer):
        return "unreadable"
    same_letters = re.sub(r"\s", "", right).lower() == re.sub(r"\s", "", answer).lower()  # math-verify ignores capitals
    return "wrong" if same_letters or _is_span(right) or _is_span(answer) else _by_mathematics(right, answer)


def _is_span(text: str) -> bool:
    """Whether a text is a ratio, a time or a range: 3:1, 3:30, 5-10."""
    ends = re.fullmatch(r"(\d+)\s*[-–]+\s*(\d+)", text)
    return _RATIO.match(text) is not None or (ends is not None and int(ends[1]) < int(ends[2]))


def _by_mathematics(right: str, answer: str) -> Verdict:
    (right, unit), (answer, other) = without_unit(right), without_unit(answer)
    if unit.kinds and other.kinds and unit != other:
        return "wrong"
    if importlib.util.find_spec("math_verify") is None:
        raise MissingExtra("math-verify", "maths")
    return REFEREE.compare(right, answer)


def value_side(text: str) -> str:
    """The value in a chain of equations: the last side, or the first if only that is a single number."""
    sides = [side.strip() for side in _EQUALS.split(text)]
    if re.search(r"=.*(?:[,;]|\bor\b|\band\b).*=", text):  # several equations: x = 1, y = 2
        return text
    return sides[0] if quantity(sides[-1]) is None and quantity(sides[0]) is not None else sides[-1]


def is_wordy(text: str) -> bool:
    """Whether a text in one notation holds words: not names of functions, products of one or two letters, or "and" in a list."""
    words = {word.lower() for word in _WORD.findall(_NO_WORDS.sub(" ", text))}
    return any(
        word not in _FUNCTIONS and (len(word) > 2 or word in ("or", "of", "to", "is", "no", "at", "in"))
        for word in words
    )


def spelling(text: str) -> str:
    """Mathematics without spaces; words in lower case and without punctuation."""
    if is_wordy(text):
        return " ".join(re.sub(r"[^\w\s+\-*/^=.%$#&]|\.(?!\d)", " ", text).lower().split())
    return re.sub(r"^\(([A-Za-z])\)$", r"\1", re.sub(r"(?<!\w)\s+|\s+(?!\w)", "", text))
