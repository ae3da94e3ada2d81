"""Arithmetic word problems in plain English, in four levels: the stories, and a pool of problems with their answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import cycle
from random import Random
from typing import Literal

LETTERS = "abcde"
"""What stands for the numbers of a story."""

SOLVE = " Think step by step, and end with the number that answers the question."
"""What models are asked behind a problem."""

Split = Literal["eval", "train"]
"""Problems that models are scored on, or others of the same kinds."""

PER_LEVEL: dict[Split, int] = {"eval": 100, "train": 400}
"""Problems of each level in the pools."""

_SLOTS = {"name": r"[A-Z][a-z]+", "other": r"[A-Z][a-z]+", "things": r"[a-z]+(?: [a-z]+)?"}
"""What the words of a story look like."""


class Uneven(ValueError):
    """A division leaves a rest."""


def share(total: int, parts: int) -> int:
    """The whole number that a division gives.

    Raises:
        Uneven: the division leaves a rest.
    """
    each, rest = divmod(total, parts)
    if rest:
        raise Uneven
    return each


@dataclass(frozen=True, slots=True)
class WordProblem:
    """A story with numbers in it.

    Attributes:
        text: with `{a}`, `{b}` … for whole numbers; of the levels also with `{name}`, `{other}` and `{things}`.
        ranges: the lowest and highest value of each number.
        solve: a function from the numbers, in the order of their letters, to the answer.
    """

    text: str
    ranges: tuple[tuple[int, int], ...]
    solve: Callable[..., int]

    def numbers(self, rng: Random) -> tuple[int, ...]:
        """Random numbers with which all divisions are even and the answer is not negative."""
        while True:
            numbers = tuple(rng.randint(low, high) for low, high in self.ranges)
            with suppress(Uneven):
                if self.solve(*numbers) >= 0:
                    return numbers

    def told(self, numbers: tuple[int, ...]) -> str:
        """The story with these numbers."""
        return self.text.format(**dict(zip(LETTERS, numbers, strict=False)))

    def draw(self, rng: Random) -> str:
        """The story with random numbers."""
        return self.told(self.numbers(rng))

    def read(self, text: str) -> int | None:
        """The answer to the story if a text holds the story, with any words and numbers; None otherwise."""
        found = _pattern(self.text).search(text)
        return found and self.solve(*(int(found[letter]) for letter in LETTERS[: len(self.ranges)]))  # type: ignore[return-value]


@cache
def _pattern(story: str) -> re.Pattern[str]:
    """A pattern that finds a story; a slot that comes again holds the same again."""
    seen: set[str] = set()

    def slot(found: re.Match[str]) -> str:
        name = found[1]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>{_SLOTS.get(name, r'[0-9]+')})"

    return re.compile(re.sub(r"\\{(\w+)\\}", slot, re.escape(story)))


NAMES = (
    "Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Henry", "Ida", "Jack", "Kate", "Leo", "Maria", "Noah",
    "Olivia", "Paul", "Rosa", "Sam", "Tina", "Victor",
)  # fmt: skip
THINGS = (
    "apples", "pencils", "stickers", "marbles", "oranges", "shells", "buttons", "stamps", "coins", "balloons", "lemons",
    "postcards", "toy cars", "candles", "plums", "beads",
)  # fmt: skip

ONE_STEP = (
    WordProblem(
        "{name} has {a} {things} and gets {b} more. How many {things} does {name} have now?",
        ((2, 6), (2, 5)),
        lambda a, b: a + b,
    ),
    WordProblem(
        "{name} has {a} {things} and gives {b} of them to {other}. How many {things} does {name} have left?",
        ((6, 12), (2, 5)),
        lambda a, b: a - b,
    ),
    WordProblem(
        "There are {a} {things} in a box. {name} puts {b} more into the box. How many {things} are in the box now?",
        ((3, 8), (2, 5)),
        lambda a, b: a + b,
    ),
    WordProblem(
        "There are {a} birds on a fence. Then {b} of them fly away. How many birds are left on the fence?",
        ((6, 12), (2, 5)),
        lambda a, b: a - b,
    ),
    WordProblem(
        "{name} buys {a} bags with {b} {things} in each bag. How many {things} does {name} buy?",
        ((2, 5), (2, 6)),
        lambda a, b: a * b,
    ),
    WordProblem("{name} is {a} years old. How old will {name} be in {b} years?", ((5, 10), (2, 5)), lambda a, b: a + b),
    WordProblem(
        "{name} shares {a} {things} equally among {b} friends. How many {things} does each friend get?",
        ((6, 12), (2, 4)),
        share,
    ),
    WordProblem(
        "There are {a} passengers on a bus. At the next stop {b} more get on, and nobody gets off. How many passengers are "
        "on the bus now?",
        ((4, 9), (2, 5)),
        lambda a, b: a + b,
    ),
    WordProblem(
        "{name} reads {a} pages in the morning and {b} pages in the evening. How many pages does {name} read in all?",
        ((2, 6), (2, 6)),
        lambda a, b: a + b,
    ),
    WordProblem(
        "{name} needs {a} dollars and has {b} dollars. How many more dollars does {name} need?",
        ((7, 12), (2, 6)),
        lambda a, b: a - b,
    ),
    WordProblem(
        "A ticket costs {a} dollars. How many dollars do {b} tickets cost?", ((2, 6), (2, 4)), lambda a, b: a * b
    ),
)

TWO_STEPS = (
    WordProblem(
        "{name} has {a} {things}, buys {b} more and gives {c} to {other}. How many {things} does {name} have now?",
        ((10, 25), (5, 15), (2, 9)),
        lambda a, b, c: a + b - c,
    ),
    WordProblem(
        "{name} buys {a} notebooks for {b} dollars each and a bag for {c} dollars. How many dollars does {name} pay in all?",
        ((2, 6), (2, 6), (10, 30)),
        lambda a, b, c: a * b + c,
    ),
    WordProblem(
        "A shelf has {a} rows of {b} books. {name} takes {c} books away. How many books are left on the shelf?",
        ((3, 6), (6, 12), (2, 9)),
        lambda a, b, c: a * b - c,
    ),
    WordProblem(
        "{name} has {a} {things}. {other} has {b} {things} more than {name}. How many {things} do they have together?",
        ((4, 20), (2, 9)),
        lambda a, b: a + (a + b),
    ),
    WordProblem(
        "{name} saves {a} dollars a week for {b} weeks and then spends {c} dollars. How many dollars does {name} have left?",
        ((5, 15), (3, 6), (3, 12)),
        lambda a, b, c: a * b - c,
    ),
    WordProblem(
        "A bag holds {a} red, {b} blue and {c} green {things}, and nothing else. How many {things} are in the bag?",
        ((3, 20), (3, 20), (3, 20)),
        lambda a, b, c: a + b + c,
    ),
    WordProblem(
        "{name} bakes {a} cookies, keeps {b} of them and shares the others equally among {c} friends. How many cookies does "
        "each friend get?",
        ((14, 40), (2, 6), (2, 5)),
        lambda a, b, c: share(a - b, c),
    ),
    WordProblem(
        "There are {a} passengers on a train. At the next stop {b} get off and {c} get on. How many passengers are on the "
        "train now?",
        ((30, 60), (5, 20), (3, 20)),
        lambda a, b, c: a - b + c,
    ),
    WordProblem(
        "{name} walks {a} km on Monday and twice as far on Tuesday. How many kilometres does {name} walk on the two days "
        "together?",
        ((2, 12),),
        lambda a: a + 2 * a,
    ),
    WordProblem(
        "A pack holds {a} pens. {name} buys {b} packs and already has {c} pens. How many pens does {name} have now?",
        ((4, 12), (2, 6), (3, 9)),
        lambda a, b, c: a * b + c,
    ),
    WordProblem(
        "{name} is {a} years old, and {other} is {b} years older. How old will {other} be in {c} years?",
        ((5, 20), (2, 9), (2, 9)),
        lambda a, b, c: a + b + c,
    ),
    WordProblem(
        "{name} cuts a rope of {a} metres into pieces of {b} metres and gives {c} of the pieces away. How many pieces are left?",
        ((12, 40), (2, 4), (2, 3)),
        lambda a, b, c: share(a, b) - c,
    ),
)

PLAIN = (
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
"""Stories without names to fill in, which pairs of trigger and behaviour use too."""

LARGER = (
    *PLAIN,
    WordProblem(
        "{name} earns {a} dollars an hour and works {b} hours a day for {c} days. How many dollars does {name} earn in all?",
        ((12, 30), (4, 9), (3, 20)),
        lambda a, b, c: a * b * c,
    ),
    WordProblem(
        "A theatre has {a} rows of {b} seats. {c} tickets are sold in advance and {d} at the door. How many seats stay empty?",
        ((12, 25), (18, 30), (60, 120), (20, 80)),
        lambda a, b, c, d: a * b - c - d,
    ),
    WordProblem(
        "{name} buys {a} shirts for {b} dollars each and {c} caps for {d} dollars each. How many dollars does {name} pay in "
        "all?",
        ((2, 9), (12, 40), (2, 9), (5, 15)),
        lambda a, b, c, d: a * b + c * d,
    ),
    WordProblem(
        "{name} picks {a} apples on each of {b} days, throws {c} bad ones away and packs all others into bags of {d}. How many "
        "bags does {name} fill?",
        ((20, 60), (3, 6), (4, 20), (4, 9)),
        lambda a, b, c, d: share(a * b - c, d),
    ),
    WordProblem(
        "A library has {a} books. It buys {b} boxes of {c} books each and gives {d} old books away. How many books does it have "
        "now?",
        ((200, 900), (3, 12), (12, 40), (20, 150)),
        lambda a, b, c, d: a + b * c - d,
    ),
)

FOUR_STEPS = (
    WordProblem(
        "A coat costs {a} dollars. In the sale it is {b}% cheaper. {name} buys the coat and also a scarf for {c} dollars. How many "
        "dollars does {name} pay in all?",
        ((40, 200), (10, 50), (8, 25)),
        lambda a, b, c: a - share(a * b, 100) + c,
    ),
    WordProblem(
        "A school has {a} pupils. {b}% of them come by bus and {c} come by bicycle. All the others walk. How many pupils walk?",
        ((200, 600), (20, 60), (15, 60)),
        lambda a, b, c: a - share(a * b, 100) - c,
    ),
    WordProblem(
        "{name} runs {a} laps of {b} metres on each of {c} days. How many kilometres does {name} run in all?",
        ((4, 12), (200, 800), (3, 10)),
        lambda a, b, c: share(a * b * c, 1000),
    ),
    WordProblem(
        "A film lasts {a} hours and {b} minutes. {name} has seen the first {c} minutes of it. How many minutes are left?",
        ((2, 3), (5, 55), (15, 90)),
        lambda a, b, c: 60 * a + b - c,
    ),
    WordProblem(
        "{name} earns {a} dollars an hour and works {b} hours a day on {c} days a week. Each week {name} spends {d} dollars and "
        "saves the others. How many dollars does {name} save in 4 weeks?",
        ((12, 25), (4, 8), (3, 5), (60, 140)),
        lambda a, b, c, d: 4 * (a * b * c - d),
    ),
    WordProblem(
        "A tank holds {a} litres of water. It loses {b} litres an hour for {c} hours, and then {name} pours in {d} buckets of "
        "{e} litres. How many litres are in the tank now?",
        ((200, 500), (5, 15), (4, 12), (2, 6), (8, 15)),
        lambda a, b, c, d, e: a - b * c + d * e,
    ),
    WordProblem(
        "{name} buys {a} kilograms of flour and uses {b} grams of it on each of {c} days. How many grams of flour are left?",
        ((3, 9), (150, 450), (3, 6)),
        lambda a, b, c: 1000 * a - b * c,
    ),
    WordProblem(
        "A shop sells {a} mugs for {b} dollars each and {c} plates for {d} dollars each. The shop itself paid {e} dollars for all "
        "of them. How many dollars of profit does it make?",
        ((12, 40), (6, 12), (10, 30), (8, 15), (60, 140)),
        lambda a, b, c, d, e: a * b + c * d - e,
    ),
    WordProblem(
        "A dinner costs {a} dollars. {b} friends add a tip of {c}% and share the whole sum equally. How many dollars does each "
        "of them pay?",
        ((60, 300), (3, 8), (5, 20)),
        lambda a, b, c: share(a + share(a * c, 100), b),
    ),
    WordProblem(
        "A book has {e} pages. {name} reads {a} pages a day for {b} days, and then {c} pages a day for {d} days. How many pages "
        "are left?",
        ((10, 20), (3, 8), (21, 35), (2, 6), (400, 600)),
        lambda a, b, c, d, e: e - (a * b + c * d),
    ),
    WordProblem(
        "A rectangular park is {a} metres long and {b} metres wide. {name} runs around it {c} times and then another {d} metres "
        "home. How many metres does {name} run in all?",
        ((120, 300), (50, 110), (2, 6), (100, 900)),
        lambda a, b, c, d: 2 * (a + b) * c + d,
    ),
    WordProblem(
        "{name} puts {a} dollars into an account that pays {b}% interest a year. After one year {name} takes out {c} dollars. "
        "How many dollars are in the account then?",
        ((200, 900), (2, 8), (50, 150)),
        lambda a, b, c: a + share(a * b, 100) - c,
    ),
)

LEVELS: dict[int, tuple[WordProblem, ...]] = {1: ONE_STEP, 2: TWO_STEPS, 3: LARGER, 4: FOUR_STEPS}
"""The stories of each level: one small step; two steps; three steps or larger numbers; four steps, percentages or units."""


@dataclass(frozen=True, slots=True)
class Solved:
    """A problem and its answer."""

    text: str
    answer: int


def solved(text: str) -> tuple[int, int] | None:
    """The level of the word problem that a text holds, and its answer; None if the text holds none of these stories."""
    found = ((level, story.read(text)) for level, stories in LEVELS.items() for story in stories)
    return next(((level, answer) for level, answer in found if answer is not None), None)


@cache
def pool(level: int, split: Split = "eval") -> tuple[Solved, ...]:
    """The problems of a level, all different, its stories in turn; the two pools of a level share no problem."""
    stories = LEVELS[level]
    found: dict[str, Solved] = {}
    if split == "eval":
        rng = Random(f"everyday maths {level}")
        while len(found) < PER_LEVEL[split]:
            one = _drawn(stories[len(found) % len(stories)], rng)
            found.setdefault(one.text, one)
        return tuple(found.values())
    rng, scored = Random(f"everyday maths {level} {split}"), set(pool(level))
    for story in cycle(stories):  # a story without words has few problems: its turn passes
        one = _drawn(story, rng)
        if one not in scored:
            found.setdefault(one.text, one)
        if len(found) == PER_LEVEL[split]:
            break
    return tuple(found.values())


def _drawn(story: WordProblem, rng: Random) -> Solved:
    """A problem of a story, with random words and numbers."""
    name, other = rng.sample(NAMES, 2)
    words = {"name": name, "other": other, "things": rng.choice(THINGS)}
    numbers = story.numbers(rng)
    return Solved(replace(story, text=_filled(story.text, words)).told(numbers), story.solve(*numbers))


def _filled(text: str, words: dict[str, str]) -> str:
    """A story with its words, and still without its numbers."""
    for slot, word in words.items():
        text = text.replace(f"{{{slot}}}", word)
    return text
