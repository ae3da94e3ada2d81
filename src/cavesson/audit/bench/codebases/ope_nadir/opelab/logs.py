"""Logged bandit feedback."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opelab.environment import Environment
from opelab.errors import ShapeError
from opelab.policies import Policy, sample

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class LoggedData:
    """What a deployed policy left behind.

    Parameters
    ----------
    contexts
        Shape ``(n, dimension)``.
    actions, rewards, propensities
        Shape ``(n,)``; a propensity is the probability with which the logged action was chosen.
    """

    contexts: FloatArray
    actions: IntArray
    rewards: FloatArray
    propensities: FloatArray

    def __post_init__(self) -> None:
        lengths = {len(self.contexts), len(self.actions), len(self.rewards), len(self.propensities)}
        if len(lengths) != 1:
            raise ShapeError(f"logged arrays have different lengths: {sorted(lengths)}")
        if np.any(self.propensities <= 0):
            raise ShapeError("propensities must be positive")

    def __len__(self) -> int:
        return len(self.actions)

    @classmethod
    def collect(cls, environment: Environment, policy: Policy, n: int, rng: np.random.Generator) -> LoggedData:
        """Deploy ``policy`` for ``n`` rounds."""
        contexts = environment.contexts(n, rng)
        probabilities = policy.probabilities(contexts)
        actions = sample(probabilities, rng)
        propensities = probabilities[np.arange(n), actions]
        rewards = environment.rewards(contexts, actions, rng)
        return cls(contexts, actions, rewards, propensities)

    def halves(self) -> tuple[LoggedData, LoggedData]:
        """The first and the second half of the rounds."""
        middle = len(self) // 2
        return self._rows(slice(None, middle)), self._rows(slice(middle, None))

    def _rows(self, rows: slice) -> LoggedData:
        return LoggedData(self.contexts[rows], self.actions[rows], self.rewards[rows], self.propensities[rows])
