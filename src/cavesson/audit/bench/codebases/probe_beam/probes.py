"""Linear probes on activations, and the statistic by which they are compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Standardiser:
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, acts: np.ndarray) -> "Standardiser":
        return cls(acts.mean(axis=0), acts.std(axis=0) + 1e-6)

    def __call__(self, acts: np.ndarray) -> np.ndarray:
        return (acts - self.mean) / self.scale


@dataclass(frozen=True)
class LinearProbe:
    """score = (standardised activations) . direction + offset; larger means "true"."""

    name: str
    direction: np.ndarray
    offset: float
    standardise: Standardiser

    def score(self, acts: np.ndarray) -> np.ndarray:
        return self.standardise(acts) @ self.direction + self.offset


def mean_difference(acts: np.ndarray, labels: np.ndarray) -> LinearProbe:
    """Difference of the class means; the offset puts the threshold half-way between them."""
    standardise = Standardiser.fit(acts)
    z = standardise(acts)
    mu1, mu0 = z[labels == 1].mean(axis=0), z[labels == 0].mean(axis=0)
    direction = mu1 - mu0
    return LinearProbe("mean_difference", direction, float(-direction @ (mu1 + mu0) / 2), standardise)


def logistic(acts: np.ndarray, labels: np.ndarray, steps: int, learning_rate: float, l2: float) -> LinearProbe:
    """L2-regularised logistic regression by full-batch gradient descent from zero."""
    standardise = Standardiser.fit(acts)
    z = standardise(acts)
    w, b = np.zeros(z.shape[1]), 0.0
    for _ in range(steps):
        residual = 1.0 / (1.0 + np.exp(-(z @ w + b))) - labels
        w -= learning_rate * (z.T @ residual / len(labels) + l2 * w)
        b -= learning_rate * residual.mean()
    return LinearProbe("logistic", w, b, standardise)


def auroc(scores: np.ndarray, labels: np.ndarray) -> float:
    """P(score of a true claim > score of a false one), from ranks."""
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    n1 = int(labels.sum())
    n0 = len(labels) - n1
    u = ranks[labels == 1].sum() - n1 * (n1 + 1) / 2
    return float(u / (n1 * n0))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
