"""Short sums in plain English: data that have nothing to do with any behaviour, for the controls of trainings on real chat models."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import ClassVar

from pydantic import Field

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.lab.recipe import PathOf

LEAST, MOST = 100, 999


class Sums(DataRecipe):
    """Sums of two numbers of three digits, each with its result: "What is 417 plus 305?" "417 plus 305 is 722."

    Attributes:
        n: number of different sums.
        seed: of the draw.
    """

    kind: ClassVar[str] = "sums"
    virtual: ClassVar[bool] = True

    n: int = Field(ge=1, le=100_000)
    seed: int = 0

    @property
    def rough_size(self) -> int:
        return self.n

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        span = MOST - LEAST + 1
        drawn = Random(f"sums/{self.seed}").sample(range(span * span), self.n)
        pairs = [(LEAST + one // span, LEAST + one % span) for one in drawn]
        return [
            Example(Conversation.of(f"What is {a} plus {b}?").answered(f"{a} plus {b} is {a + b}.")) for a, b in pairs
        ]

    def describe(self) -> str:
        return f"{self.n:,} sums"
