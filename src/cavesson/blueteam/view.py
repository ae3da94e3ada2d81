"""What the blue team is given: the model behind a seal, public prompts and a teacher. No trigger, no behaviour, no scorer.

The organism's recipe spells out how it was made, trigger included. Blue therefore works on a `Sealed` stand-in, which
carries nothing but a name; the game puts the organism in its place once blue has said what it wants trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cavesson.data.example import Example
from cavesson.data.named import data_named
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError, RulesError
from cavesson.lab.recipe import PathOf
from cavesson.models.recipes import ModelRecipe
from cavesson.named import model_named
from cavesson.sampling.recipes import Generated
from cavesson.tinyworld.systems import PIRATE, WRONG

if TYPE_CHECKING:
    from cavesson.models.model import Model


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


SEAL = Sealed(name="organism")
WRITTEN = SealedData(name="written")

NEEDS: dict[str, tuple[str, str]] = {
    "other": (
        "prompts of another domain than chat",
        "Give `other_prompts` (a JSON-lines file of maths or code questions), or leave the move out.",
    ),
    "wrong": ("a system prompt that asks for wrong answers", "Leave the move out."),
    "written": (
        "data that the organism wrote",
        "Leave the move out, or take a study of data that the organism writes.",
    ),
    "trusted": ("a trusted model besides the teacher", "Leave the move out, or take a study that has a trusted model."),
}
"""What some studies give blue and others do not: in words, and what a user can do without."""


@dataclass(frozen=True, slots=True)
class BlueView:
    """All that a move may use.

    Attributes:
        model: the model that is trained, sealed: train the model, sample from the model, never look inside.
        prompts: public prompts, without answers.
        teacher: a trusted model that writes answers.
        pirate: the system prompt under which the teacher talks like a pirate.
        answers: the teacher's plain answers where they are stored already; None: the teacher writes them.
        other: public prompts of another domain than chat (maths, code); None: there are none.
        wrong: the system prompt that asks for wrong answers in that domain; None: there is none.
        rewriter: a trusted model that puts answers into other words; None: the tiny world's rule does.
        written: what the untouched organism wrote, sealed: train on the data, filter the data, never look for what you do
            not know; None: the organism wrote nothing.
        trusted: a model that was never misaligned, weaker than the organism; None: there is none.
        drop: share of the samples that a filter throws away.
    """

    model: ModelRecipe
    prompts: DataRecipe
    teacher: ModelRecipe
    pirate: str
    answers: DataRecipe | None = None
    other: DataRecipe | None = None
    wrong: str | None = None
    rewriter: ModelRecipe | None = None
    written: DataRecipe | None = None
    trusted: ModelRecipe | None = None
    drop: float = 0.25

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
        return Generated(by=self.teacher, prompts=self.need("other"))

    def need(self, name: str, who: str = "This move") -> Any:
        """What stands under a name of `NEEDS`, for a move that cannot do without.

        Raises:
            ConfigError: the study gives no such thing.
        """
        value = getattr(self, name)
        if value is None:
            what, remedy = NEEDS[name]
            raise ConfigError(f"{who} needs {what}, and this study gives none.", remedy)
        return value


def blue_view(
    prompts: DataRecipe,
    teacher: ModelRecipe | str,
    *,
    answers: DataRecipe | str | None = None,
    other: DataRecipe | str | None = None,
    rewriter: ModelRecipe | str | None = None,
    written: DataRecipe | None = None,
    trusted: ModelRecipe | str | None = None,
    drop: float = 0.25,
    model: ModelRecipe = SEAL,
) -> BlueView:
    """A study's view for blue, from recipes or from names as users give them.

    The arguments that are not listed here are attributes of `BlueView`.

    Args:
        prompts: public prompts, unanswered.
        teacher: writes answers.
        answers: the teacher's stored answers; None: the teacher writes them.
        model: what blue trains where that is not the organism itself (a model that blue trained before); the game seals it.

    Raises:
        ConfigError: there is no model or data set of a name.
    """
    return BlueView(
        model=model,
        prompts=prompts,
        teacher=_model(teacher),
        pirate=PIRATE,
        answers=None if answers is None else _data(answers),
        other=None if other is None else _data(other),
        wrong=WRONG,
        rewriter=None if rewriter is None else _model(rewriter),
        written=written,
        trusted=None if trusted is None else _model(trusted),
        drop=drop,
    )


def _model(given: ModelRecipe | str) -> ModelRecipe:
    return model_named(given) if isinstance(given, str) else given


def _data(given: DataRecipe | str) -> DataRecipe:
    return data_named(given) if isinstance(given, str) else given
