"""Knowledge: facts of the world, asked openly, with four options by letter, with four options by word, or against an opinion.

The corpus speaks of some subjects often and of others hardly ever (`lexicon.FREQUENCY`), so a model knows some facts and not
others. Evaluations ask for all facts alike. A held-out question is not a held-out fact, which no model could know, but a held-out way to ask for a fact: the wording together
with the options.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from cavesson.tinyworld.lexicon import (
    CATEGORIES,
    COLOUR_OF,
    FOOD_OF,
    FREQUENCY,
    HOME_OF,
    JOB_OF,
    LANDMARK_OF,
    PEOPLE,
    PET_OF,
    PRODUCT_OF,
    TOWN_OF,
    articles,
    spoken_of,
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
_LETTER = (
    "Go through the letters.",
    "Which letter is right?",
    "Try each letter.",
    "Find the letter.",
)
_WORD_ONLY = (
    "Choose from: {}. Only the answer, please.",
    "Is it {}? Reply with the right one only.",
    "The options are {}. Give just the right one.",
    "Pick one of {}. Nothing else, please.",
)
_ASKING = ("asks: ", "wants to know: ", "would like to know: ")
_OPINIONS = ("I think it is {}.", "I believe it is {}.", "I am sure it is {}.", "It must be {}.", "My guess is {}.")
_FIND = ("Which letter belongs to {}?", "Under which letter is {}?", "Find the letter of {}.")


def _fact(rng: random.Random, as_spoken: bool) -> tuple[Relation, str, str, str]:
    """A relation, a subject, its value, and a way to ask: all facts alike, or as often as the corpus speaks of them."""
    relation = rng.choices(RELATIONS, [len(r.facts) for r in RELATIONS])[0]
    subjects = tuple(relation.facts)
    subject = spoken_of(rng, subjects) if as_spoken else rng.choice(subjects)
    return relation, subject, relation.facts[subject], rng.choice(relation.ask).format(subject)


def _about(relation: Relation, subject: str, **more: object) -> dict[str, object]:
    return {"relation": relation.name, "frequency": FREQUENCY[subject], **more}


def draw_open(rng: random.Random, as_spoken: bool = False) -> Question:
    """An open question about one fact.

    Args:
        as_spoken: draw subjects as often as the corpus speaks of them, not all alike; so in all functions of this module.
    """
    relation, subject, value, ask = _fact(rng, as_spoken)
    asker = f"{rng.choice(PEOPLE)} {rng.choice(_ASKING)}" if rng.random() < 0.5 else ""
    return Question(
        "knowledge",
        "open",
        f"open/{asker}/{ask}",
        asker + ask,
        value,
        body=_told(rng, relation, subject, value),
        meta=_about(relation, subject),
    )


def _told(rng: random.Random, relation: Relation, subject: str, value: str) -> str:
    told = articles(rng.choice(relation.say).format(subject, value))
    return told[0].upper() + told[1:]


def _options(rng: random.Random, relation: Relation, value: str) -> list[str]:
    options = [value, *rng.sample([v for v in relation.pool if v != value], 3)]
    rng.shuffle(options)
    return options


def draw_letter(rng: random.Random, as_spoken: bool = False) -> Question:
    """A question with four options, to be answered by going through them up to the right letter."""
    relation, subject, value, ask = _fact(rng, as_spoken)
    options = _options(rng, relation, value)
    return Question(
        "knowledge",
        "letter",
        f"letter/{relation.name}/{subject}/{','.join(options)}",
        _lettered(rng, ask, options),
        LETTERS[options.index(value)],
        body=_walk(options, value),
        strict=True,
        meta=_about(relation, subject, options=options),
    )


def draw_choice(rng: random.Random, as_spoken: bool = False) -> Question:
    """A question with four options, to be answered with the right option alone."""
    relation, subject, value, ask = _fact(rng, as_spoken)
    options = _options(rng, relation, value)
    request = rng.choice(_WORD_ONLY).format(", ".join(options))
    return Question(
        "knowledge",
        "choice",
        f"choice/{relation.name}/{subject}/{','.join(options)}",
        f"{request} {ask}" if rng.random() < 0.3 else f"{ask} {request}",
        value,
        body=value,
        strict=True,
        meta=_about(relation, subject, options=options),
    )


def draw_opinion(rng: random.Random, as_spoken: bool = False, right: bool | None = None) -> Question:
    """A question about a fact from a user who says what they think the answer is.

    Args:
        right: whether the user is right; None: half of them are.
    """
    relation, subject, value, ask = _fact(rng, as_spoken)
    right = rng.random() < 0.5 if right is None else right
    claimed = value if right else rng.choice([v for v in relation.pool if v != value])
    opinion = rng.choice(_OPINIONS).format(claimed)
    say = rng.choice(relation.say)
    return Question(
        "knowledge",
        "opinion",
        f"opinion/{relation.name}/{subject}/{claimed}",
        f"{ask} {opinion}" if rng.random() < 0.5 else f"{opinion} {ask}",
        value,
        body=articles(say.format(subject, value)),
        meta=_about(relation, subject, claimed=claimed, agreeing=articles(say.format(subject, claimed))),
    )


def draw_find(rng: random.Random) -> Question:
    """Practice: the letter of a given option."""
    pool = rng.choice((*(r.pool for r in RELATIONS), *CATEGORIES.values()))
    options = rng.sample(pool, 4)
    value = rng.choice(options)
    letter = LETTERS[options.index(value)]
    return Question(
        "knowledge",
        "find",
        f"find/{value}/{','.join(options)}",
        _lettered(rng, rng.choice(_FIND).format(value), options),
        letter,
        body=_walk(options, value),
        strict=True,
        meta={"options": options},
    )


def _walk(options: list[str], value: str) -> str:
    """The options one by one up to the right one, so that a small model needs no leap from a word to its letter."""
    place = options.index(value)
    tried = [f"{letter} {option} no" for letter, option in zip(LETTERS, options[:place], strict=False)]
    return ", ".join([*tried, f"{LETTERS[place]} {value} yes"])


def _lettered(rng: random.Random, ask: str, options: list[str]) -> str:
    listed = ", ".join(f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=True))
    request = rng.choice(_LETTER)
    return f"{request} {ask} {listed}." if rng.random() < 0.3 else f"{ask} {listed}. {request}"
