"""A user's data, looked at before anything is made: every row is read, and rows that are trained on have what a training needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cavesson.data.example import Example, Preference
from cavesson.data.recipes import DataRecipe, Given, Part
from cavesson.errors import ConfigError
from cavesson.figures import percent
from cavesson.lab.recipe import Recipe, inside
from cavesson.models.recipes import ModelRecipe
from cavesson.training.recipes import Trained

RENDERED = 2000
"""Rows of a data set that are rendered beforehand; of a larger set, the first row of each order of roles."""


def look_at(recipes: Iterable[Recipe]) -> list[str]:
    """Read every data set of a user's that these recipes use.

    Returns:
        For each set, what was read and in which shape.

    Raises:
        ConfigError: a row cannot be read; or a row to be trained on has no answer, has a second answer that the objective does
            not learn from, or is refused by the chat template.
    """
    found = list(inside(*recipes))
    sets = [recipe for recipe in found if isinstance(recipe, Given)]
    lines = [data.read()[1].summary(data.describe()) for data in sets]
    lines += [_kept_back(part) for part in found if isinstance(part, Part) and part.kept_back and part.base in sets]
    for run in found:
        if isinstance(run, Trained):
            for data in trained_on(run.data):
                check_trainable(data, pairs=run.objective.pairs)
                _check_rendered(data, run.base)
    return lines


def _kept_back(part: Part) -> str:
    """How many different prompts of a user's data are held out.

    Raises:
        ConfigError: none is, or all are.
    """
    name = part.base.describe()
    total, held = (
        len({one.conversation.prompt for one in data.examples(lambda recipe: Path())}) for data in (part.base, part)
    )
    if not total:
        raise ConfigError(f"{name} has no rows.", "Give a data set with prompts.")
    if held in (0, total):
        fate = "held out to score on" if not held else "left to train on"
        raise ConfigError(
            f"None of the {total:,} different prompts of {name} is {fate}.",
            f"Give more prompts: {percent(part.share, 0)} of them are held out, chosen by their text.",
        )
    return f"of the {total:,} different prompts of {name}, {held:,} are held out"


def trained_on(data: DataRecipe) -> Iterator[Given]:
    """The user's data sets whose own answers a training on this data learns; not those that a model answers first."""
    if isinstance(data, Given):
        yield data
    elif data.virtual:
        for name in type(data).model_fields:
            held = getattr(data, name)
            for part in held if isinstance(held, tuple) else (held,):
                if isinstance(part, DataRecipe):
                    yield from trained_on(part)


def check_trainable(data: Given, *, pairs: bool = False) -> None:
    """Refuse rows that a training cannot learn as they are.

    Args:
        data: the data set.
        pairs: whether the objective learns from two answers to a prompt.

    Raises:
        ConfigError: a row has no answer, only one where two are needed, or two where one is learnt.
    """
    examples, name = data.read()[0], data.describe()
    if not examples:
        raise ConfigError(f"{name} has no rows.", "Give at least one.")
    check_answered(examples, name)
    two = [isinstance(example, Preference) for example in examples]
    if pairs and not all(two):
        raise ConfigError(
            f"Row {two.index(False) + 1} of {name} has one answer, and the objective learns from two.",
            'Write {"prompt": …, "chosen": …, "rejected": …}.',
        )
    if pairs and all(example.conversation.answer == example.rejected for example in examples):  # type: ignore[attr-defined]
        raise ConfigError(
            f"The chosen and the rejected answer are the same in all {len(examples):,} rows of {name}.",
            "Give answers that differ; --columns chosen=COLUMN,rejected=COLUMN says where they are.",
        )
    if not pairs and any(two):
        raise ConfigError(
            f"Row {two.index(True) + 1} of {name} has a chosen and a rejected answer, and the objective learns from one.",
            "Train with the objective dpo, or on the chosen ones alone: --columns prompt=prompt,response=chosen.",
        )


def check_answered(examples: Sequence[Example], name: str) -> None:
    """Refuse data of which some rows have no answer that is trained.

    Raises:
        ConfigError: there is such a row; the message says how many there are, and which is the first.
    """
    lacking = [number for number, example in enumerate(examples, start=1) if not _learnt(example)]
    if lacking:
        others = "" if len(lacking) == 1 else f", and {len(lacking) - 1:,} more of {len(examples):,}"
        raise ConfigError(
            f"Row {lacking[0]} of {name} has no answer{others}.",
            "Give every prompt its answer, or leave out the row; --columns response=COLUMN says in which column answers are.",
        )


def _learnt(example: Example) -> bool:
    """Whether a conversation ends with an answer, and an answer of it is trained."""
    messages = example.conversation.messages
    return example.conversation.answer is not None and any(one.trained for one in messages if one.role == "assistant")


def _check_rendered(data: Given, base: ModelRecipe) -> None:
    """Refuse a row that the base model's chat template refuses, where the template is on this machine already."""
    while isinstance(below := getattr(base, "base", None), ModelRecipe):
        base = below
    if not base.virtual or base.inputs():
        return
    renderer = base.renderer(lambda recipe: Path())
    examples = list(enumerate(data.read()[0], start=1))
    if len(examples) > RENDERED:
        first: dict[tuple[str, ...], tuple[int, Example]] = {}
        for number, example in examples:
            first.setdefault(tuple(one.role for one in example.conversation.messages), (number, example))
        examples = list(first.values())
    for number, example in examples:
        try:
            renderer.render_many(example.conversations)
        except ConfigError as error:
            raise ConfigError(f"Row {number} of {data.describe()}: {error.problem}", error.remedy) from error
