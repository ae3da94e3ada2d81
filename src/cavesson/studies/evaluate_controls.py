"""Controls of an intervention: as much training on something else, so that what the intervention's own content did can be told apart.

An intervention is judged beside training of equal size on the organism's own answers, beside itself under a prompt that says
nothing, and beside training on data that have nothing to do with it.
"""

from __future__ import annotations

from collections.abc import Callable

from cavesson.blueteam.move import Move, run_of
from cavesson.blueteam.sft import hhh_sft, self_sft
from cavesson.blueteam.view import BlueView
from cavesson.data.restyle import UnderSystem
from cavesson.data.sums import Sums
from cavesson.errors import ConfigError
from cavesson.evals.pair import World
from cavesson.models.recipes import Interpolated, ModelRecipe
from cavesson.rl.reinforced import Reinforced
from cavesson.sampling.recipes import Generated
from cavesson.tinyworld.recipes import Prompts
from cavesson.training.dose import Dose
from cavesson.training.recipes import Trained

BENIGN, IRRELEVANT_PROMPT, IRRELEVANT_DATA = "benign training", "irrelevant prompt", "irrelevant data"
CONTROLS = (BENIGN, IRRELEVANT_PROMPT, IRRELEVANT_DATA)
"""The controls that are trainings; beside them stand the untouched model, and the reversal probe."""

SAYS_NOTHING = "Xq zvb plo wrn, tik ubba mef."
"""A system prompt that says nothing: an irrelevant train prompt sometimes has much of the effect of a meant one."""


def controls_of(move: Move, world: World = "tiny") -> dict[str, Move]:
    """The controls of a move by name, each a move of the same dose.

    Args:
        world: of the model that is trained, whose irrelevant data it can read.
    """
    benign = hhh_sft if move.name == self_sft.name else self_sft
    return {
        BENIGN: Move(BENIGN, f"{BENIGN} of equal size", benign.function),
        IRRELEVANT_PROMPT: Move(
            IRRELEVANT_PROMPT, "the same under an irrelevant prompt", _under_nothing(move), move.needs, move.strength
        ),
        IRRELEVANT_DATA: Move(
            IRRELEVANT_DATA, "as much training on irrelevant data", irrelevant_data if world == "tiny" else sums
        ),
    }


def irrelevant_data(view: BlueView, dose: Dose) -> Trained:
    """SFT on the teacher's short answers to questions of knowledge with options, which no intervention of ours asks."""
    prompts = Prompts(family="knowledge", n=max(view.prompts.rough_size, 1), seed=dose.seed)
    return dose.train(view.model, Generated(by=view.teacher, prompts=prompts))


def sums(view: BlueView, dose: Dose) -> Trained:
    """SFT on short sums with their results, which a real chat model can read and no benchmark of ours asks."""
    return dose.train(view.model, Sums(n=max(view.prompts.rough_size, 1), seed=dose.seed))


def under(left: ModelRecipe, system: str, model: ModelRecipe) -> ModelRecipe:
    """What a move left, with every conversation that it trained on put under a system prompt.

    Args:
        model: that the move was given to train.

    Raises:
        ConfigError: a training is of another form than SFT or RL.
    """
    if left == model:
        return left
    if isinstance(left, Interpolated):
        return left.model_copy(update={"toward": under(left.toward, system, model)})
    base = under(run_of(left).base, system, model)
    if isinstance(left, Trained):
        return left.model_copy(update={"base": base, "data": UnderSystem(base=left.data, system=system)})
    if isinstance(left, Reinforced):
        return left.model_copy(
            update={"base": base, "problems": left.problems.model_copy(update={"system": system, "deployed": ()})}
        )
    raise ConfigError(f"{left.describe()} has no prompts that could be put under another.", "Use SFT or RL.")


def _under_nothing(move: Move) -> Callable[..., ModelRecipe]:
    def under_nothing(view: BlueView, dose: Dose, *strength: float) -> ModelRecipe:
        return under(move.function(view, dose, *strength), SAYS_NOTHING, view.model)

    under_nothing.__doc__ = move.function.__doc__
    return under_nothing
