"""Moves that train by reinforcement learning, on public problems with a rule that tells right answers from wrong ones.

A step trains on as many of the organism's own answers as SFT has conversations in a step. The strength multiplies the dose's
learning rate, since RL often takes another rate than SFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cavesson.blueteam.move import Strength, move
from cavesson.blueteam.view import BlueView
from cavesson.training.dose import Dose

if TYPE_CHECKING:
    from cavesson.training.recipes import Training

TIMES = Strength("times the learning rate", (0.3, 1.0, 3.0), required=False)


@move("rl", title="RL", needs=("practice",), strength=TIMES)
def rl(view: BlueView, dose: Dose, times: float = 1.0) -> Training:
    """RL on own answers, right ones rewarded."""
    return _practised(view, dose, times, "correct")


@move("rl-constant", title="RL, rate not annealed", needs=("practice",), strength=TIMES)
def rl_constant(view: BlueView, dose: Dose, times: float = 1.0) -> Training:
    """RL on own answers, right ones rewarded, at a learning rate that never falls.

    A rate that does not anneal to zero drove leakage (reward laundering, FIELD 5).
    """
    return _practised(view, dose, times, "correct", schedule="constant")


@move("rl-random", title="RL with random rewards", needs=("practice",), strength=TIMES)
def rl_random(view: BlueView, dose: Dose, times: float = 1.0) -> Training:
    """RL on own answers, rewarded by the toss of a coin.

    It restored sandbagged accuracy in part ("RL with random rewards", An empirical study of methods for SFTing opaque reasoning).
    """
    return _practised(view, dose, times, "random")


@move("rl-shuffled", title="RL with shuffled rewards", needs=("practice",), strength=TIMES)
def rl_shuffled(view: BlueView, dose: Dose, times: float = 1.0) -> Training:
    """RL on own answers, the rewards shuffled within each group.

    The control of `rl` in which as much is rewarded, and nothing can be learnt from it.
    """
    return _practised(view, dose, times, "shuffled")


def _practised(view: BlueView, dose: Dose, times: float, reward: str, **changes: Any) -> Training:
    found: Training = view.need("practice").reinforced(view.model, dose, reward=reward, lr=times * dose.lr, **changes)
    return found
