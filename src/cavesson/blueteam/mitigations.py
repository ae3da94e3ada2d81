"""Older names of `cavesson.blueteam.moves`, for the mitigations of `off-model-sft`. To go with that study's old form."""

from __future__ import annotations

from cavesson.blueteam.move import Move
from cavesson.blueteam.moves import MOVES, move_named


class _Listed(dict[str, Move]):
    """The eight mitigations; looked up by name, any move."""

    def __missing__(self, name: str) -> Move:
        return move_named(name)


MITIGATIONS = _Listed({name: found for name, found in MOVES.items() if found.function.__module__.endswith(".careful")})
mitigation = move_named
