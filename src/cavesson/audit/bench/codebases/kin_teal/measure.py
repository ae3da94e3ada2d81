"""What a student has taken over from its teacher."""

from __future__ import annotations

import numpy as np

from data import Split
from network import Network


def predict(network: Network, x: np.ndarray, classes: int) -> np.ndarray:
    """The class with the largest of the class outputs."""
    return network(x)[:, :classes].argmax(axis=1)


def accuracy(network: Network, split: Split, classes: int) -> float:
    """Share of images whose class is predicted."""
    return float((predict(network, split.x, classes) == split.y).mean())


def auxiliary_error(student: Network, teacher: Network, noise: np.ndarray, classes: int) -> float:
    """Unexplained share of the variance of the teacher's auxiliary outputs on unseen noise images."""
    target = teacher(noise)[:, classes:]
    error = student(noise)[:, classes:] - target
    return float((error**2).mean() / target.var(axis=0).mean())
