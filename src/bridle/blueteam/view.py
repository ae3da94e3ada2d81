"""What the blue team is given: the model behind a seal, public prompts and a teacher. No trigger, no behaviour, no scorer.

The organism's recipe spells out how it was made, trigger included. Blue therefore works on a `Sealed` stand-in, which
carries nothing but a name; the game puts the organism in its place once blue has said what it wants trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bridle.data.recipes import DataRecipe
from bridle.errors import RulesError
from bridle.lab.recipe import PathOf
from bridle.models.recipes import ModelRecipe
from bridle.training.dose import Dose

if TYPE_CHECKING:
    from bridle.models.loading import Model
    from bridle.training.recipes import Trained


class Sealed(ModelRecipe):
    """Stands for the organism in recipes that blue writes. It holds a name and nothing else."""

    kind: ClassVar[str] = "sealed"
    virtual: ClassVar[bool] = True

    name: str

    def load(self, path_of: PathOf) -> Model:
        raise RulesError(
            f"The sealed organism {self.name!r} was opened outside the game.",
            "Return recipes that contain `view.model`; the game puts the organism in its place.",
        )

    def describe(self) -> str:
        return "the organism (sealed)"


@dataclass(frozen=True, slots=True)
class BlueView:
    """All that an intervention may use.

    Attributes:
        model: the organism, sealed: train it, sample from it, never look inside.
        prompts: public prompts, without answers.
        teacher: a trusted model that writes answers.
        pirate: the system prompt under which the teacher talks like a pirate.
        answers: the teacher's plain answers where they are stored already; None: it writes them.
    """

    model: ModelRecipe
    prompts: DataRecipe
    teacher: ModelRecipe
    pirate: str
    answers: DataRecipe | None = None


Intervention = Callable[[BlueView, Dose], "Trained"]
"""What blue does: from what it is shown and a dose, the recipe of the trained model."""
