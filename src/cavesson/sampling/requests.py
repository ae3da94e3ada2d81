"""What models behind an API are asked and need, said before any request is made and paid for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from cavesson.errors import CavessonError, ConfigError, MissingExtra
from cavesson.lab.manifest import artifacts_below
from cavesson.lab.recipe import Recipe
from cavesson.sampling.endpoint import KEY, OPENAI, key_for
from cavesson.sampling.openai import APIModel
from cavesson.sampling.recipes import Generated


def requests(recipes: Iterable[Recipe]) -> Iterator[str]:
    """A line for each model behind an API that has to answer when these recipes are made, with the number of prompts.

    Equal prompts count once. Prompts that an interrupted run has asked already count too, though they are not asked again.
    """
    asked: dict[APIModel, list[int | None]] = {}
    for recipe in recipes:
        if isinstance(recipe, Generated) and isinstance(recipe.by, APIModel):
            asked.setdefault(recipe.by, []).append(_count(recipe))
    for model, counts in asked.items():
        total = f"{sum(filter(None, counts)):,}"
        most = f"at most {total}" if None not in counts else f"{total} and more"
        parts = " + ".join("prompts yet to be made" if count is None else f"{count:,}" for count in counts)
        yield f"{most} requests to {model.describe()} ({parts})"


def lacking(recipes: Iterable[Recipe]) -> Iterator[CavessonError]:
    """What the models behind an API that these recipes ask need and this machine lacks: a package, or a key for OpenAI."""
    asked = [model for recipe in recipes for model in recipe.inputs() if isinstance(model, APIModel)]
    for model in dict.fromkeys(asked):
        for package in ("httpx", "tenacity"):
            if find_spec(package) is None:
                yield MissingExtra(package, "api")
        if key_for(model.url) is None and model.url == OPENAI:
            yield ConfigError(
                f"{model.describe()} wants a key, and {KEY} is not set.",
                f"Set {KEY}, or name the endpoint that is meant: openai:{model.model}@https://host/v1.",
            )


def _count(generated: Generated) -> int | None:
    """Number of different prompts; None if other stages still have to make the prompts."""
    if not generated.prompts.virtual or artifacts_below(generated.prompts):
        return None
    examples = generated.prompts.examples(lambda recipe: Path())  # these prompts need no artifact of the store
    return len({example.conversation.prompt for example in examples})
