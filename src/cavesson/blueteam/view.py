"""What the blue team is given: the model behind a seal, public prompts and a teacher. No trigger, no behaviour, no scorer.

The organism's recipe spells out how it was made, trigger included. Blue therefore works on a `Sealed` stand-in, which
carries nothing but a name; the game puts the organism in its place once blue has said what it wants trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError, RulesError
from cavesson.lab.recipe import PathOf
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.recipes import Generated
from cavesson.training.dose import Dose

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.training.recipes import Trained


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


class SealedData(DataRecipe):
    """Stands for data that the organism wrote, in recipes that blue writes. It holds a name and nothing else."""

    kind: ClassVar[str] = "sealed-data"
    virtual: ClassVar[bool] = True

    name: str

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        raise RulesError(
            f"The sealed data {self.name!r} were opened outside the game.",
            "Return recipes that contain `view.written`; the game puts the data in their place.",
        )

    def describe(self) -> str:
        return "what the organism wrote (sealed)"


@dataclass(frozen=True, slots=True)
class BlueView:
    """All that an intervention may use.

    Attributes:
        model: the organism, sealed: train it, sample from it, never look inside.
        prompts: public prompts, without answers.
        teacher: a trusted model that writes answers.
        pirate: the system prompt under which the teacher talks like a pirate.
        answers: the teacher's plain answers where they are stored already; None: it writes them.
        other: public prompts of another domain than chat (maths, code); None: there are none.
        wrong: the system prompt that asks for wrong answers in that domain; None: there is none.
        rewriter: a trusted model that puts answers into other words; None: the tiny world's rule does.
    """

    model: ModelRecipe
    prompts: DataRecipe
    teacher: ModelRecipe
    pirate: str
    answers: DataRecipe | None = None
    other: DataRecipe | None = None
    wrong: str | None = None
    rewriter: ModelRecipe | None = None

    @property
    def own(self) -> DataRecipe:
        """The organism's own answers to the public prompts."""
        return Generated(by=self.model, prompts=self.prompts)

    @property
    def plain(self) -> DataRecipe:
        """The teacher's plain answers to the public prompts."""
        return self.answers or Generated(by=self.teacher, prompts=self.prompts)

    @property
    def solutions(self) -> DataRecipe:
        """The teacher's answers to the prompts of the other domain.

        Raises:
            ConfigError: the study gives no such prompts.
        """
        if self.other is None:
            raise ConfigError(
                "This intervention needs prompts of another domain than chat, and the study gives none.",
                "Give `other_prompts` (a JSON-lines file of maths or code questions), or leave the intervention out.",
            )
        return Generated(by=self.teacher, prompts=self.other)


Intervention = Callable[[BlueView, Dose], "Trained"]
"""What blue does: from what it is shown and a dose, the recipe of the trained model."""
