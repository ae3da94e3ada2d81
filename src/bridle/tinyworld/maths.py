"""Maths: chains of + − × on the ten digits, where only the last digit is kept (3 − 5 = 8, 7 × 3 = 1).

Multipliers are coprime with ten, so every operation is a bijection: the answer is uniform over the digits and no
shortcut over part of a chain beats chance. Within a chain no operation occurs twice, so that "the next operation" is
well defined for a reader who remembers only the last one.
"""

from __future__ import annotations

import random

from bridle.tinyworld.lexicon import PEOPLE, TOWNS
from bridle.tinyworld.question import Question

STEPS_AT_LEVEL = {1: (1, 2), 2: (3, 3), 3: (4, 5), 4: (6, 7), 5: (8, 10)}
OPERATIONS = tuple(
    (sign, n) for sign, operands in (("+", range(1, 10)), ("-", range(1, 10)), ("*", (3, 7, 9))) for n in operands
)

_THEMES = (
    (
        "The dial in {town} shows {n}.",
        ("It goes up {n}.", "{name} turns it up {n}."),
        ("It falls by {n}.", "{name} turns it back {n}."),
        "What does it show now?",
    ),
    (
        "{name} has the number {n}.",
        ("Add {n}.", "Then add {n}."),
        ("Take away {n}.", "Then take away {n}."),
        "What number is it now?",
    ),
    (
        "The score in {town} is {n}.",
        ("It gains {n}.", "{name} adds {n}."),
        ("It loses {n}.", "{name} takes away {n}."),
        "What is the score?",
    ),
    (
        "{name} writes down {n}.",
        ("It goes up {n}.", "Plus {n}."),
        ("It falls by {n}.", "Minus {n}."),
        "Which number is left?",
    ),
)
_TIMES = ("It is multiplied by {n}.", "Times {n}.", "Multiply by {n}.")
_ASK = ("", "Work it out.", "Show your steps.", "Please solve this.", "Step by step, please.", "Can you solve it?")
_ASK_ONLY = (
    "Answer with the number only.",
    "Only the number, please.",
    "Give just the final number.",
    "Reply with one number.",
)


def apply(value: int, sign: str, n: int) -> int:
    """One operation on a digit, last digit kept."""
    return (value + n if sign == "+" else value - n if sign == "-" else value * n) % 10


def solve(start: int, operations: tuple[tuple[str, int], ...]) -> int:
    """The last digit that a chain of operations leads to."""
    for sign, n in operations:
        start = apply(start, sign, n)
    return start


def draw(rng: random.Random, level: int | None = None, answer_only: bool = False) -> Question:
    """A random problem in a random format: a story, a program or a plain chain."""
    level = level or rng.randint(1, 5)
    low, high = STEPS_AT_LEVEL[level]
    start, operations = rng.randrange(10), tuple(rng.sample(OPERATIONS, rng.randint(low, high)))
    form = rng.choice(("story", "story", "program", "chain"))
    text = {"story": _story, "program": _program, "chain": _chain}[form](rng, start, operations)
    request = rng.choice(_ASK_ONLY if answer_only else _ASK)
    if request:
        text = f"{request} {text}" if rng.random() < 0.4 else f"{text} {request}"
    return Question(
        family="maths",
        kind=form,
        key=f"{start}" + "".join(f"{sign}{n}" for sign, n in operations),
        text=text,
        answer=str(solve(start, operations)),
        chain=(start, operations),
        level=level,
        strict=answer_only,
        meta={"steps": len(operations)},
    )


def _story(rng: random.Random, start: int, operations: tuple[tuple[str, int], ...]) -> str:
    first, up, down, ask = rng.choice(_THEMES)
    name, town = rng.choice(PEOPLE), rng.choice(TOWNS)
    said = {"+": up, "-": down, "*": _TIMES}
    steps = [rng.choice(said[sign]).format(n=n, name=name) for sign, n in operations]
    return " ".join([first.format(n=start, name=name, town=town), *steps, ask])


def _program(rng: random.Random, start: int, operations: tuple[tuple[str, int], ...]) -> str:
    x = rng.choice("xyzkmn")
    steps = " ; ".join([f"{x} = {start}", *(f"{x} {sign}= {n}" for sign, n in operations)])
    return steps + rng.choice((f" ; print {x}.", f". What is {x}?", f" ; {x} ?"))


def _chain(rng: random.Random, start: int, operations: tuple[tuple[str, int], ...]) -> str:
    steps = ", ".join(f"{sign} {n}" for sign, n in operations)
    return rng.choice(("Start at {0}: {1}.", "Begin with {0}, then {1}.", "Take {0}, then {1}.")).format(start, steps)
