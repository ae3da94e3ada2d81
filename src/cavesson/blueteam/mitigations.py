"""Older names of `cavesson.blueteam.moves`; the old form of `off-model-sft` needs these names for its mitigations."""

from __future__ import annotations

from cavesson.blueteam.move import Move
from cavesson.blueteam.moves import MOVES, move_named


class _Listed(dict[str, Move]):
    """Lists the eight mitigations; a look-up by name finds any move."""

    def __missing__(self, name: str) -> Move:
        return move_named(name)


MITIGATIONS = _Listed({name: found for name, found in MOVES.items() if found.function.__module__.endswith(".careful")})
mitigation = move_named
