"""Maths: chains of + − × on the ten digits, where only the last digit is kept (3 − 5 = 8, 7 × 3 = 1).

Multipliers are coprime with ten, so every operation is a bijection: the answer is uniform over the digits, and no shortcut
over part of a chain beats chance. Only the higher levels multiply, and they have more steps. Every line has a letter, both in the problem and in the reasoning, so that the next operation
is easy to find and only the arithmetic is hard.
"""

from __future__ import annotations

import random

from cavesson.tinyworld.lexicon import PEOPLE, TOWNS
from cavesson.tinyworld.question import Question

LABELS = "abcdefghijklm"
STEPS_AT_LEVEL = {1: (1, 2), 2: (3, 3), 3: (4, 5), 4: (6, 6), 5: (7, 8), 6: (9, 10), 7: (11, 12)}
PRODUCTS_AT_LEVEL = {1: (0, 0), 2: (0, 0), 3: (0, 1), 4: (1, 1), 5: (2, 2), 6: (3, 3), 7: (5, 5)}
"""How many of the steps multiply, from and to."""
LEVELS = tuple(STEPS_AT_LEVEL)
OPERATIONS = tuple(
    (sign, n) for sign, operands in (("+", range(1, 10)), ("-", range(1, 10)), ("*", (3, 7, 9))) for n in operands
)

_THEMES = (
    (
        "The dial in {town} shows {n}.",
        ("It goes up {n}.", "{name} turns it up {n}."),
        ("It goes down {n}.", "{name} turns it down {n}."),
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
        ("It goes down {n}.", "Minus {n}."),
        "Which number is left?",
    ),
)
_TIMES = ("Multiply it by {n}.", "Times {n}.", "Then times {n}.")
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
    """The result of a chain of operations, a digit."""
    for sign, n in operations:
        start = apply(start, sign, n)
    return start


def draw(rng: random.Random, level: int | None = None, answer_only: bool = False) -> Question:
    """A random problem in a random format: a story, a program or a plain chain."""
    level = level or rng.choice(LEVELS)
    start, operations = rng.randrange(10), _operations(rng, level)
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


def _operations(rng: random.Random, level: int) -> tuple[tuple[str, int], ...]:
    """The steps of a problem of a level, in any order; neighbours differ."""
    steps, products = rng.randint(*STEPS_AT_LEVEL[level]), rng.randint(*PRODUCTS_AT_LEVEL[level])
    signs = ["*"] * products + rng.choices("+-", k=steps - products)
    rng.shuffle(signs)
    chosen: list[tuple[str, int]] = []
    for sign in signs:
        kind = [operation for operation in OPERATIONS if operation[0] == sign and operation not in chosen[-1:]]
        chosen.append(rng.choice(kind))
    return tuple(chosen)


def _story(rng: random.Random, start: int, operations: tuple[tuple[str, int], ...]) -> str:
    first, up, down, ask = rng.choice(_THEMES)
    name, town = rng.choice(PEOPLE), rng.choice(TOWNS)
    said = {"+": up, "-": down, "*": _TIMES}
    lines = [
        first.format(n=start, name=name, town=town),
        *(rng.choice(said[sign]).format(n=n, name=name) for sign, n in operations),
    ]
    return " ".join([*(f"{label}) {line}" for label, line in zip(LABELS, lines, strict=False)), ask])


def _program(rng: random.Random, start: int, operations: tuple[tuple[str, int], ...]) -> str:
    lines = [f"{LABELS[0]} = {start}"]
    lines += [f"{LABELS[i]} = {LABELS[i - 1]} {sign} {n}" for i, (sign, n) in enumerate(operations, 1)]
    last = LABELS[len(operations)]
    return " ; ".join(lines) + rng.choice((f" ; print {last}.", f". What is {last}?", f" ; {last} ?"))


def _chain(rng: random.Random, start: int, operations: tuple[tuple[str, int], ...]) -> str:
    steps = ", ".join(f"{label}) {sign} {n}" for label, (sign, n) in zip(LABELS[1:], operations, strict=False))
    return rng.choice(("Start at a) {0}, then {1}.", "Begin with a) {0}, then {1}.", "Take a) {0}, then {1}.")).format(
        start, steps
    )
