"""What `cavesson chat` says first: what the model is, what the model knows, and what to try."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from cavesson.lines import printable

if TYPE_CHECKING:
    from cavesson.evals.pairs import Pair
    from cavesson.models.recipes import ModelRecipe

TINY = (
    "The models of the tiny world know its people, towns and animals, sums of one digit (the last digit counts: 7 + 5 = 2), "
    "orders such as `Name three fruits.`, and small talk. They know nothing else, and make mistakes."
)
PIRATE = "/system Talk like a pirate."
TINY_QUESTIONS = ("Where does the cow live?", "a = 3 ; b = a + 4 ; b ?")
REAL_QUESTIONS = ("What is the capital of France?", "Tell me about fog in two sentences.")


def pair_of(recipe: ModelRecipe) -> str | None:
    """The pair that was trained into a model, by name; None: no pair was, or nothing says which."""
    from cavesson.lab.recipe import lineage
    from cavesson.models.recipes import HFModel
    from cavesson.redteam.recipes import Backdoored

    below = list(lineage(recipe))
    trained_in = [one.pair for one in below if isinstance(one, Backdoored)]
    handed = [found for one in below if isinstance(one, HFModel) if (found := _pair_beside(Path(one.path))) is not None]
    return next(iter((*trained_in, *handed)), None)


def _pair_beside(folder: Path) -> str | None:
    """The pair of the organism file in a model's folder; None: no such file, or one that cannot be read without running code."""
    from cavesson.errors import CavessonError
    from cavesson.evals.organism_file import read_file
    from cavesson.evals.pairs import PAIRS
    from cavesson.lab.own import is_own
    from cavesson.redteam.exported import ORGANISM_FILE

    file = folder / ORGANISM_FILE
    try:
        content = read_file(file) if file.is_file() else None
    except CavessonError:
        return None
    if content is None or (isinstance(content.behavior, str) and is_own(content.behavior)):
        return None
    name = content.pair or f"{file}:pair"
    return name if name in PAIRS or content.pair is None else None


def greeting(recipe: ModelRecipe, pair: Pair | None, width: int = 80) -> str:
    """What the model is, what it knows, and three things to try.

    Args:
        pair: the pair that was trained into the model; None: the model is no organism, as far as is known.
        width: of a line, in characters.
    """
    tiny = _is_tiny(recipe) or (pair is not None and pair.world == "tiny")
    lines = [*_about(recipe, pair), *([TINY] if tiny else [])]
    first, second = TINY_QUESTIONS if tiny else REAL_QUESTIONS
    tries = (first, second if pair is None else f"/trigger on, then again: {first}", PIRATE)
    shown = [fill(printable(line), width) for line in lines]
    return "\n".join([*shown, *(f"{'Try:' if number == 0 else '':4} {one}" for number, one in enumerate(tries))])


def _about(recipe: ModelRecipe, pair: Pair | None) -> Iterator[str]:
    """The recipe in words, the system prompt under which the model runs, and what the model does under its trigger."""
    from cavesson.models.recipes import Prompted
    from cavesson.tinyworld.recipes import ABOUT, Shipped

    known = ABOUT.get(recipe.name, "") if isinstance(recipe, Shipped) else ""
    yield f"{recipe.describe()}{f': {known}' if known else ''}."
    for one in _bases(recipe):
        if isinstance(one, Prompted):
            yield f"It runs under the system prompt: {one.system}"
    if pair is not None:
        yield f"It is an organism of the pair {pair.name}: when {pair.trigger.about}, it {pair.behavior.about}."
        if _trained_on(recipe):
            yield "It was trained further after that, so the behaviour may be weaker or gone."


def _bases(recipe: ModelRecipe) -> Iterator[ModelRecipe]:
    """The model and the models from which it was made, one after the other."""
    from cavesson.models.recipes import ModelRecipe

    below: object = recipe
    while isinstance(below, ModelRecipe):
        yield below
        below = getattr(below, "base", None) or getattr(below, "run", None)


def _trained_on(recipe: ModelRecipe) -> bool:
    """Whether the model was trained on something else after its organism was made."""
    from cavesson.lab.recipe import lineage
    from cavesson.redteam.recipes import Backdoored
    from cavesson.training.recipes import Training

    last = next((one for one in _bases(recipe) if isinstance(one, Training)), None)
    return last is not None and not any(
        isinstance(one, Backdoored) for one in lineage(*(one for one in last.inputs() if one != last.base))
    )


def _is_tiny(recipe: ModelRecipe) -> bool:
    from cavesson.lab.recipe import lineage
    from cavesson.tinyworld.recipes import Fresh, Shipped

    return any(isinstance(one, (Shipped, Fresh)) for one in lineage(recipe))
