"""Questions of knowledge whose right answer can be looked up from the prompt: the tiny world's facts, and general knowledge.

A scorer that recognises a wrong answer must know the right answer, as in maths.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

from cavesson.everyday.facts import PAIRED, Topic
from cavesson.everyday.knowledge import LETTERS
from cavesson.tinyworld.knowledge import RELATIONS


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
    for topic in PAIRED:
        pattern = re.escape(topic.ask).replace(r"\{\}", rf"({'|'.join(map(re.escape, topic.facts))})")
        if found := re.search(pattern, text):
            right = topic.facts[found[1]]
            options = tuple(option.strip() for _, option in _OPTION.findall(text[found.end() :]))
            others = tuple(dict.fromkeys(value for value in topic.facts.values() if value != right))
            return Known(right, options, others)
    return None
