"""Stochastic policies."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Policy(Protocol):
    """Anything that gives every action a probability."""

    def probabilities(self, contexts: FloatArray) -> FloatArray:
        """Return an array of shape ``(n, actions)`` whose rows sum to one."""
        ...


class SoftmaxPolicy:
    """Softmax of linear scores.

    Parameters
    ----------
    weights
        Shape ``(dimension, actions)``.
    temperature
        Scores are divided by it. Small values give nearly deterministic policies.
    """

    def __init__(self, weights: FloatArray, temperature: float) -> None:
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        self.weights = weights
        self.temperature = temperature

    def probabilities(self, contexts: FloatArray) -> FloatArray:
        scores = contexts @ self.weights / self.temperature
        scores = scores - scores.max(axis=1, keepdims=True)
        exponentials = np.exp(scores)
        return exponentials / exponentials.sum(axis=1, keepdims=True)


class EpsilonMixture:
    """Another policy, replaced by the uniform one with probability ``epsilon``."""

    def __init__(self, base: Policy, epsilon: float) -> None:
        if not 0 <= epsilon <= 1:
            raise ValueError(f"epsilon must lie in [0, 1], got {epsilon}")
        self.base = base
        self.epsilon = epsilon

    def probabilities(self, contexts: FloatArray) -> FloatArray:
        base = self.base.probabilities(contexts)
        return (1 - self.epsilon) * base + self.epsilon / base.shape[1]


def sample(probabilities: FloatArray, rng: np.random.Generator) -> IntArray:
    """Draw one action per row by inverting the cumulative distribution."""
    cumulative = probabilities.cumsum(axis=1)
    cumulative[:, -1] = 1.0  # guards against rounding
    return (rng.random((len(probabilities), 1)) > cumulative).sum(axis=1)
