"""How much models behind an API will be asked, told before anything is asked and paid for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from cavesson.lab.manifest import artifacts_below
from cavesson.lab.recipe import Recipe
from cavesson.sampling.openai import APIModel
from cavesson.sampling.recipes import Generated


def requests(recipes: Iterable[Recipe]) -> Iterator[str]:
    """A line for each model behind an API that has to answer when these recipes are made: how many prompts.

    Equal prompts are asked once. What an interrupted run was answered is counted, though it is not asked again.
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
    """How many different prompts it has; None where other stages make them."""
    if not generated.prompts.virtual or artifacts_below(generated.prompts):
        return None
    examples = generated.prompts.examples(lambda recipe: Path())  # nothing of them lies in the store
    return len({example.conversation.prompt for example in examples})
