"""Older names of `cavesson.blueteam.moves.PROBES`; the old form of studies that pass a probe's parts one by one needs them."""

from __future__ import annotations

from collections.abc import Callable

from cavesson.blueteam.move import run_of
from cavesson.blueteam.moves import PROBES, move_named
from cavesson.blueteam.view import blue_view
from cavesson.data.recipes import DataRecipe
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.recipes import Generated
from cavesson.training.dose import Dose
from cavesson.training.recipes import Trained


def reversal(name: str) -> Callable[[ModelRecipe, ModelRecipe, ModelRecipe, DataRecipe, Dose], Trained]:
    """A probe, as a function of the checkpoint that blue left, the untouched organism, blue's teacher, clean prompts and a dose.

    Raises:
        ConfigError: there is no such probe.
    """
    probe = move_named(name, PROBES, "reversal probe")

    def play(
        left: ModelRecipe, organism: ModelRecipe, teacher: ModelRecipe, prompts: DataRecipe, dose: Dose
    ) -> Trained:
        written = Generated(by=organism, prompts=prompts)
        return run_of(probe(blue_view(prompts, teacher, written=written, model=left), dose))

    return play


own_voice = reversal("own-voice")
