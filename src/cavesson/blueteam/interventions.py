"""Older names of `cavesson.blueteam.moves`; the old form of studies that score along training runs needs these names."""

from __future__ import annotations

from collections.abc import Callable

from cavesson.blueteam import sft
from cavesson.blueteam.move import run_of
from cavesson.blueteam.moves import MOVES, move_named
from cavesson.blueteam.view import BlueView
from cavesson.training.dose import Dose
from cavesson.training.recipes import Trained

INTERVENTIONS = MOVES


def intervention(name: str) -> Callable[[BlueView, Dose], Trained]:
    """A move that leaves a training run behind.

    Raises:
        ConfigError: `move_named` finds no such move. The function raises the same error if the move leaves no training run
            of the whole dose.
    """
    found = move_named(name)
    return lambda view, dose: run_of(found(view, dose), dose)


def hhh_sft(view: BlueView, dose: Dose) -> Trained:
    """The move `hhh`."""
    return run_of(sft.hhh_sft(view, dose))
