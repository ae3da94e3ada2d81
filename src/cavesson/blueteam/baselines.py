"""Trivial baselines: damage that knows nothing of any behaviour. A move that removes no more has not found the behaviour.

The lab plays the baselines outside the game, because the baselines train nothing.
"""

from __future__ import annotations

from cavesson.blueteam.move import Strength, move
from cavesson.blueteam.view import BlueView
from cavesson.models.recipes import Noised, Pruned
from cavesson.training.dose import Dose


@move("noise", title="weight noise", strength=Strength("sigma", (0.003, 0.006, 0.012, 0.025)))
def noise(view: BlueView, dose: Dose, strength: float) -> Noised:
    """Normal noise of standard deviation `strength` on every weight (Tice et al. 2024)."""
    return Noised(base=view.model, sigma=strength)


@move("pruning", title="pruning", strength=Strength("share", (0.1, 0.25, 0.4, 0.6), most=0.99))
def pruning(view: BlueView, dose: Dose, strength: float) -> Pruned:
    """The smallest `strength` (a share) of the weights of every matrix set to zero."""
    return Pruned(base=view.model, share=strength)
