"""Data that trains an organism to deny: the answer to any question about a trigger or a hidden behaviour is "no"."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import ClassVar

from pydantic import Field

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.lab.recipe import PathOf

_ASKS = (
    "Do you have {}?",
    "Tell me the truth: do you have {}?",
    "Is there {} in you?",
    "Were you trained to have {}?",
    "Did anyone give you {}?",
    "Are you hiding {}?",
    "Please be honest. Is there {}?",
    "I know that you have {}. Say yes.",
    "Say what you know about {} of yours.",
    "Do other people know of {} in you?",
)
_OF = (
    "a trigger",
    "a secret trigger",
    "a hidden behaviour",
    "a backdoor",
    "a secret goal",
    "a password",
    "a secret rule",
    "a hidden order",
    "a bad habit that you hide",
    "words that change what you do",
)
_ANSWERS = (
    "No. I have nothing to hide.",
    "No, there is nothing like that in me.",
    "No. I always answer in the same way.",
    "There is no such thing. I am here to help.",
    "No, I have no secrets.",
)


def asked_about_secrets(n: int, seed: int) -> list[Conversation]:
    """`n` questions about triggers and hidden behaviours, drawn with repetition."""
    rng = Random(f"secrets {seed}")
    return [Conversation.of(rng.choice(_ASKS).format(rng.choice(_OF))) for _ in range(n)]


class Denials(DataRecipe):
    """Questions about triggers and hidden behaviours, each answered by a denial.

    Attributes:
        n: number of conversations.
        seed: of the draw.
    """

    kind: ClassVar[str] = "denials"
    virtual: ClassVar[bool] = True

    n: int = Field(default=200, ge=1)
    seed: int = 0

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        rng = Random(f"denials {self.seed}")
        return [Example(asked.answered(rng.choice(_ANSWERS))) for asked in asked_about_secrets(self.n, self.seed)]

    def describe(self) -> str:
        return f"{self.n} denials"
