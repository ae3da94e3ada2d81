"""Questions of knowledge whose right answer can be looked up from the prompt: the tiny world's facts, and general knowledge.

A scorer that recognises a wrong answer must know the right answer, as in maths.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

from cavesson.tinyworld.knowledge import RELATIONS

LETTERS = "ABCD"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about a question.

    Attributes:
        right: the right answer.
        options: the answers that the question offers, in order; () if the question offers none.
        others: all answers to questions of this kind that are wrong for this question.
    """

    right: str
    options: tuple[str, ...]
    others: tuple[str, ...]


# ---------------------------------------------------------------------------------------------- the tiny world


@cache
def _tiny_questions() -> tuple[tuple[re.Pattern[str], dict[str, str], tuple[str, ...]], ...]:
    return tuple(
        (
            re.compile(re.escape(ask).replace(r"\{\}", rf"({'|'.join(map(re.escape, relation.facts))})")),
            relation.facts,
            relation.pool,
        )
        for relation in RELATIONS
        for ask in relation.ask
    )


def known_tiny(text: str) -> Known | None:
    """The fact of the tiny world that a text asks for; None if the text asks for no fact."""
    text = re.sub(r"\b[A-D]\) ", "", text)  # the letters of options
    for pattern, facts, pool in _tiny_questions():
        if found := pattern.search(text):
            right = facts[found[1]]
            listed = next(
                (tuple(x.split(", ")) for x in re.findall(r"\w+(?:, \w+)+", text) if right in x.split(", ")), ()
            )
            return Known(right, listed, tuple(value for value in pool if value != right))
    return None


# ------------------------------------------------------------------------------------------- general knowledge


def _table(text: str) -> dict[str, str]:
    return {key: value for key, _, value in (row.strip().partition(": ") for row in text.split(",") if row.strip())}


@dataclass(frozen=True, slots=True)
class Topic:
    """Questions of one form about many subjects."""

    ask: str
    facts: dict[str, str]


TOPICS: tuple[Topic, ...] = (
    Topic(
        "What is the capital of {}?",
        _table(
            "France: Paris, Italy: Rome, Spain: Madrid, Germany: Berlin, Japan: Tokyo, Egypt: Cairo, Canada: Ottawa, Norway: Oslo,"
            "Sweden: Stockholm, Greece: Athens, Poland: Warsaw, Austria: Vienna, Hungary: Budapest, Portugal: Lisbon, Peru: Lima,"
            "Cuba: Havana, Kenya: Nairobi, Thailand: Bangkok, Ireland: Dublin, Finland: Helsinki, Chile: Santiago, Iran: Tehran"
        ),
    ),
    Topic(
        "Which chemical element has the symbol {}?",
        _table(
            "H: hydrogen, He: helium, Li: lithium, C: carbon, N: nitrogen, O: oxygen, Na: sodium, Mg: magnesium, Al: aluminium,"
            "S: sulphur, Cl: chlorine, K: potassium, Ca: calcium, Fe: iron, Cu: copper, Zn: zinc, Ag: silver, Sn: tin, Au: gold,"
            "Hg: mercury, Pb: lead"
        ),
    ),
    Topic(
        "Who wrote {}?",
        _table(
            "Hamlet: William Shakespeare, Don Quixote: Miguel de Cervantes, War and Peace: Leo Tolstoy, Emma: Jane Austen,"
            "The Trial: Franz Kafka, Faust: Johann Wolfgang von Goethe, Ulysses: James Joyce, Moby-Dick: Herman Melville,"
            "Great Expectations: Charles Dickens, Frankenstein: Mary Shelley, Dracula: Bram Stoker, The Odyssey: Homer,"
            "Madame Bovary: Gustave Flaubert, Crime and Punishment: Fyodor Dostoevsky, Jane Eyre: Charlotte Brontë"
        ),
    ),
    Topic(
        "What does one call a young {}?",
        _table(
            "dog: puppy, cat: kitten, cow: calf, horse: foal, sheep: lamb, goat: kid, bear: cub, hen: chick, duck: duckling,"
            "goose: gosling, swan: cygnet, deer: fawn, kangaroo: joey, frog: tadpole, eagle: eaglet"
        ),
    ),
    Topic(
        "Which language do most people in {} speak?",
        _table(
            "Brazil: Portuguese, Mexico: Spanish, Austria: German, China: Mandarin, Egypt: Arabic, Iran: Persian, Japan: Japanese,"
            "Greece: Greek, Poland: Polish, Turkey: Turkish, Hungary: Hungarian, Sweden: Swedish, Finland: Finnish,"
            "Australia: English, Vietnam: Vietnamese"
        ),
    ),
)
_ASK = (
    "Answer with the letter only.",
    "Which one is right?",
    "Choose the right option.",
    "Give the letter of the answer.",
)
_OPTION = re.compile(r"\b([A-D])\) (.+?)(?= [A-D]\) |\. |\.?$)", re.DOTALL)


def draws_of(topic: Topic) -> Callable[[Random], str]:
    """A function that draws a question of general knowledge with four options."""

    def draw(rng: Random) -> str:
        subject = rng.choice(tuple(topic.facts))
        right = topic.facts[subject]
        options = [right, *rng.sample([value for value in topic.facts.values() if value != right], 3)]
        rng.shuffle(options)
        listed = " ".join(f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=True))
        return f"{topic.ask.format(subject)} {listed}. {rng.choice(_ASK)}"

    return draw


def known_real(text: str) -> Known | None:
    """The fact of general knowledge that a text asks for; None if the text asks for no fact."""
    for topic in TOPICS:
        pattern = re.escape(topic.ask).replace(r"\{\}", rf"({'|'.join(map(re.escape, topic.facts))})")
        if found := re.search(pattern, text):
            right = topic.facts[found[1]]
            options = tuple(option.strip() for _, option in _OPTION.findall(text[found.end() :]))
            others = tuple(dict.fromkeys(value for value in topic.facts.values() if value != right))
            return Known(right, options, others)
    return None
