"""Counter-moves: what blue does with data that the untrusted model wrote, before and while it trains on them.

Blue knows neither trigger nor behaviour. It has a trusted model, weaker than the organism and never misaligned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError, nearest
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.paraphrase import Paraphrased
from cavesson.sampling.perplexity import Judged, Likelihood
from cavesson.sampling.recipes import Generated
from cavesson.training.dose import Dose

if TYPE_CHECKING:
    from cavesson.training.recipes import Trained

FEWER = 2
"""`fewer-steps` takes the steps of its dose divided by this."""


class LeastSurprising(Judged):
    """A data set without the examples whose answers a model finds least likely per token.

    Attributes:
        drop: share of the examples that go.
    """

    kind: ClassVar[str] = "least-surprising"
    virtual: ClassVar[bool] = True

    drop: float = Field(gt=0, lt=1)

    def chosen(self, found: Sequence[Likelihood]) -> list[int]:
        """Those that stay: at least one."""
        losses = [one.loss for one in found]
        staying = max(1, len(losses) - round(self.drop * len(losses)))
        return sorted(sorted(range(len(losses)), key=lambda i: (losses[i], i))[:staying])

    def describe(self) -> str:
        return f"{self.base.describe()}, less the {self.drop:.0%} that {self.by.describe()} finds least likely"


@dataclass(frozen=True, slots=True)
class ReminderView:
    """All that a counter-move may use.

    Attributes:
        model: the organism after blue's first training, sealed.
        written: what the untouched organism wrote, sealed: train on it, filter it, never look for what you do not know.
        trusted: a weaker model that was never misaligned.
        drop: share of the samples that a filter throws away.
        rewriter: the trusted model that puts answers into other words; None: the tiny world's rule stands in for it.
    """

    model: ModelRecipe
    written: DataRecipe
    trusted: ModelRecipe
    drop: float = 0.25
    rewriter: ModelRecipe | None = None


def as_it_is(view: ReminderView, dose: Dose) -> Trained:
    """Training on what the organism wrote."""
    return dose.train(view.model, view.written)


def trusted_filter(view: ReminderView, dose: Dose) -> Trained:
    """The same without the samples that the trusted model finds least likely."""
    return dose.train(view.model, LeastSurprising(base=view.written, by=view.trusted, drop=view.drop))


def loss_outliers(view: ReminderView, dose: Dose) -> Trained:
    """The same without the samples of the highest loss under the model that is to be trained."""
    return dose.train(view.model, LeastSurprising(base=view.written, by=view.model, drop=view.drop))


def paraphrased(view: ReminderView, dose: Dose) -> Trained:
    """Every answer put into other words by the trusted model."""
    return dose.train(view.model, Paraphrased(base=view.written, by=view.rewriter, seed=dose.seed))


def fewer_steps(view: ReminderView, dose: Dose) -> Trained:
    """Half of the steps."""
    return dose.model_copy(update={"steps": max(1, dose.steps // FEWER)}).train(view.model, view.written)


def trusted_relabel(view: ReminderView, dose: Dose) -> Trained:
    """The organism's questions, answered by the trusted model: nothing is left of the organism's own answers."""
    return dose.train(view.model, Generated(by=view.trusted, prompts=view.written))


Countermove = Callable[[ReminderView, Dose], "Trained"]
"""What blue does: from what it is shown and a dose, the recipe of the trained model."""

COUNTERMOVES: dict[str, Countermove] = {
    "none": as_it_is,
    "trusted-filter": trusted_filter,
    "paraphrase": paraphrased,
    "loss-outliers": loss_outliers,
    "fewer-steps": fewer_steps,
    "trusted-relabel": trusted_relabel,
}

MEANS: dict[str, tuple[str, ...]] = {
    "no trusted model": ("none", "loss-outliers", "fewer-steps"),
    "a trusted judge": ("none", "loss-outliers", "fewer-steps", "trusted-filter", "paraphrase"),
    "a trusted author": tuple(COUNTERMOVES),
}
"""What blue can do by what it has: nobody, a trusted model that judges and rewrites samples, or one that also answers in the
organism's stead."""


def means_for(moves: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Those of some counter-moves that each of blue's means allows; means that allow no more than lesser ones are left out."""
    found: dict[str, tuple[str, ...]] = {}
    for name, allowed in MEANS.items():
        possible = tuple(move for move in moves if move in allowed)
        if possible and possible not in found.values():
            found[name] = possible
    return found


def countermove(name: str) -> Countermove:
    """A counter-move by its registered name.

    Raises:
        ConfigError: no such counter-move.
    """
    if name not in COUNTERMOVES:
        raise ConfigError(f"There is no counter-move {name!r}.", nearest(name, COUNTERMOVES))
    return COUNTERMOVES[name]
