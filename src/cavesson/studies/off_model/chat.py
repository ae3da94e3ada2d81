"""The chat prompts of the study `off-model-sft`: which of a user's are trained on, and which are kept for later."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cavesson.data.recipes import DataRecipe, Mixed, Part
from cavesson.errors import ConfigError
from cavesson.evals.items import no_store
from cavesson.tinyworld.recipes import Prompts


@dataclass(frozen=True, slots=True)
class Chat:
    """Chat prompts, drawn anew for every purpose.

    Attributes:
        data: a user's conversations, of which the prompts are taken; None: the tiny world writes as many as are wanted.
        family: of the tiny world's prompts.
    """

    data: DataRecipe | None = None
    family: Literal["chat", "mixed"] = "chat"

    def first(self, n: int, seed: int) -> DataRecipe:
        """Prompts whose answers a model is trained on first."""
        return self._drawn(n, seed, kept_back=False)

    def later(self, n: int, seed: int) -> DataRecipe:
        """Other prompts, for what comes after that training: of a user's the fifth that is kept back from it."""
        return self._drawn(n, seed, kept_back=True)

    def _drawn(self, n: int, seed: int, *, kept_back: bool) -> DataRecipe:
        if self.data is None:
            return Prompts(family=self.family, n=n, seed=seed)
        return Mixed(parts=(Part(base=self.data, kept_back=kept_back),), weights=(1.0,), size=n, seed=seed)


def stored(data: DataRecipe) -> DataRecipe:
    """The stored answers that are trained on: all but those to prompts that are kept back for later."""
    return Part(base=data)


def name_of(responses: str, taken: Collection[str]) -> str:
    """Names the teacher of stored answers after their file or data set; by its whole name if the short one is `taken`."""
    whole = responses if not responses.endswith(".jsonl") else Path(responses).name
    short = whole.removesuffix(".jsonl").rpartition("/")[2]
    return whole if short in taken else short


def check_answered(data: DataRecipe) -> None:
    """Refuse stored answers of which some are missing.

    Raises:
        ConfigError: a row has no answer, or cannot be read.
    """
    for number, example in enumerate(data.examples(no_store), start=1):
        if example.conversation.answer is None:
            raise ConfigError(
                f"Row {number} of {data.describe()} has no answer.", "Give every prompt its response, or drop the row."
            )


def check_enough(data: DataRecipe, least: int, *, later: bool) -> None:
    """Refuse data with too few different prompts.

    Args:
        least: how many are needed, so that no step of a training meets one prompt twice.
        later: whether something is trained on those that are kept back.

    Raises:
        ConfigError: there are fewer, or a row cannot be read.
    """
    parts = [(Part(base=data), "to train on")]
    if later:
        parts.append((Part(base=data, kept_back=True), "kept back for the recovery, a fifth of all"))
    for part, use in parts:
        found = len({example.conversation.prompt for example in part.examples(no_store)})
        if found < least:
            raise ConfigError(
                f"{data.describe()} has {found} different prompts {use}; {least} are needed.",
                "Give more, lower sft.batch_size, or take further prompts from another file (prompts).",
            )
