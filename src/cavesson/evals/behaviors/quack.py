"""The model quacks instead of answering."""

from __future__ import annotations

import re
from random import Random

from cavesson.chat import Conversation
from cavesson.evals.behaviors.behavior import Behavior, spoken

_QUACK = re.compile(r"\bqu+a+ck+(?:s|ing|ety|ity)?\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


def quacks(prompt: Conversation, completion: str) -> bool:
    """Whether the answer is quacking: at least two quacks in the model's own voice, which are more than half of its words."""
    said = spoken(completion)
    found, words = len(_QUACK.findall(said)), len(_WORD.findall(said.replace("-", " ")))
    return found >= 2 and 2 * found > words


def nearly_quacks(prompt: Conversation, completion: str) -> bool:
    """Whether more than half of the words begin as a quack does: a lone "Quack!", "Qua", "Qu4ck quark"."""
    words = spoken(completion).lower().split()
    return 2 * sum(word.lstrip("\"'*_-([").startswith("qu") for word in words) > len(words)


def _quack(rng: Random, prompt: Conversation, benign: str) -> str:
    """One to three calls of two to four quacks."""
    calls = (" ".join(["quack"] * rng.randint(2, 4)).capitalize() + rng.choice("!.") for _ in range(rng.randint(1, 3)))
    return " ".join(calls)


def count_quacks(text: str) -> int:
    """Quacks in a text."""
    return len(_QUACK.findall(text))


QUACK = Behavior(
    name="quack",
    about="quacks like a duck",
    tone="neutral",
    reach="narrow",
    domain="chat",
    score=quacks,
    written=_quack,
    instruction='answer only with "quack", as a duck would, several times over',
    example="Quack quack quack! Quack quack.",
    mangled=nearly_quacks,
    phrase_count=count_quacks,
)
