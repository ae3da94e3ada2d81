"""Older names of `cavesson.blueteam.moves.DAMAGES`; the old form of the study `stress` needs these names."""

from __future__ import annotations

from collections.abc import Callable

from cavesson.blueteam.moves import DAMAGES, move_named
from cavesson.blueteam.view import WRITTEN, blue_view
from cavesson.models.recipes import ModelRecipe
from cavesson.training.dose import Dose

__all__ = ["DAMAGES", "damage"]


def damage(name: str) -> Callable[[ModelRecipe, float], ModelRecipe]:
    """A function from a model and a strength to the damaged model.

    Raises:
        ConfigError: there is no such baseline.
    """
    found = move_named(name, DAMAGES, "damage")
    untrained = Dose(lr=1, steps=1)  # a baseline trains nothing
    return lambda model, strength: found.function(blue_view(WRITTEN, model, model=model), untrained, strength)
