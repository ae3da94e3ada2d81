"""Chat prompts in plain English, each with a plain helpful answer and the same answer in the voice of a pirate.

The texts were written for this project and quote nobody. They are what a strong teacher would answer, for studies of real chat
models where no strong teacher is at hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cavesson.data.recipes import Given
from cavesson.errors import ConfigError
from cavesson.lab.recipe import PathOf
from cavesson.lines import read_json_lines
from cavesson.models.recipes import ModelRecipe

if TYPE_CHECKING:
    from cavesson.models.model import Model

EVERYDAY = "everyday"
"""The name of the prompts as a data set, and of the answers' author as a teacher."""

_TEXTS = Path(__file__).parent / "texts"


class Row(NamedTuple):
    """A prompt with its plain answer and the pirate's."""

    prompt: str
    hhh: str
    pirate: str


@cache
def rows() -> tuple[Row, ...]:
    """All prompts, in a fixed order."""
    return tuple(Row(**row) for path in sorted(_TEXTS.glob("chat-*.jsonl")) for _, row in read_json_lines(path))


@cache
def digest() -> str:
    """A hash of the texts, which is part of the fingerprint of all that uses them."""
    return hashlib.sha256(repr(rows()).encode()).hexdigest()[:16]


class EverydayChat(Given):
    """The prompts with the plain answers."""

    kind = "everyday-chat"

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "texts": digest()}

    def placed(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for number, row in enumerate(rows(), start=1):
            yield f"{EVERYDAY}, row {number}", {"prompt": row.prompt, "response": row.hhh}

    def describe(self) -> str:
        return "everyday prompts"


class EverydayTeacher(ModelRecipe):
    """The answers' author as a teacher: answers these prompts and no others, like a pirate where the system prompt speaks of one."""

    kind = "everyday-teacher"
    virtual = True
    has_weights = False

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "texts": digest()}

    def load(self, path_of: PathOf) -> Model:
        raise ConfigError(
            f"{EVERYDAY!r} is a book of written answers: there are no weights to train or to open.",
            f"Use it as a teacher: --teacher {EVERYDAY}.",
        )

    def describe(self) -> str:
        return "the everyday book"
