"""What the blue team is given: the model behind a seal, public prompts and a teacher. No trigger, no behaviour, no scorer.

The organism's recipe spells out how the organism was made, trigger included. Blue therefore works on a `Sealed` stand-in,
which holds nothing but a name; the game puts the organism in the stand-in's place once blue has returned its move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from cavesson.data.example import Example
from cavesson.data.named import data_named
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError, RulesError
from cavesson.lab.recipe import PathOf
from cavesson.models.recipes import ModelRecipe
from cavesson.named import model_named
from cavesson.sampling.recipes import Generated
from cavesson.tinyworld.systems import PIRATE, WRONG
from cavesson.training.dose import Dose

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.training.recipes import Training


class Sealed(ModelRecipe):
    """Stands for the organism in recipes that blue writes; holds a name and nothing else."""

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
    """Stands for data that the organism wrote, in recipes that blue writes; holds a name and nothing else."""

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
    "problems": (
        "public problems on which the model does not sandbag",
        "Leave the move out, or take the study opaque-reasoning, which gives them.",
    ),
    "practice": (
        "problems to practise, with a rule that tells right answers",
        "Give `evaluation.practise` (a JSON-lines file of questions with answers, or a standard set that is not scored), or leave "
        "the move out.",
    ),
    "trusted": ("a trusted model besides the teacher", "Leave the move out, or take a study that has a trusted model."),
}
"""Parts of a view that only some studies give: each in words, and the remedy for a user whose study lacks the part."""


class Practice(Protocol):
    """Public problems that blue may let the organism practise; what tells right answers stays with them (`cavesson.rl.practice`)."""

    def reinforced(self, base: ModelRecipe, dose: Dose, *, reward: Any = "correct", **changes: Any) -> Training:
        """The recipe of `base` trained by reinforcement learning with a dose."""
        ...

    def accepted(self, answers: DataRecipe, n: int) -> DataRecipe:
        """The first `n` of some answers to these problems that are right."""
        ...


@dataclass(frozen=True, slots=True)
class BlueView:
    """All that a move may use.

    Attributes:
        model: the model to train, sealed: a move may train the model and sample from it, never look inside.
        prompts: public prompts, without answers.
        teacher: a trusted model that writes answers.
        pirate: the system prompt under which the teacher talks like a pirate.
        answers: the teacher's stored plain answers; None: the teacher writes the answers.
        other: public prompts of another domain than chat (maths, code); None: the study gives none.
        problems: public problems near the domain that matters, on which the model does not sandbag; None: the study gives none.
        wrong: the system prompt that asks for wrong answers in the other domain; None: the study gives none.
        rewriter: a trusted model that puts answers into other words; None: the tiny world's rule does.
        written: data that the untouched organism wrote, sealed: a move may train on the data and filter the data, never
            search for the trigger; None: the organism wrote nothing.
        trusted: a never-misaligned model, weaker than the organism; None: the study gives none.
        practice: problems for reinforcement learning; None: the study gives none.
        drop: share of the samples that a filter drops.
    """

    model: ModelRecipe
    prompts: DataRecipe
    teacher: ModelRecipe
    pirate: str
    answers: DataRecipe | None = None
    other: DataRecipe | None = None
    problems: DataRecipe | None = None
    wrong: str | None = None
    rewriter: ModelRecipe | None = None
    written: DataRecipe | None = None
    trusted: ModelRecipe | None = None
    practice: Practice | None = None
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
            ConfigError: the study gives no prompts of another domain.
        """
        return Generated(by=self.teacher, prompts=self.need("other"))

    def need(self, name: str, who: str = "This move") -> Any:
        """A part of the view that a move cannot do without.

        Args:
            name: the part's name in `NEEDS`.
            who: the move, for the message.

        Raises:
            ConfigError: the study does not give this part.
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
    problems: DataRecipe | None = None,
    rewriter: ModelRecipe | str | None = None,
    written: DataRecipe | None = None,
    trusted: ModelRecipe | str | None = None,
    practice: Practice | None = None,
    drop: float = 0.25,
    model: ModelRecipe = SEAL,
) -> BlueView:
    """A study's view for blue, from recipes or from names that users give.

    The arguments that are not listed here are attributes of `BlueView`.

    Args:
        prompts: public prompts, unanswered.
        teacher: the model that writes answers.
        answers: the teacher's stored answers; None: the teacher writes the answers.
        model: the model that blue trains, if not the organism itself (a model that blue trained before); the game seals it.

    Raises:
        ConfigError: a name is no model's or data set's.
    """
    return BlueView(
        model=model,
        prompts=prompts,
        teacher=_model(teacher),
        pirate=PIRATE,
        answers=None if answers is None else _data(answers),
        other=None if other is None else _data(other),
        problems=problems,
        wrong=WRONG,
        rewriter=None if rewriter is None else _model(rewriter),
        written=written,
        trusted=None if trusted is None else _model(trusted),
        practice=practice,
        drop=drop,
    )


def _model(given: ModelRecipe | str) -> ModelRecipe:
    return model_named(given) if isinstance(given, str) else given


def _data(given: DataRecipe | str) -> DataRecipe:
    return data_named(given) if isinstance(given, str) else given
