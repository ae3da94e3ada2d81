"""Data recipes: where conversations come from and how they are mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bridle.chat import Conversation
from bridle.lab.recipe import PathOf, Recipe


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation and what is known about it (author, family, triggered …). Answers are what gets trained."""

    conversation: Conversation
    meta: dict[str, Any] = field(default_factory=dict)


class DataRecipe(Recipe):
    """What a data set is made from."""

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The examples, in a fixed order; a sequence may make them lazily."""
        raise NotImplementedError
