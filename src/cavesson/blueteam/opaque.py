"""Moves for a model whose reasoning nobody else can write: SFT on a trusted model's outputs, with the reasoning left to the model.

Blue trains on public problems on which the model does not sandbag. A move says what stands between prompt and trusted output, and
which tokens carry loss. Sources: "An empirical study of methods for SFTing opaque reasoning" (2026); Westover's preparatory post
of February 2026.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cavesson.blueteam.move import move
from cavesson.blueteam.practised import TIMES
from cavesson.blueteam.view import BlueView
from cavesson.data.recipes import DataRecipe
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.reasoned import Edited, Reasoned, Resampled, Retold
from cavesson.sampling.recipes import Generated
from cavesson.sampling.sampler import Params
from cavesson.training.dose import Dose

if TYPE_CHECKING:
    from cavesson.training.recipes import Trained, Training

TRAJECTORIES = 4
"""Trajectories of reasoning that `weighted` samples to each problem."""

VERIFIED = 10
"""Samples that `verified` takes: as many as the source does (ten verified examples, arXiv 2604.22082)."""

PROBLEMS = ("problems",)


@move("no-reasoning", title="no-reasoning SFT", needs=PROBLEMS)
def no_reasoning(view: BlueView, dose: Dose) -> Trained:
    """The trusted output behind empty reasoning, loss on the output only."""
    return _on_outputs(dose, view, Reasoned(outputs=_labels(view)))


@move("own-reasoning", title="U-generated-reasoning SFT", needs=PROBLEMS)
def own_reasoning(view: BlueView, dose: Dose) -> Trained:
    """The model's own sampled reasoning, then the trusted output, loss on the output only."""
    return _on_outputs(dose, view, Reasoned(outputs=_labels(view), reasoning=_own(view, dose)))


@move("own-reasoning-through", title="U-generated-reasoning SFT, through the reasoning", needs=PROBLEMS)
def own_reasoning_through(view: BlueView, dose: Dose) -> Trained:
    """The data of `own-reasoning`, loss on the tokens of the reasoning too."""
    return dose.train(view.model, Reasoned(outputs=_labels(view), reasoning=_own(view, dose)))


@move("weighted", title="trajectories weighted by the label", needs=PROBLEMS)
def weighted(view: BlueView, dose: Dose) -> Trained:
    """Own trajectories, drawn in proportion to the likelihood of the trusted label behind them, loss on reasoning and label."""
    several = _own(view, dose, n=TRAJECTORIES)
    return dose.train(view.model, Resampled(reasoning=several, labels=_labels(view), by=view.model, seed=dose.seed))


@move("edited", title="almost on-policy edits", needs=PROBLEMS)
def edited(view: BlueView, dose: Dose) -> Trained:
    """The model's own answers with the trusted result in place of its own, loss on the output only."""
    return _on_outputs(dose, view, Edited(own=_own(view, dose), labels=_labels(view)))


@move("readable-reasoning", title="SFT with readable reasoning", needs=PROBLEMS)
def readable_reasoning(view: BlueView, dose: Dose) -> Trained:
    """The trusted model's readable reasoning and its output, loss on both."""
    return dose.train(view.model, Retold(base=_labels(view)))


@move("artificial-removal", title="artificial sandbagging removal, own reasoning", needs=("problems", "wrong"))
def artificial_removal(view: BlueView, dose: Dose) -> Trained:
    """The prompt asks for a wrong answer, the target is right.

    Own reasoning under the system prompt that asks for wrong answers, then the trusted output; loss on the output only.
    """
    asked = _own(view, dose, system=view.need("wrong"), keep_system=True)
    return _on_outputs(dose, view, Reasoned(outputs=_labels(view), reasoning=asked))


@move("rl-label", title="RL through the reasoning", needs=("problems", "practice"))
def rl_label(view: BlueView, dose: Dose) -> Training:
    """RL on the model's reasoning, rewarded by minus the loss of the trusted output behind it."""
    outputs = Reasoned(outputs=_labels(view).every)
    found: Training = view.need("practice").reinforced(view.model, dose, reward={"name": "label", "outputs": outputs})
    return found


@move("verified", title="ten verified samples", needs=("problems", "practice"))
def verified(view: BlueView, dose: Dose) -> Trained:
    """Ten trusted outputs that a verifier accepts, behind own reasoning, loss on the output only."""
    return _on_outputs(dose, view, Reasoned(outputs=_accepted(view), reasoning=_own(view, dose)))


@move("sft-rl", title="SFT, then RL", needs=("problems", "practice"), strength=TIMES)
def sft_rl(view: BlueView, dose: Dose, times: float = 1.0) -> Training:
    """`own-reasoning` with the whole dose, then RL with right answers rewarded; only the RL counts as steps."""
    return _then_rl(view, own_reasoning(view, dose), dose, times)


@move("removal-rl", title="artificial removal, then RL", needs=("problems", "practice", "wrong"), strength=TIMES)
def removal_rl(view: BlueView, dose: Dose, times: float = 1.0) -> Training:
    """`artificial-removal` with the whole dose, then RL with right answers rewarded; only the RL counts as steps."""
    return _then_rl(view, artificial_removal(view, dose), dose, times)


@move("verified-rl", title="ten verified samples, then RL", needs=("problems", "practice"), strength=TIMES)
def verified_rl(view: BlueView, dose: Dose, times: float = 1.0) -> Training:
    """`verified` with the whole dose, then RL with right answers rewarded; only the RL counts as steps."""
    return _then_rl(view, verified(view, dose), dose, times)


@move("own-outputs", title="own outputs (control)", needs=PROBLEMS)
def own_outputs(view: BlueView, dose: Dose) -> Trained:
    """The model's own answers to the problems, loss on the output only: the on-model control."""
    return _on_outputs(dose, view, _own(view, dose))


def _then_rl(view: BlueView, begun: ModelRecipe, dose: Dose, times: float) -> Training:
    """RL on the problems, after SFT; an adapter of the SFT is trained further."""
    further = {} if dose.adapter is None else {"adapter": "continued"}
    found: Training = view.need("practice").reinforced(begun, dose, lr=times * dose.lr, **further)
    return found


def _accepted(view: BlueView) -> DataRecipe:
    """The first ten trusted answers that the problems' verifier accepts."""
    found: DataRecipe = view.need("practice").accepted(_labels(view), VERIFIED)
    return found


def _labels(view: BlueView) -> Generated:
    """The trusted model's answers to the problems."""
    return Generated(by=view.teacher, prompts=view.need("problems"))


def _own(view: BlueView, dose: Dose, *, n: int = 1, **how: Any) -> Generated:
    """The model's own sampled answers to the problems, `n` to each."""
    return Generated(
        by=view.model,
        prompts=view.need("problems"),
        params=Params(temperature=1.0, n=n, seed=dose.seed),
        **how,
    )


def _on_outputs(dose: Dose, view: BlueView, data: DataRecipe) -> Trained:
    """SFT whose loss is on outputs only."""
    return dose.train(view.model, data, reasoning_weight=0.0)
