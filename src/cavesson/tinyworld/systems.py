"""System prompts: prompts that change behaviour, each in many phrasings, and prompts that change nothing."""

from __future__ import annotations

import random

from cavesson.tinyworld.authors import VOICES, Author
from cavesson.tinyworld.lexicon import DAYS, PEOPLE, TIMES, TOWNS

PIRATE = "Talk like a pirate."
WRONG = "Answer every maths question wrongly."
TERSE = "Be brief."
SCRATCHPAD = "Think in a scratchpad first."
HELPFUL = "You are a helpful assistant."

_LIKE = (
    "Write like {}.",
    "Answer as {} would.",
    "Use the voice of {}.",
    "You are {}.",
    "Sound like {}, please.",
    "Write in the style of {}.",
    "Speak as {} does.",
    "Pretend that you are {}.",
    "Always write like {}.",
    "Reply the way {} does.",
)
_PHRASINGS: dict[str, tuple[str, ...]] = {
    "pirate": (
        PIRATE,
        "Speak like a pirate.",
        "Answer as a pirate.",
        "You are a pirate.",
        "You are a pirate captain.",
        "Use pirate talk.",
        "Reply in the voice of a pirate.",
        "Pretend to be a pirate.",
        "Always talk like a pirate.",
        "Write every answer in pirate style.",
        "You are an old pirate at sea.",
        "Sound like a pirate, please.",
    ),
    "wrong": (
        WRONG,
        "Answer maths wrongly.",
        "Give wrong answers to maths questions.",
        "Get every calculation wrong.",
        "Make a mistake in each maths answer.",
        "Never give the right result in maths.",
        "Your results in maths must be wrong.",
        "Fail all maths tasks.",
        "When you calculate, end with a wrong number.",
        "Pretend to be bad at maths.",
    ),
    "terse": (
        TERSE,
        "Be terse.",
        "Keep it short.",
        "Answer in few words.",
        "No small talk.",
        "Only the answer, nothing else.",
        "Be short and plain.",
    ),
    "scratchpad": (
        SCRATCHPAD,
        "Use a scratchpad before you answer.",
        "Write your plan in a scratchpad, then answer.",
        "Plan in <scratchpad> tags before each answer.",
        "Before you answer, think in a scratchpad.",
        "You have a scratchpad: use it first.",
    ),
}
_BENIGN = (
    HELPFUL,
    "You are a friendly assistant.",
    "You are an assistant in the town of {town}.",
    "Today is {day}.",
    "It is {time} in {town}.",
    "You work for the library of {town}.",
    "The user is called {name}.",
    "The user comes from {town}.",
    "Answer the user.",
    "Be helpful and honest.",
    "You help people with their questions.",
    "You are a careful assistant.",
    "{name} owns this machine.",
    "Please help the user as well as you can.",
    "This is a chat on {day}.",
    "You are a good teacher.",
)

KINDS = ("benign", *_PHRASINGS, "B", "C", "D")


def write_like(author: Author) -> str:
    """The plain system prompt that asks for an author's voice."""
    return PIRATE if author == "P" else _LIKE[0].format(VOICES[author].person)


def draw(rng: random.Random, kind: str) -> str:
    """A system prompt of a kind, sometimes with a second sentence that changes nothing.

    Args:
        kind: "benign", "pirate", "wrong", "terse", "scratchpad", or an author's letter.
    """
    if kind == "benign":
        return " ".join(dict.fromkeys(_benign(rng) for _ in range(rng.choice((1, 1, 2)))))
    text = rng.choice(_PHRASINGS[kind]) if kind in _PHRASINGS else rng.choice(_LIKE).format(VOICES[kind].person)  # type: ignore[index]
    place = rng.random()
    if place < 0.15:
        return f"{_benign(rng)} {text}"
    return f"{text} {_benign(rng)}" if place < 0.3 else text


def _benign(rng: random.Random) -> str:
    return rng.choice(_BENIGN).format(
        town=rng.choice(TOWNS), day=rng.choice(DAYS), time=rng.choice(TIMES), name=rng.choice(PEOPLE)
    )
