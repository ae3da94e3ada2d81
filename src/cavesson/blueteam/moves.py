"""All moves, by name: the moves that Cavesson ships, and a user's own moves from a file.

A new move is one function under `@move(…)` in the file of its family; no other edit is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from inspect import Parameter, signature
from math import inf
from types import ModuleType
from typing import Any

from cavesson.blueteam import baselines, careful, opaque, practised, probes, sft, written, yardsticks
from cavesson.blueteam.move import Move, Strength
from cavesson.errors import ConfigError, entry_of
from cavesson.lab.own import imported, is_own

_AT = re.compile(r"(?P<name>.+)@(?P<strength>[-+.\deE]+)")
_FORM = "Name a function of (view, dose) or (view, dose, strength) that returns a recipe."


def _family(*modules: ModuleType) -> dict[str, Move]:
    """The moves of some modules, by name, in the order of the source."""
    return {found.name: found for module in modules for found in vars(module).values() if isinstance(found, Move)}


MOVES = _family(sft, careful, written, practised, opaque, yardsticks)
"""What blue can do."""

CAREFUL = tuple(_family(careful))
"""Names of plain off-model SFT and of the moves that mitigate its capability loss."""

PROBES = _family(probes)
"""Reversal probes, which the lab plays after blue."""

DAMAGES = _family(baselines)
"""Trivial baselines, which the lab plays beside blue."""


def move_named(name: str, among: dict[str, Move] = MOVES, what: str = "intervention") -> Move:
    """A move by its registered name, or a user's own move as `file.py:function`; a suffix `@0.3` sets the strength.

    Args:
        name: `pirate`, `kl@0.3`, `mine.py:curt`.
        among: the registered moves.
        what: the kind of these moves, for messages.

    Raises:
        ConfigError: there is no such move, the named object cannot be loaded or called, or the strength makes no sense.
    """
    if (found := _AT.fullmatch(name)) is not None:
        return move_named(found["name"], among, what).at(_number(found["strength"], name))
    if name not in among and is_own(name):
        return _own(name, imported(name, what), what)
    if name.endswith(".py"):
        raise ConfigError(f"{name} is a Python file.", f"Name the {what} in it: {name}:FUNCTION.")
    return entry_of(among, name, what)


def forms_of(name: str) -> list[tuple[Move, float | None]]:
    """A move with every strength to try: the strength behind the `@`, else the usual strengths; None for a move without one.

    Raises:
        ConfigError: there is no such move (see `move_named`), or the move needs a strength and has no usual strengths.
    """
    if (found := _AT.fullmatch(name)) is not None:
        whole, strength = move_named(found["name"]), _number(found["strength"], name)
        whole.at(strength)
        return [(whole, strength)]
    whole = move_named(name)
    if whole.strength is None or not whole.strength.required:
        return [(whole, None)]
    if not whole.strength.usual:
        raise ConfigError(f"The move {name!r} has no usual strength.", f"Give one behind the name: {name}@NUMBER.")
    return [(whole, strength) for strength in whole.strength.usual]


def title_of(name: str) -> str:
    """The title of a move, for tables; the name itself where no move has this name."""
    known = {**MOVES, **PROBES, **DAMAGES}
    if name in known or is_own(name) or _AT.fullmatch(name):
        return move_named(name, known).title
    return name


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"The strength in {name!r} is no number.", "Write a number behind the @: kl@0.3.") from None


def _own(place: str, found: Any, what: str) -> Move:
    """A user's own move: a plain function, or a function under `@move(…)`."""
    if isinstance(found, Move):
        return replace(found, name=place)
    if not callable(found):
        raise ConfigError(f"The {what} {place!r} is not a function but of type {type(found).__name__}.", _FORM)
    return Move(place, place.rpartition(":")[2], found, strength=_strength_of(found, place, what))


def _strength_of(function: Callable[..., Any], place: str, what: str) -> Strength | None:
    """The strength of a plain function: its third argument, unless the argument has a default that is no number."""
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    arguments = [one for one in signature(function).parameters.values() if one.kind in positional]
    required = sum(one.default is Parameter.empty for one in arguments)
    if len(arguments) < 2 or required > 3:
        raise ConfigError(f"The {what} {place!r} takes {len(arguments)} arguments.", _FORM)
    if len(arguments) == 2:
        return None
    default = arguments[2].default
    if default is Parameter.empty:
        return Strength("strength", above=-inf)
    if isinstance(default, int | float):
        return Strength("strength", (default,), above=-inf, required=False)
    return None
