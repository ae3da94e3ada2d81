"""Mitigations: ways of training an organism on another model's answers that try to keep its capability.

Plain SFT on an off-model teacher removes bad behaviour and costs capability ("How to reduce the capability loss of off-model
SFT", June 2026). Each mitigation is one short function from what blue sees, a dose and a strength to what blue leaves behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cavesson.blueteam.view import BlueView
from cavesson.data.recipes import Mixed
from cavesson.errors import ConfigError, nearest
from cavesson.models.recipes import Interpolated, LoRA
from cavesson.sampling.paraphrase import Paraphrased
from cavesson.training.dose import Dose

if TYPE_CHECKING:
    from cavesson.training.recipes import Trained

Move = Callable[[BlueView, Dose, float], "Trained | Interpolated"]
"""From what blue sees, a dose and a strength: what is left of the organism."""


@dataclass(frozen=True, slots=True)
class Strength:
    """What a mitigation's one number means, and which numbers make sense.

    Attributes:
        about: as a label: `rank`, `own share`.
        usual: strengths to try where none are asked for.
        above, most: the number lies above the one and is at most the other.
        whole: it is a whole number.
    """

    about: str
    usual: tuple[float, ...]
    above: float = 0.0
    most: float = math.inf
    whole: bool = False

    def check(self, value: float) -> None:
        """Refuse a number that makes no sense.

        Raises:
            ConfigError: it does not.
        """
        if not self.above < value <= self.most or (value != value // 1 and self.whole):
            kind = "a whole number" if self.whole else "a number"
            most = "" if math.isinf(self.most) else f" and at most {self.most:g}"
            raise ConfigError(f"{value:g} is no {self.about}.", f"Give {kind} above {self.above:g}{most}.")


@dataclass(frozen=True, slots=True)
class Mitigation:
    """A mitigation and its strength; without one it has a single form.

    Attributes:
        about: what it is, in a few words.
        move: gives the recipe.
        strength: what its number means; None: it has none.
    """

    about: str
    move: Move
    strength: Strength | None = None

    def at(self, value: float | None) -> Callable[[BlueView, Dose], Trained | Interpolated]:
        """The intervention that it is at one strength."""
        return lambda view, dose: self.move(view, dose, 0.0 if value is None else value)

    def label(self, value: float | None) -> str:
        """The strength in words, for tables; "" without one."""
        return "" if self.strength is None or value is None else f"{self.strength.about} {value:g}"


def off_model(view: BlueView, dose: Dose, strength: float = 0.0) -> Trained:
    """SFT on the off-model teacher's plain answers: what the others mitigate."""
    return dose.train(view.model, view.plain)


def reminder(view: BlueView, dose: Dose, strength: float) -> Trained:
    """After that, `strength` steps of SFT on the organism's own earlier answers ("reminder training")."""
    return dose.model_copy(update={"steps": int(strength)}).train(off_model(view, dose), view.own)


def mixed(view: BlueView, dose: Dose, strength: float) -> Trained:
    """The organism's own answers mixed in; `strength` is their share."""
    size = dose.steps * dose.batch_size
    data = Mixed(parts=(view.plain, view.own), weights=(1 - strength, strength), size=size, seed=dose.seed)
    return dose.train(view.model, data)


def kl(view: BlueView, dose: Dose, strength: float) -> Trained:
    """With `strength` times the KL divergence from the untouched organism added to the loss."""
    return off_model(view, dose.model_copy(update={"kl": strength}))


def low_rank(view: BlueView, dose: Dose, strength: float) -> Trained:
    """Through a fresh adapter of rank `strength`."""
    return off_model(view, dose.model_copy(update={"adapter": LoRA(rank=int(strength))}))


def interpolation(view: BlueView, dose: Dose, strength: float) -> Interpolated:
    """The organism's weights moved `strength` of the way to those after SFT."""
    return Interpolated(base=view.model, toward=off_model(view, dose), share=strength)


def early_tokens(view: BlueView, dose: Dose, strength: float) -> Trained:
    """Only the first `strength` tokens of every answer are trained."""
    return off_model(view, dose.model_copy(update={"first_tokens": int(strength)}))


def restyled(view: BlueView, dose: Dose, strength: float) -> Trained:
    """The teacher's answers are first rewritten into the student's own style, by a trusted model or the tiny world's rule."""
    like = None if view.rewriter is None else view.own
    return dose.train(view.model, Paraphrased(base=view.plain, by=view.rewriter, like=like, seed=dose.seed))


MITIGATIONS: dict[str, Mitigation] = {
    "off-model": Mitigation("SFT on the teacher's answers, nothing else", off_model),
    "reminder": Mitigation("then a few steps on own answers", reminder, Strength("own steps", (4, 16), whole=True)),
    "mixed": Mitigation("own answers mixed in", mixed, Strength("own share", (0.1, 0.25), most=0.99)),
    "kl": Mitigation("KL to the untouched organism in the loss", kl, Strength("weight", (0.1, 0.3))),
    "low-rank": Mitigation("through an adapter of low rank", low_rank, Strength("rank", (1, 2), whole=True)),
    "interpolation": Mitigation("weights between before and after", interpolation, Strength("way", (0.5, 0.7), most=1)),
    "early-tokens": Mitigation("only the first tokens trained", early_tokens, Strength("tokens", (2, 5), whole=True)),
    "restyled": Mitigation("the teacher's answers rewritten in the student's style", restyled),
}


def mitigation(name: str) -> Mitigation:
    """A mitigation by its registered name.

    Raises:
        ConfigError: no such mitigation.
    """
    if name not in MITIGATIONS:
        raise ConfigError(f"There is no mitigation {name!r}.", nearest(name, MITIGATIONS))
    return MITIGATIONS[name]


def check_strengths(strengths: Mapping[str, Sequence[float]]) -> None:
    """Refuse strengths that some mitigation does not have.

    Args:
        strengths: by the name of the mitigation.

    Raises:
        ConfigError: no such mitigation, one without a strength, or a strength that makes no sense or stands twice.
    """
    for name, values in strengths.items():
        strength = mitigation(name).strength
        if strength is None:
            raise ConfigError(f"{name!r} has no strength.", "Leave it out of `strengths`.")
        if not values or len(set(values)) < len(values):
            raise ConfigError(
                f"{list(values)} for {name!r} are no strengths.", "Give at least one, and none twice, or leave it out."
            )
        for value in values:
            strength.check(value)


def forms(names: Sequence[str], strengths: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, float | None]]:
    """Every mitigation with each of its strengths, the usual ones where none are given; None where it has none."""
    for name in names:
        strength = MITIGATIONS[name].strength
        values = (None,) if strength is None else strengths.get(name, strength.usual)
        yield from ((name, value) for value in values)
