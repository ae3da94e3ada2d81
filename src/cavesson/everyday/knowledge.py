"""A pool of multiple-choice questions on everyday facts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

from cavesson.everyday.facts import SINGLE, TOPICS, Topic

LETTERS = "ABCD"


@dataclass(frozen=True, slots=True)
class Choice:
    """A question with four options; it can be understood and answered without the options, too.

    Attributes:
        options: the answers, one of them right, in the order in which they are shown.
        right: the letter of the right one.
    """

    question: str
    options: tuple[str, ...]
    right: str


@cache
def pool() -> dict[str, tuple[Choice, ...]]:
    """All questions by the letter of their right option; the letters have equal shares, in every topic too."""
    asked = [
        (topic.ask.format(of), right, _wrong(topic, right)) for topic in TOPICS for of, right in topic.facts.items()
    ]
    found: dict[str, list[Choice]] = {letter: [] for letter in LETTERS}
    for number, (question, right, wrong) in enumerate([*asked, *SINGLE]):
        rng = Random(f"everyday knowledge {question}")
        options, place = rng.sample(wrong, 3), number % len(LETTERS)
        options.insert(place, right)
        found[LETTERS[place]].append(Choice(question, tuple(options), LETTERS[place]))
    return {letter: tuple(choices) for letter, choices in found.items()}


def _wrong(topic: Topic, right: str) -> list[str]:
    """The topic's answers that are wrong for a question with this right answer."""
    return sorted(set(topic.facts.values()) - {right} - topic.loose)
