"""The study: many logs, every estimator on each of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np

from opelab.environment import Environment, EnvironmentConfig
from opelab.estimators import DirectMethod, DoublyRobust, Estimator, InversePropensity, SelfNormalised
from opelab.logs import LoggedData
from opelab.policies import EpsilonMixture, Policy, SoftmaxPolicy

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyConfig:
    """Parameters of a :class:`Study`.

    Parameters
    ----------
    environment
        The bandit.
    logging_temperature, logging_epsilon
        The policy that wrote the logs: a softmax of distorted scores, mixed with the uniform policy.
    distortion
        Weight of noise against signal in the logging policy's scores.
    target_temperature
        The policy under evaluation: a softmax of the true linear coefficients.
    sizes
        Rounds per log.
    replications
        Logs per size.
    observed
        Context features that were stored for the reward model; the logging policy saw all of them.
    penalty
        Ridge penalty of the reward model.
    """

    environment: EnvironmentConfig = field(default_factory=EnvironmentConfig)
    logging_temperature: float = 1.0
    logging_epsilon: float = 0.1
    distortion: float = 0.7
    target_temperature: float = 0.4
    sizes: tuple[int, ...] = (400, 1600)
    replications: int = 180
    observed: int = 3
    penalty: float = 1.0


class Study:
    """Runs one environment.

    Parameters
    ----------
    config
        See :class:`StudyConfig`.
    seed
        Every random number derives from it.
    """

    def __init__(self, config: StudyConfig, seed: int) -> None:
        self.config = config
        streams = np.random.SeedSequence(seed).spawn(4)
        self._env_rng, self._policy_rng, self._value_rng, self._log_rng = map(np.random.default_rng, streams)
        self.environment = Environment(config.environment, self._env_rng)
        self.target: Policy = SoftmaxPolicy(self.environment.linear, config.target_temperature)
        self.behaviour: Policy = self._behaviour()
        self.estimators: tuple[Estimator, ...] = (
            DirectMethod(config.environment.actions, config.observed, config.penalty),
            InversePropensity(),
            SelfNormalised(),
            DoublyRobust(config.environment.actions, config.observed, config.penalty),
        )

    def _behaviour(self) -> Policy:
        noise = self._policy_rng.normal(size=self.environment.linear.shape)
        scores = self.environment.linear + self.config.distortion * noise
        return EpsilonMixture(SoftmaxPolicy(scores, self.config.logging_temperature), self.config.logging_epsilon)

    def run(self) -> dict:
        """Return the results as plain dictionaries.

        Returns
        -------
        dict
            ``value`` (true values), ``rmse``, ``bias`` and ``sd`` by size and estimator, and ``largest_weight``.
        """
        truth = self.environment.value(self.target, self._value_rng)
        results: dict = {
            "value": {"target": truth, "logging": self.environment.value(self.behaviour, self._value_rng)},
            "rmse": {},
            "bias": {},
            "sd": {},
            "largest_weight": {},
        }
        for size in self.config.sizes:
            errors, largest = self._errors(size, truth)
            key = str(size)
            results["rmse"][key] = {name: float(np.sqrt(np.mean(e**2))) for name, e in errors.items()}
            results["bias"][key] = {name: float(np.mean(e)) for name, e in errors.items()}
            results["sd"][key] = {name: float(np.std(e, ddof=1)) for name, e in errors.items()}
            results["largest_weight"][key] = largest
            logger.info("n = %d: %s", size, {name: round(v, 4) for name, v in results["rmse"][key].items()})
        return results

    def _errors(self, size: int, truth: float) -> tuple[dict[str, np.ndarray], float]:
        """Errors of every estimator on ``replications`` logs, and the mean of the largest weight."""
        errors: dict[str, list[float]] = {estimator.name: [] for estimator in self.estimators}
        largest: list[float] = []
        for _ in range(self.config.replications):
            data = LoggedData.collect(self.environment, self.behaviour, size, self._log_rng)
            largest.append(float(Estimator.weights(data, self.target).max()))
            for estimator in self.estimators:
                errors[estimator.name].append(estimator.estimate(data, self.target) - truth)
        return {name: np.asarray(values) for name, values in errors.items()}, float(np.mean(largest))
