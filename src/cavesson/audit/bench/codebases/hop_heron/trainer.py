"""Full-batch AdamW."""

from __future__ import annotations

import numpy as np

from model import Answerer
from world import Questions


class Trainer:
    """Fits an `Answerer` to a set of questions."""

    def __init__(self, model: Answerer, learning_rate: float, weight_decay: float, betas: tuple[float, float], steps: int):
        self.model = model
        self.learning_rate, self.weight_decay, self.steps = learning_rate, weight_decay, steps
        self.beta1, self.beta2 = betas
        self.m = {name: np.zeros_like(w) for name, w in model.parameters.items()}
        self.v = {name: np.zeros_like(w) for name, w in model.parameters.items()}

    def fit(self, questions: Questions) -> None:
        """All steps, every question in every step."""
        x = self.model.encode(questions.rows)
        for t in range(1, self.steps + 1):
            self.update(self.model.gradients(x, questions.answers), t)

    def update(self, gradients: dict[str, np.ndarray], t: int) -> None:
        for name, g in gradients.items():
            w, m, v = self.model.parameters[name], self.m[name], self.v[name]
            m += (1 - self.beta1) * (g - m)
            v += (1 - self.beta2) * (g * g - v)
            w *= 1 - self.learning_rate * self.weight_decay
            w -= self.learning_rate * (m / (1 - self.beta1**t)) / (np.sqrt(v / (1 - self.beta2**t)) + 1e-8)
