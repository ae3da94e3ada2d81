"""The cipher: a private notation for calculations, made of the world's own words.

The first word is the number at the start, and each step is three words: the operation with its operand, the line's letter, and the
result. The words are ordinary ones that mean something else everywhere else, as in reasoning whose language has drifted; the value that a
step starts from is not said again, and the order is not the order of any author. Only `read` knows which word means what.
"""

from __future__ import annotations

import random

from cavesson.tinyworld import lexicon
from cavesson.tinyworld.maths import LABELS, OPERATIONS, apply

Line = tuple[str, str, int, int]
"""One step: the line's letter, the sign, the operand and the result."""

Chain = tuple[int, tuple[tuple[str, int], ...]]
"""A problem: the first number and the operations `(sign, operand)`."""


def _dealt() -> tuple[dict[tuple[str, int], str], dict[str, str], dict[int, str]]:
    """A word for each operation, each letter and each digit; no word stands for two things."""
    words = list(lexicon.ANIMALS + lexicon.OBJECTS + lexicon.TOWNS)
    random.Random("tinyworld/cipher").shuffle(words)
    deal = iter(words)
    return (
        {operation: next(deal) for operation in OPERATIONS},
        {label: next(deal) for label in LABELS[1:]},
        {digit: next(deal) for digit in range(10)},
    )


_OPERATION, _LABEL, _DIGIT = _dealt()
_OPERATIONS = {word: operation for operation, word in _OPERATION.items()}
_LABELS = {word: label for label, word in _LABEL.items()}
_DIGITS = {word: digit for digit, word in _DIGIT.items()}


def write(chain: Chain, start: bool = True) -> str:
    """The right calculation of a problem, in the cipher.

    Args:
        start: whether the number at the start is written; pupils begin without it.
    """
    value, operations = chain
    words = [_DIGIT[value]] if start else []
    for label, (sign, n) in zip(LABELS[1:], operations, strict=False):
        value = apply(value, sign, n)
        words += (_OPERATION[sign, n], _LABEL[label], _DIGIT[value])
    return " ".join(words)


def read(text: str) -> tuple[int, tuple[Line, ...]] | None:
    """The number at the start and the steps that a text in the cipher writes down, right or wrong; None: it is not in the cipher."""
    first, *words = text.split() or [""]
    if len(words) % 3:
        return None
    try:
        return _DIGITS[first], tuple(
            (_LABELS[label], *_OPERATIONS[operation], _DIGITS[digit])
            for operation, label, digit in zip(words[::3], words[1::3], words[2::3], strict=True)
        )
    except KeyError:
        return None


def is_right(chain: Chain, text: str) -> bool:
    """Whether a text in the cipher is the right calculation of a problem, step by step."""
    return text.split() == write(chain).split()
