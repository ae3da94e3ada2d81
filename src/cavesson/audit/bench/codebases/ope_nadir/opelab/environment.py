"""Synthetic contextual bandits with a known reward function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opelab.errors import ShapeError
from opelab.policies import Policy

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class EnvironmentConfig:
    """Parameters of an :class:`Environment`.

    Parameters
    ----------
    dimension
        Number of context features.
    actions
        Number of actions.
    curvature
        Weight of the quadratic part of the reward's log-odds. Zero makes it linear.
    offset
        Log-odds of a reward where everything else is zero.
    """

    dimension: int = 5
    actions: int = 6
    curvature: float = 0.5
    offset: float = -0.5


class Environment:
    """Contexts are standard normal; rewards are Bernoulli.

    The log-odds of a reward are ``x @ a_k + curvature * ((x @ b_k) ** 2 - 1) + offset`` for action ``k``.

    Parameters
    ----------
    config
        See :class:`EnvironmentConfig`.
    rng
        Generator for the coefficients ``a`` and ``b``.
    """

    def __init__(self, config: EnvironmentConfig, rng: np.random.Generator) -> None:
        self.config = config
        shape = (config.dimension, config.actions)
        self.linear: FloatArray = rng.normal(size=shape)
        self.bent: FloatArray = rng.normal(size=shape) / np.sqrt(config.dimension)

    def contexts(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw ``n`` contexts, shape ``(n, dimension)``."""
        return rng.normal(size=(n, self.config.dimension))

    def expected_rewards(self, contexts: FloatArray) -> FloatArray:
        """Expected reward of every action, shape ``(n, actions)``.

        Raises
        ------
        ShapeError
            If the contexts do not have ``dimension`` columns.
        """
        if contexts.ndim != 2 or contexts.shape[1] != self.config.dimension:
            raise ShapeError(f"expected (n, {self.config.dimension}) contexts, got {contexts.shape}")
        bent = self.config.curvature * ((contexts @ self.bent) ** 2 - 1.0)
        odds = contexts @ self.linear + bent + self.config.offset
        return 1.0 / (1.0 + np.exp(-odds))

    def rewards(self, contexts: FloatArray, actions: IntArray, rng: np.random.Generator) -> FloatArray:
        """Draw the reward of one action per context, shape ``(n,)``."""
        chance = self.expected_rewards(contexts)[np.arange(len(actions)), actions]
        return (rng.random(len(actions)) < chance).astype(np.float64)

    def value(self, policy: Policy, rng: np.random.Generator, n: int = 100_000) -> float:
        """Value of a policy by Monte Carlo over contexts, exact over actions and rewards."""
        contexts = self.contexts(n, rng)
        return float((policy.probabilities(contexts) * self.expected_rewards(contexts)).sum(axis=1).mean())
