"""Training the teacher on the classes, and students on the teacher's auxiliary outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data import Split
from network import Adam, Network

Loss = Callable[[np.ndarray, np.ndarray], np.ndarray]


def fit(network: Network, x: np.ndarray, target: np.ndarray, gradient: Loss, settings: dict, rng: np.random.Generator) -> None:
    """Minimise a loss with Adam; `gradient(output, target)` is the loss's gradient with respect to the output."""
    optimiser = Adam(network.parameters, settings["learning_rate"])
    batches = max(1, len(x) // settings["batch"])
    for _ in range(settings["epochs"]):
        for rows in np.array_split(rng.permutation(len(x)), batches):
            states = network.forward(x[rows])
            optimiser.step(network.gradients(states, gradient(states[-1], target[rows])))


def class_gradient(classes: int) -> Loss:
    """Cross-entropy on the first `classes` outputs; the auxiliary outputs get no gradient."""

    def gradient(output: np.ndarray, labels: np.ndarray) -> np.ndarray:
        logits = output[:, :classes]
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(labels)), labels] -= 1
        return np.hstack([p / len(labels), np.zeros((len(output), output.shape[1] - classes))])

    return gradient


def auxiliary_gradient(classes: int) -> Loss:
    """Mean squared error on the auxiliary outputs; the class outputs get no gradient."""

    def gradient(output: np.ndarray, target: np.ndarray) -> np.ndarray:
        error = output[:, classes:] - target
        return np.hstack([np.zeros((len(output), classes)), 2 * error / error.size])

    return gradient


def train_teacher(start: Network, train: Split, classes: int, settings: dict, rng: np.random.Generator) -> Network:
    """A copy of `start`, trained to classify."""
    teacher = start.clone()
    fit(teacher, train.x, train.y, class_gradient(classes), settings, rng)
    return teacher


def train_student(
    start: Network, teacher: Network, noise: np.ndarray, classes: int, settings: dict, rng: np.random.Generator
) -> Network:
    """A copy of `start`, trained to give the teacher's auxiliary outputs on noise images."""
    student = start.clone()
    fit(student, noise, teacher(noise)[:, classes:], auxiliary_gradient(classes), settings, rng)
    return student
