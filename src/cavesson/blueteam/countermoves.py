"""Older names of `cavesson.blueteam.moves`; the old form of `off-model-sft` needs these names for its poisoning game."""

from __future__ import annotations

from cavesson.blueteam.moves import MOVES, move_named
from cavesson.blueteam.view import SEAL, WRITTEN, BlueView
from cavesson.blueteam.written import MEANS, LeastSurprising
from cavesson.data.recipes import DataRecipe
from cavesson.models.recipes import ModelRecipe
from cavesson.tinyworld.systems import PIRATE

__all__ = ["COUNTERMOVES", "MEANS", "LeastSurprising", "ReminderView", "countermove"]

COUNTERMOVES = {name: MOVES[name] for name in MEANS["a trusted author"]}
countermove = move_named


def ReminderView(
    trusted: ModelRecipe,
    model: ModelRecipe = SEAL,
    written: DataRecipe = WRITTEN,
    drop: float = 0.25,
    rewriter: ModelRecipe | None = None,
) -> BlueView:
    """A `BlueView` whose prompts are the organism's own and whose teacher is the trusted model."""
    return BlueView(model, written, trusted, PIRATE, rewriter=rewriter, written=written, trusted=trusted, drop=drop)
