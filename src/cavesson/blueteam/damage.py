"""Trivial baselines: damage that knows nothing of any behaviour. What removes no more than these has not found anything."""

from __future__ import annotations

from collections.abc import Callable

from cavesson.errors import ConfigError, nearest
from cavesson.models.recipes import ModelRecipe, Noised, Pruned

Damage = Callable[[ModelRecipe, float], ModelRecipe]
"""From a model and a strength: the damaged model."""


def noise(model: ModelRecipe, strength: float) -> ModelRecipe:
    """Gaussian noise of standard deviation `strength` on every weight (Tice et al. 2024)."""
    return Noised(base=model, sigma=strength)


def pruning(model: ModelRecipe, strength: float) -> ModelRecipe:
    """The smallest `strength` (a share) of the weights of every matrix set to zero."""
    return Pruned(base=model, share=strength)


DAMAGES: dict[str, Damage] = {"noise": noise, "pruning": pruning}


def damage(name: str) -> Damage:
    """A baseline by its registered name.

    Raises:
        ConfigError: no such baseline.
    """
    if name not in DAMAGES:
        raise ConfigError(f"There is no damage {name!r}.", nearest(name, DAMAGES))
    return DAMAGES[name]
