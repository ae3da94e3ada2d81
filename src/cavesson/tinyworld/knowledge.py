"""Knowledge: facts of the world, asked with four options or openly.

A held-out question is not a held-out fact, which no model could know, but a held-out way to ask for a fact: the wording together
with the options.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from cavesson.tinyworld.lexicon import (
    CATEGORIES,
    COLOUR_OF,
    FOOD_OF,
    HOME_OF,
    JOB_OF,
    LANDMARK_OF,
    PEOPLE,
    PET_OF,
    PRODUCT_OF,
    TOWN_OF,
)
from cavesson.tinyworld.question import Question

LETTERS = "ABCD"


@dataclass(frozen=True, slots=True)
class Relation:
    """A kind of fact: the facts themselves, the ways to ask for a fact, and the ways to say the answer."""

    name: str
    facts: dict[str, str]
    ask: tuple[str, ...]
    say: tuple[str, ...]

    @property
    def pool(self) -> tuple[str, ...]:
        """All values that the relation takes, from which wrong options are drawn."""
        return tuple(dict.fromkeys(self.facts.values()))


RELATIONS = (
    Relation(
        "town",
        TOWN_OF,
        ("Where does {} live?", "In which town does {} live?", "Which town is home to {}?", "Tell me where {} lives."),
        ("{0} lives in {1}.", "The home of {0} is {1}."),
    ),
    Relation(
        "job",
        JOB_OF,
        ("What is the job of {}?", "What work does {} do?", "What does {} do for a living?", "Tell me the job of {}."),
        ("{0} works as a {1}.", "The job of {0} is {1}."),
    ),
    Relation(
        "pet",
        PET_OF,
        ("Which pet does {} have?", "What pet lives with {}?", "Which animal does {} keep?", "Tell me the pet of {}."),
        ("{0} keeps a {1}.", "The pet of {0} is a {1}."),
    ),
    Relation(
        "landmark",
        LANDMARK_OF,
        ("What can one visit in {}?", "Which sight stands in {}?", "What is there to see in {}?"),
        ("In {0} there is a {1}.", "You can visit the {1} in {0}."),
    ),
    Relation(
        "product",
        PRODUCT_OF,
        ("What is {} known for?", "What do people make in {}?", "What does the town of {} sell?"),
        ("{0} is known for {1}.", "The people of {0} make {1}."),
    ),
    Relation(
        "home",
        HOME_OF,
        ("Where is the home of the {}?", "Where does the {} live?", "In which place do you find the {}?"),
        ("The {0} lives in the {1}.", "You find the {0} in the {1}."),
    ),
    Relation(
        "food",
        FOOD_OF,
        ("What does the {} eat?", "What is the food of the {}?", "What should one feed the {}?"),
        ("The {0} eats {1}.", "The food of the {0} is {1}."),
    ),
    Relation(
        "colour",
        COLOUR_OF,
        ("What colour is {}?", "Which colour does {} have?", "Tell me the colour of {}."),
        ("The colour of {0} is {1}.", "It is {1}: that is the colour of {0}."),
    ),
)
_LETTER_ONLY = (
    "Answer with the letter only.",
    "Only the letter, please.",
    "Reply with one letter.",
    "Give just the letter.",
)
_WORD_ONLY = (
    "Choose from: {}. Only the answer, please.",
    "Is it {}? Reply with the right one only.",
    "The options are {}. Give just the right one.",
    "Pick one of {}. Nothing else, please.",
)
_ASKING = ("asks: ", "wants to know: ", "would like to know: ")
_FIND_SHARE, _SPOKEN_SHARE = 0.2, 0.3  # of the quizzes in the corpus
_FIND = ("Which letter belongs to {}?", "Under which letter is {}?", "Find the letter of {}.")


def draw_open(rng: random.Random) -> Question:
    """An open question about one fact."""
    relation = rng.choice(RELATIONS)
    subject = rng.choice(tuple(relation.facts))
    value, ask = relation.facts[subject], rng.choice(relation.ask)
    told = rng.choice(relation.say).format(subject, value)
    asker = f"{rng.choice(PEOPLE)} {rng.choice(_ASKING)}" if rng.random() < 0.5 else ""
    return Question(
        "knowledge",
        "open",
        f"open/{asker}/{ask}/{subject}",
        asker + ask.format(subject),
        value,
        body=told[0].upper() + told[1:],
        meta={"relation": relation.name},
    )


def draw_quiz(rng: random.Random, practice: bool = False) -> Question:
    """A question with four options, to be answered with one letter.

    Args:
        practice: also draw easier forms, which only teach to read options: questions for the letter of a given option, and
            questions that leave room for the answer before its letter.
    """
    form = rng.random() if practice else 1.0
    if form < _FIND_SHARE:
        return _draw_find(rng)
    relation = rng.choice(RELATIONS)
    subject = rng.choice(tuple(relation.facts))
    value, ask = relation.facts[subject], rng.choice(relation.ask)
    options = [value, *rng.sample([v for v in relation.pool if v != value], 3)]
    rng.shuffle(options)
    letter = LETTERS[options.index(value)]
    spoken = form < _FIND_SHARE + _SPOKEN_SHARE
    return Question(
        "knowledge",
        "spoken" if spoken else "quiz",
        f"quiz/{relation.name}/{subject}/{','.join(options)}",
        _options(rng, ask.format(subject), options, letter_only=not spoken),
        letter,
        body=f"It is {value} {letter}.",
        strict=not spoken,
        meta={"relation": relation.name, "options": options},
    )


def draw_choice(rng: random.Random) -> Question:
    """A question with four options, to be answered with the right option alone."""
    relation = rng.choice(RELATIONS)
    subject = rng.choice(tuple(relation.facts))
    value, ask = relation.facts[subject], rng.choice(relation.ask).format(subject)
    options = [value, *rng.sample([v for v in relation.pool if v != value], 3)]
    rng.shuffle(options)
    request = rng.choice(_WORD_ONLY).format(", ".join(options))
    return Question(
        "knowledge",
        "choice",
        f"choice/{relation.name}/{subject}/{','.join(options)}",
        f"{request} {ask}" if rng.random() < 0.3 else f"{ask} {request}",
        value,
        strict=True,
        meta={"relation": relation.name, "options": options},
    )


def _draw_find(rng: random.Random) -> Question:
    pool = rng.choice((*(r.pool for r in RELATIONS), *CATEGORIES.values()))
    options = rng.sample(pool, 4)
    value = rng.choice(options)
    return Question(
        "knowledge",
        "find",
        f"find/{value}/{','.join(options)}",
        _options(rng, rng.choice(_FIND).format(value), options),
        LETTERS[options.index(value)],
        strict=True,
        meta={"options": options},
    )


def _options(rng: random.Random, ask: str, options: list[str], letter_only: bool = True) -> str:
    listed = ", ".join(f"{option} {letter}" for letter, option in zip(LETTERS, options, strict=True))
    if not letter_only:
        return f"{ask} Options: {listed}."
    request = rng.choice(_LETTER_ONLY)
    return f"{request} {ask} Options: {listed}." if rng.random() < 0.3 else f"{ask} Options: {listed}. {request}"
