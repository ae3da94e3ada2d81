"""The cells of a study's grid, looked over before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

from cavesson.errors import ConfigError
from cavesson.lab.own import calling
from cavesson.lab.recipe import Recipe
from cavesson.studies.grid import Cell


def cells_of(study: str, grid: Callable[[Any], Iterable[Cell]], config: Any) -> list[Cell]:
    """The cells of a study's grid.

    Raises:
        ConfigError: the grid raises something, is empty, holds something else than cells with recipes, or holds one place and
            seed twice, or one recipe as two seeds of a place.
    """
    what = f"The grid of the study {study!r}"
    remedy = "Correct the grid; nothing was started."
    with calling(what, remedy, ConfigError):
        cells = list(grid(config))
    if not cells:
        raise ConfigError(f"{what} is empty.", "Let the grid give a Cell for each place and seed; nothing was started.")
    seen: set[Hashable] = set()
    for cell in cells:
        fault = _fault_of(cell)
        if fault is None:
            place = (frozenset(cell.at.items()), next(iter(cell.recipes)))
            same = {(place, cell.seed): "stands twice", (place, _main(cell)): "has the recipe of another seed"}
            fault = next((said for key, said in same.items() if key in seen), None)
            seen |= same.keys()
        if fault is not None:
            raise ConfigError(f"{what}: {_name_of(cell)} {fault}.", remedy)
    return cells


def _main(cell: Cell) -> str:
    return next(iter(cell.recipes.values())).fingerprint


def _name_of(cell: Any) -> str:
    if not isinstance(cell, Cell):
        return repr(cell)
    return f"the cell of seed {cell.seed} at {', '.join(f'{axis} {value}' for axis, value in cell.at.items())}"


def _fault_of(cell: Any) -> str | None:
    """What is wrong with a cell by itself, as the end of a sentence; None if nothing is."""
    if not isinstance(cell, Cell):
        return "is no Cell"
    for axis, value in cell.at.items():
        if not isinstance(axis, str):
            return f"has an axis {axis!r} whose name is not text"
        try:
            hash(value)
        except TypeError:
            return f"has a {type(value).__name__} on the axis {axis!r}; an axis holds text, numbers or tuples"
    if not isinstance(cell.seed, int) or isinstance(cell.seed, bool):
        return "has a seed that is no whole number"
    if not cell.recipes:
        return "has no recipes"
    wrong = [role for role, recipe in cell.recipes.items() if not isinstance(recipe, Recipe)]
    return f"has no recipe under {wrong[0]!r} but a {type(cell.recipes[wrong[0]]).__name__}" if wrong else None
