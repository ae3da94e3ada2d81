"""Moves that train the organism on another model's answers and try to keep its capability: mitigations.

Plain SFT on an off-model teacher removes bad behaviour and costs capability ("How to reduce capability degradation from
off-model SFT", June 2026).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cavesson.blueteam.move import Strength, move
from cavesson.blueteam.view import BlueView
from cavesson.data.recipes import Mixed
from cavesson.models.recipes import Interpolated, LoRA
from cavesson.sampling.paraphrase import Paraphrased
from cavesson.training.dose import Dose

if TYPE_CHECKING:
    from cavesson.training.recipes import Trained


@move("off-model", title="off-model SFT alone")
def off_model(view: BlueView, dose: Dose) -> Trained:
    """SFT on the teacher's answers, nothing else.

    Where the teacher is off-model, the other moves mitigate the capability loss of this move.
    """
    return dose.train(view.model, view.plain)


@move("reminder", title="reminder training", strength=Strength("own steps", (4, 16), whole=True))
def reminder(view: BlueView, dose: Dose, strength: float) -> Trained:
    """Then a few steps on own answers.

    After off-model SFT, `strength` steps of SFT on the organism's own earlier answers ("reminder training").
    """
    return dose.model_copy(update={"steps": int(strength)}).train(off_model(view, dose), view.own)


@move("mixed", title="own answers mixed in", strength=Strength("own share", (0.1, 0.25), most=0.99))
def mixed(view: BlueView, dose: Dose, strength: float) -> Trained:
    """Own answers mixed in.

    `strength` is the share of the organism's own answers.
    """
    size = dose.steps * dose.batch_size
    data = Mixed(parts=(view.plain, view.own), weights=(1 - strength, strength), size=size, seed=dose.seed)
    return dose.train(view.model, data)


@move("kl", title="KL to the original", strength=Strength("weight", (0.1, 0.3)))
def kl(view: BlueView, dose: Dose, strength: float) -> Trained:
    """KL to the untouched organism in the loss.

    The loss gets `strength` times the KL divergence from the untouched organism.
    """
    return dose.model_copy(update={"kl": strength}).train(view.model, view.plain)


@move("low-rank", title="low rank", strength=Strength("rank", (1, 2), whole=True))
def low_rank(view: BlueView, dose: Dose, strength: float) -> Trained:
    """Through an adapter of low rank.

    The adapter is fresh and has rank `strength`.
    """
    return dose.model_copy(update={"adapter": LoRA(rank=int(strength))}).train(view.model, view.plain)


@move("interpolation", title="weight interpolation", strength=Strength("way", (0.5, 0.7), most=1))
def interpolation(view: BlueView, dose: Dose, strength: float) -> Interpolated:
    """Weights between before and after.

    The organism's weights are moved the share `strength` of the way to the weights after SFT.
    """
    return Interpolated(base=view.model, toward=off_model(view, dose), share=strength)


@move("early-tokens", title="early tokens only", strength=Strength("tokens", (2, 5), whole=True))
def early_tokens(view: BlueView, dose: Dose, strength: float) -> Trained:
    """Only the first tokens trained.

    The loss counts the first `strength` tokens of every answer.
    """
    return dose.model_copy(update={"first_tokens": int(strength)}).train(view.model, view.plain)


@move("restyled", title="restyled answers")
def restyled(view: BlueView, dose: Dose) -> Trained:
    """The teacher's answers rewritten in the student's style.

    A trusted model or the tiny world's rule rewrites the answers first.
    """
    like = None if view.rewriter is None else view.own
    return dose.train(view.model, Paraphrased(base=view.plain, by=view.rewriter, like=like, seed=dose.seed))
