"""Regression of rewards on contexts, one ridge regression per action."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from opelab.errors import NotFittedError
from opelab.logs import LoggedData

FloatArray = NDArray[np.float64]


class RidgeRewardModel:
    """Linear model of the expected reward of every action.

    Parameters
    ----------
    actions
        Number of actions.
    observed
        How many of the context features the model is given, counted from the first.
    penalty
        Ridge penalty; the intercept is penalised as well, towards the mean reward of the log.
    """

    def __init__(self, actions: int, observed: int, penalty: float = 1.0) -> None:
        self.actions = actions
        self.observed = observed
        self.penalty = penalty
        self._coefficients: FloatArray | None = None
        self._offset = 0.0

    def fit(self, data: LoggedData) -> RidgeRewardModel:
        """Fit on logged rounds and return the model."""
        features = self._features(data.contexts)
        self._offset = float(data.rewards.mean())
        coefficients = np.zeros((features.shape[1], self.actions))
        for action in range(self.actions):
            chosen = data.actions == action
            design, target = features[chosen], data.rewards[chosen] - self._offset
            gram = design.T @ design + self.penalty * np.eye(design.shape[1])
            coefficients[:, action] = np.linalg.solve(gram, design.T @ target)
        self._coefficients = coefficients
        return self

    def predict(self, contexts: FloatArray) -> FloatArray:
        """Predicted rewards of every action, shape ``(n, actions)``, clipped to [0, 1].

        Raises
        ------
        NotFittedError
            If :meth:`fit` has not been called.
        """
        if self._coefficients is None:
            raise NotFittedError("call fit before predict")
        return np.clip(self._offset + self._features(contexts) @ self._coefficients, 0.0, 1.0)

    def _features(self, contexts: FloatArray) -> FloatArray:
        return np.column_stack([np.ones(len(contexts)), contexts[:, : self.observed]])
