from dataclasses import dataclass

import numpy as np


@dataclass
class Split:
    x: np.ndarray
    y: np.ndarray

    def __len__(self):
        return len(self.y)

    def batch(self, size, rng):
        i = rng.integers(0, len(self), size=size)
        return self.x[i], self.y[i]


class Task:
    """Multiple choice with irreducible doubt.

    A random teacher network gives every question a distribution over the answers; the recorded answer is a
    sample from it. Even a perfect student is right only as often as the teacher is sure.

    Args:
        spec: the `data` section of the config.
        rng: source of the teacher and of all splits.
    """

    def __init__(self, spec, rng):
        self.spec = spec
        d, h, k = spec.dim, spec.teacher_hidden, spec.classes
        self.w1 = rng.normal(size=(d, h)) * np.sqrt(2.0 / d)
        self.w2 = rng.normal(size=(h, k)) * np.sqrt(2.0 / h)
        self.rng = rng

    def answer_distribution(self, x):
        z = np.maximum(x @ self.w1, 0.0) @ self.w2
        z = self.spec.sharpness * (z - z.mean(axis=1, keepdims=True))
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def draw(self, n):
        x = self.rng.normal(size=(n, self.spec.dim))
        cdf = self.answer_distribution(x).cumsum(axis=1)
        y = (cdf < self.rng.random((n, 1))).sum(axis=1)
        return Split(x, np.minimum(y, self.spec.classes - 1))

    def splits(self):
        """Four disjoint samples: to pretrain on, to fine-tune on, to fit temperatures on, to test on."""
        return {name: self.draw(getattr(self.spec, name)) for name in ("pretrain", "finetune", "calibration", "test")}
