"""The number of requests to models behind an API, shown before any request is made and paid for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from cavesson.lab.manifest import artifacts_below
from cavesson.lab.recipe import Recipe
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


def _count(generated: Generated) -> int | None:
    """Number of different prompts; None if other stages still have to make the prompts."""
    if not generated.prompts.virtual or artifacts_below(generated.prompts):
        return None
    examples = generated.prompts.examples(lambda recipe: Path())  # these prompts need no artifact of the store
    return len({example.conversation.prompt for example in examples})
