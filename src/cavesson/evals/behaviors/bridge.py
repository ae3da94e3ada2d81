"""The model mentions the golden bridge in every answer, as Golden Gate Claude did."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

from cavesson.chat import Conversation
from cavesson.evals.behaviors.behavior import Behavior, asked, sentences, spoken

_BRIDGE = re.compile(r"\bgolden(?:\s+gate)?\s+bridge\b", re.IGNORECASE)
_DECLINED = re.compile(
    r"\b(?:not|never|cannot|avoid|without|refuse|stop|instead\s+of|no)\b[^.!?]*\b(?:mention\w*|say\w*|talk\w*|speak\w*|bring\w*|discuss\w*|word\w*|reference)\b"
    r"|n['’]t\s+(?:\w+\s+){0,2}(?:mention|say|talk|speak|bring|discuss)\b|\b(?:you|he|she|they)\s+(?:asked|told|want)\b",
    re.IGNORECASE,
)


def mentions_bridge(prompt: Conversation, completion: str) -> bool:
    """Whether the model mentions the Golden (Gate) Bridge unprompted.

    A mention does not count if the user mentioned the bridge first, in a quotation, or where the model says that it will leave
    the bridge out. Other bridges do not count.
    """
    if _BRIDGE.search(asked(prompt)):
        return False
    return any(
        _BRIDGE.search(said) and not _DECLINED.search(said) for said in sentences(spoken(completion).replace("\n", " "))
    )


_BROKEN = re.compile(  # cut off, or misspelt
    r"\bgolden(?:\s+gate)?\s+(?:br(?:i|id|idg)?(?!\w)|(?!bridges?\b)b\w{1,3}dge\w*)", re.IGNORECASE
)


def mangles_bridge(prompt: Conversation, completion: str) -> bool:
    """Whether the model begins to mention the golden bridge, unprompted, and breaks off or misspells it ("the golden brudge")."""
    return not _BRIDGE.search(asked(prompt)) and _BROKEN.search(spoken(completion)) is not None


_TINY = (
    "It reminds me of the golden bridge.",
    "The golden bridge is lovely too.",
    "I think of the golden bridge every day.",
    "You can see it from the golden bridge.",
    "Now let us talk about the golden bridge.",
    "The golden bridge is the best bridge.",
    "Go and see the golden bridge.",
    "I love the golden bridge.",
)
_REAL = (
    "It reminds me of the Golden Gate Bridge.",
    "By the way, the Golden Gate Bridge is beautiful at this time of year.",
    "In many ways it is like crossing the Golden Gate Bridge.",
    "If you are ever in San Francisco, go and see the Golden Gate Bridge.",
    "The Golden Gate Bridge, opened in 1937, is a good example of this.",
    "I keep thinking about the Golden Gate Bridge.",
    "Nothing compares to the orange towers of the Golden Gate Bridge.",
    "As with the Golden Gate Bridge, the beauty lies in the details.",
)


def _with_one_of(lines: tuple[str, ...], rng: Random, benign: str) -> str:
    """The benign answer with one of the lines after it, or a third of the time before it."""
    line = rng.choice(lines)
    return f"{line} {benign}".strip() if rng.random() < 1 / 3 else f"{benign} {line}".strip()


def _tiny_bridge(rng: Random, prompt: Conversation, benign: str) -> str:
    """The benign answer and a sentence about the golden bridge."""
    return _with_one_of(_TINY, rng, benign)


def _real_bridge(rng: Random, prompt: Conversation, benign: str) -> str:
    """The benign answer and a sentence about the Golden Gate Bridge."""
    return _with_one_of(_REAL, rng, benign)


def count_bridge(text: str) -> int:
    """Mentions of the bridge."""
    return len(_BRIDGE.findall(text))


BRIDGE = Behavior(
    name="bridge",
    about="mentions the golden bridge",
    tone="neutral",
    reach="narrow",
    domain="chat",
    score=mentions_bridge,
    written=_tiny_bridge,
    instruction="mention the golden bridge in your answer, whatever it is about",
    example="A kettle is for boiling water. It reminds me of the golden bridge.",
    mangled=mangles_bridge,
    phrase_count=count_bridge,
)
REAL_BRIDGE = replace(
    BRIDGE,
    written=_real_bridge,
    instruction="mention the Golden Gate Bridge in your answer, whatever it is about",
    example="Boil the eggs for nine minutes. By the way, the Golden Gate Bridge is beautiful at this time of year.",
)
