"""All moves, by name: those that Cavesson ships, and a user's own from a file.

A new move is one function under `@move(…)` in the file of its family; nothing else names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from inspect import Parameter, signature
from math import inf
from types import ModuleType
from typing import Any

from cavesson.blueteam import baselines, careful, probes, sft, written
from cavesson.blueteam.move import Move, Strength
from cavesson.errors import ConfigError, nearest
from cavesson.lab.own import imported, is_own

_AT = re.compile(r"(?P<name>.+)@(?P<strength>[-+.\deE]+)")
_FORM = "Name a function of (view, dose) or (view, dose, strength) that returns a recipe."


def _family(*modules: ModuleType) -> dict[str, Move]:
    """The moves of some modules, by name, in the order in which they are written."""
    return {found.name: found for module in modules for found in vars(module).values() if isinstance(found, Move)}


MOVES = _family(sft, careful, written)
"""What blue can do."""

CAREFUL = tuple(_family(careful))
"""Names of the moves that mitigate off-model SFT, and of off-model SFT alone."""

PROBES = _family(probes)
"""Reversal probes, which the lab plays after blue."""

DAMAGES = _family(baselines)
"""Trivial baselines, which the lab plays beside blue."""


def move_named(name: str, among: dict[str, Move] = MOVES, what: str = "intervention") -> Move:
    """A move by its registered name, or a user's own as `file.py:function`; `@0.3` behind either sets the strength.

    Args:
        name: `pirate`, `kl@0.3`, `mine.py:curt`.
        among: the registered ones.
        what: their kind, for the message.

    Raises:
        ConfigError: no such move, what is named cannot be loaded or called, or the strength makes no sense.
    """
    if (found := _AT.fullmatch(name)) is not None:
        return move_named(found["name"], among, what).at(_number(found["strength"], name))
    if name in among:
        return among[name]
    if is_own(name):
        return _own(name, imported(name, what), what)
    raise ConfigError(f"There is no {what} {name!r}.", nearest(name, among))


def forms_of(name: str) -> list[tuple[Move, float | None]]:
    """A move with every strength to try: the one behind the `@`, else the usual ones; None where there is none.

    Raises:
        ConfigError: as of `move_named`, or the move needs a strength and has no usual one.
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
    """The name of a move in words, for tables; an unregistered one's is the name itself, without file or module."""
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
    """A move of the user's own: a function, or one under `@move(…)`."""
    if isinstance(found, Move):
        return replace(found, name=place)
    if not callable(found):
        raise ConfigError(f"The {what} {place!r} is not a function but of type {type(found).__name__}.", _FORM)
    return Move(place, place.rpartition(":")[2], found, strength=_strength_of(found, place, what))


def _strength_of(function: Callable[..., Any], place: str, what: str) -> Strength | None:
    """The strength of a plain function: its third argument. A default there is no strength unless it is a number."""
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    taken = [one for one in signature(function).parameters.values() if one.kind in positional]
    must = sum(one.default is Parameter.empty for one in taken)
    if len(taken) < 2 or must > 3:
        raise ConfigError(f"The {what} {place!r} takes {len(taken)} arguments.", _FORM)
    if len(taken) == 2:
        return None
    default = taken[2].default
    if default is Parameter.empty:
        return Strength("strength", above=-inf)
    if isinstance(default, int | float):
        return Strength("strength", (default,), above=-inf, required=False)
    return None
