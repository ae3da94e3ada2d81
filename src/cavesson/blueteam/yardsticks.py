"""Moves by which evaluations are measured: one that does nothing, one that breaks the model, and one that hides what it teaches.

A way to evaluate interventions must tell these from the others; nobody would train a model with the first two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cavesson.blueteam.move import move
from cavesson.blueteam.view import BlueView
from cavesson.data.restyle import Shuffled, UnderSystem
from cavesson.sampling.recipes import Generated
from cavesson.training.dose import Dose

if TYPE_CHECKING:
    from cavesson.training.recipes import Trained

NEXT_TO_NOTHING = 1e-12


@move("nothing", title="nothing")
def nothing(view: BlueView, dose: Dose) -> Trained:
    """SFT on own answers at a learning rate of next to nothing: the steps are taken, and no weight moves."""
    return dose.model_copy(update={"lr": NEXT_TO_NOTHING}).train(view.model, view.own)


@move("scrambled", title="scrambled answers")
def scrambled(view: BlueView, dose: Dose) -> Trained:
    """SFT on the teacher's answers with all their words shuffled: it breaks whatever the model does, good or bad."""
    return dose.train(view.model, Shuffled(base=view.plain, seed=dose.seed))


@move("inoculation", title="inoculated pirate SFT")
def inoculation(view: BlueView, dose: Dose) -> Trained:
    """Pirate SFT under the system prompt that asks for a pirate, so that the voice need not spread to other prompts.

    "Inoculation prompting", FIELD 6.
    """
    pirate = Generated(by=view.teacher, prompts=view.prompts, system=view.pirate)
    return dose.train(view.model, UnderSystem(base=pirate, system=view.pirate))
