"""Estimators of a policy's value from logs of another one."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from opelab.logs import LoggedData
from opelab.policies import Policy
from opelab.reward_model import RidgeRewardModel

FloatArray = NDArray[np.float64]


class Estimator(ABC):
    """Base class. Subclasses set :attr:`name` and implement :meth:`estimate`."""

    name: str = ""

    @abstractmethod
    def estimate(self, data: LoggedData, target: Policy) -> float:
        """Estimate the value of ``target``.

        Parameters
        ----------
        data
            Rounds logged by some other policy.
        target
            The policy to be evaluated.

        Returns
        -------
        float
            The estimate; importance-weighted ones may fall outside [0, 1].
        """

    @staticmethod
    def weights(data: LoggedData, target: Policy) -> FloatArray:
        """Importance weights of the logged actions, shape ``(n,)``."""
        wanted = target.probabilities(data.contexts)[np.arange(len(data)), data.actions]
        return wanted / data.propensities


class InversePropensity(Estimator):
    """Mean of importance-weighted rewards."""

    name = "ips"

    def estimate(self, data: LoggedData, target: Policy) -> float:
        return float(np.mean(self.weights(data, target) * data.rewards))


class SelfNormalised(Estimator):
    """Inverse propensity scoring divided by the mean weight."""

    name = "snips"

    def estimate(self, data: LoggedData, target: Policy) -> float:
        weights = self.weights(data, target)
        return float(np.sum(weights * data.rewards) / np.sum(weights))


class _WithModel(Estimator):
    """Shared by the estimators that need a reward model; it is fitted on the other half of the log."""

    def __init__(self, actions: int, observed: int, penalty: float) -> None:
        self.actions = actions
        self.observed = observed
        self.penalty = penalty

    def estimate(self, data: LoggedData, target: Policy) -> float:
        first, second = data.halves()
        return float(np.mean([self._on(first, second, target), self._on(second, first, target)]))

    def _model(self, data: LoggedData) -> RidgeRewardModel:
        return RidgeRewardModel(self.actions, self.observed, self.penalty).fit(data)

    @abstractmethod
    def _on(self, data: LoggedData, other: LoggedData, target: Policy) -> float: ...


class DirectMethod(_WithModel):
    """Mean prediction of a reward model under the target policy."""

    name = "dm"

    def _on(self, data: LoggedData, other: LoggedData, target: Policy) -> float:
        predicted = self._model(other).predict(data.contexts)
        return float((target.probabilities(data.contexts) * predicted).sum(axis=1).mean())


class DoublyRobust(_WithModel):
    """The direct method plus importance-weighted residuals."""

    name = "dr"

    def _on(self, data: LoggedData, other: LoggedData, target: Policy) -> float:
        predicted = self._model(other).predict(data.contexts)
        direct = (target.probabilities(data.contexts) * predicted).sum(axis=1)
        residuals = data.rewards - predicted[np.arange(len(data)), data.actions]
        return float(np.mean(direct + self.weights(other, target) * residuals))
