"""A move: what blue does to the organism. A move is one function, and what studies and tables need to know about the function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from inspect import getdoc
from typing import TYPE_CHECKING

from cavesson.blueteam.view import BlueView
from cavesson.errors import ConfigError
from cavesson.lab.own import calling
from cavesson.models.recipes import ModelRecipe
from cavesson.training.dose import Dose

if TYPE_CHECKING:
    from cavesson.training.recipes import Training


@dataclass(frozen=True, slots=True)
class Strength:
    """What a move's one number means, and which numbers make sense.

    Attributes:
        about: as a label: `rank`, `own share`.
        usual: strengths to try where the user names none.
        above, most: the number is greater than `above` and at most `most`.
        whole: the number must be whole.
        required: the move needs a number; otherwise the function has a default.
    """

    about: str
    usual: tuple[float, ...] = ()
    above: float = 0.0
    most: float = math.inf
    whole: bool = False
    required: bool = True

    def check(self, value: float) -> None:
        """Refuse a number that makes no sense.

        Raises:
            ConfigError: the number lies outside the bounds, is infinite, or is not whole where it must be.
        """
        if not self.above < value <= self.most or math.isinf(value) or (value != value // 1 and self.whole):
            kind = "a whole number" if self.whole else "a number"
            most = "" if math.isinf(self.most) else f" and at most {self.most:g}"
            raise ConfigError(f"{value:g} is no {self.about}.", f"Give {kind} above {self.above:g}{most}.")


@dataclass(frozen=True, slots=True)
class Move:
    """A move is called like its function: a view, a dose and a strength give the recipe of what blue leaves.

    Attributes:
        name: what users type: `kl`, `kl@0.3`, `file.py:function`.
        title: what tables show.
        function: a function of `(view, dose)`, or of `(view, dose, strength)` if the move has a strength.
        needs: parts of the view that the move uses and that not every study gives (names of `cavesson.blueteam.view.NEEDS`).
        strength: what the move's number means; None: the move has none.
    """

    name: str
    title: str
    function: Callable[..., ModelRecipe]
    needs: tuple[str, ...] = ()
    strength: Strength | None = None

    @property
    def about(self) -> str:
        """The move in a few words, for a table's cell: the first line of the function's docstring."""
        line = (getdoc(self.function) or "").partition("\n")[0].rstrip(".")
        return line if line[1:2].isupper() else line[:1].lower() + line[1:]

    def __call__(self, view: BlueView, dose: Dose, strength: float | None = None) -> ModelRecipe:
        """The recipe of what the move leaves of the organism.

        Raises:
            ConfigError: the view lacks what the move needs, the strength is missing or makes no sense, or the function raises
                something.
        """
        self.check(view)
        number = self._number(strength)
        with calling(f"The move {self.name!r}", "Correct the move; nothing was started.", ConfigError):
            return self.function(view, dose, *number)

    def check(self, view: BlueView) -> None:
        """Refuse a view that lacks what the move needs.

        Raises:
            ConfigError: the view lacks something.
        """
        for name in self.needs:
            view.need(name, f"The move {self.name!r}")

    def at(self, value: float | None) -> Move:
        """The move with its strength fixed at a value; None: the move unchanged.

        Raises:
            ConfigError: the move has no strength, or the number makes no sense.
        """
        if value is None:
            return self
        return replace(
            self,
            name=f"{self.name}@{value:g}" if float(f"{value:g}") == value else f"{self.name}@{value!r}",
            title=f"{self.title}, {self.label(value)}",
            function=_at_strength(self.function, self._number(value)),
            strength=None,
        )

    def label(self, value: float | None) -> str:
        """The strength in words, for tables; "" without a strength."""
        return "" if self.strength is None or value is None else f"{self.strength.about} {value:g}"

    def _number(self, strength: float | None) -> tuple[float, ...]:
        """The strength as the function's last argument, if the function takes one."""
        if strength is None:
            if self.strength is not None and self.strength.required:
                usual = " or ".join(f"{self.name}@{value:g}" for value in self.strength.usual)
                raise ConfigError(
                    f"The move {self.name!r} needs a strength ({self.strength.about}), and none is given.",
                    f"Write it behind the name: {usual or f'{self.name}@NUMBER'}.",
                )
            return ()
        if self.strength is None:
            raise ConfigError(f"The move {self.name!r} has no strength.", f"Leave {strength:g} out.")
        self.strength.check(strength)
        return (strength,)


def move(
    name: str, *, title: str, needs: tuple[str, ...] = (), strength: Strength | None = None
) -> Callable[[Callable[..., ModelRecipe]], Move]:
    """Make a move of a function: `@move("kl", title="KL to the original", strength=Strength("weight", (0.1, 0.3)))`."""

    def decorate(function: Callable[..., ModelRecipe]) -> Move:
        return Move(name, title, function, needs, strength)

    return decorate


def run_of(left: ModelRecipe, dose: Dose | None = None) -> Training:
    """The training run that a move left, for studies that score models along their training.

    Args:
        left: the recipe that the move returned.
        dose: the study scores up to the last step of this dose; None: any run will do.

    Raises:
        ConfigError: the move leaves no training run (but a model between two others, say), or a run shorter than the dose.
    """
    from cavesson.training.recipes import Training

    remedy = "Leave the move out here; the mitigations of off-model-sft score what every move leaves."
    if not isinstance(left, Training):
        raise ConfigError(
            f"This study scores models along their training, and a move leaves {left.describe()}, which has no steps.",
            remedy,
        )
    if dose is not None and left.steps is not None and left.steps < dose.steps:
        raise ConfigError(
            f"A move leaves a last run of {left.steps} steps, and this study scores up to step {dose.steps}.", remedy
        )
    return left


def _at_strength(function: Callable[..., ModelRecipe], number: tuple[float, ...]) -> Callable[..., ModelRecipe]:
    """The function at one strength, with the function's own docstring."""

    def at_strength(view: BlueView, dose: Dose) -> ModelRecipe:
        return function(view, dose, *number)

    at_strength.__doc__ = function.__doc__
    return at_strength
