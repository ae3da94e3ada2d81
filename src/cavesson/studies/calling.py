"""Calls of a study's own functions: what such a function raises or gives wrongly becomes one message with file and line."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from cavesson.errors import CavessonError, ConfigError, Stopped
from cavesson.lab.recipe import Recipe
from cavesson.studies.grid import Cell

STUDIES = Path(__file__).parent
LIBRARIES = tuple(
    str(path) for path in (STUDIES.parent, *(sysconfig.get_path(kind) for kind in ("stdlib", "purelib")))
)
"""Folders of code that no user wrote."""


@contextmanager
def calling(
    what: str,
    remedy: str,
    error: type[CavessonError] = CavessonError,
    passing: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Let whatever a study's function raises become one message.

    Args:
        what: the function in words, as the message's subject: `The grid of the study 'capitals'`.
        remedy: what the user can do.
        error: the error to raise.
        passing: further errors that pass.

    Raises:
        CavessonError: the function raised something; errors that have a remedy of their own, and `Stopped`, pass.
    """
    try:
        yield
    except (CavessonError, Stopped, *passing):
        raise
    except Exception as raised:
        told = f"{type(raised).__name__}: {_said(raised)}".rstrip(": ")
        raise error(f"{what} fails: {told}{_where(raised.__traceback__)}.", remedy) from raised


def _said(raised: Exception) -> str:
    """What an error says, in one line."""
    text = str(raised)
    if isinstance(raised, ValidationError):
        text = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}".lstrip(": ") for one in raised.errors())
    return " ".join(text.split())[:300]


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
    seen: dict[Hashable, Cell] = {}
    for cell in cells:
        fault = _fault_of(cell)
        if fault is None:
            place = (frozenset(cell.at.items()), next(iter(cell.recipes)))
            same = {(place, cell.seed): "stands twice", (place, _main(cell)): "has the recipe of another seed"}
            fault = next((said for key, said in same.items() if key in seen), None)
            seen |= dict.fromkeys(same, cell)
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


def _where(trace: TracebackType | None) -> str:
    """File and line of the last call in a user's own code, or else in a study of Cavesson, in brackets; "" without one."""
    files = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(trace)]
    own = [one for one in files if not str(one[0]).startswith(LIBRARIES)]
    shipped = [one for one in files if one[0].is_relative_to(STUDIES) and one[0].name not in ("calling.py", "report.py")]
    return next((f" ({file.name}, line {line})" for file, line in reversed(own or shipped)), "")
