"""A network that answers questions in one forward pass."""

from __future__ import annotations

import numpy as np


class Answerer:
    """Embeddings of the three symbols of a question are added up, then two ReLU layers and a softmax over entities."""

    def __init__(self, entities: int, relations: int, width: int, embedding_scale: float, rng: np.random.Generator):
        self.entities, self.relations = entities, relations
        self.symbols = entities + 2 * (relations + 1)
        draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
        self.parameters = {
            "embed": draw(self.symbols, width) * np.float32(embedding_scale),
            "b1": np.zeros(width, np.float32),
            "w2": draw(width, width) * np.float32(np.sqrt(2 / width)),
            "b2": np.zeros(width, np.float32),
            "w3": draw(width, entities) * np.float32(np.sqrt(1 / width)),
        }

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """Three-hot input vectors."""
        x = np.zeros((len(rows), self.symbols), np.float32)
        i = np.arange(len(rows))
        x[i, rows[:, 0]] = 1
        x[i, self.entities + rows[:, 1]] = 1
        x[i, self.entities + self.relations + 1 + rows[:, 2]] = 1
        return x

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        p = self.parameters
        h1 = np.maximum(x @ p["embed"] + p["b1"], 0)
        h2 = np.maximum(h1 @ p["w2"] + p["b2"], 0)
        return h1, h2, h2 @ p["w3"]

    def gradients(self, x: np.ndarray, answers: np.ndarray) -> dict[str, np.ndarray]:
        """Gradients of the mean cross-entropy."""
        p = self.parameters
        h1, h2, logits = self.forward(x)
        delta = np.exp(logits - logits.max(axis=1, keepdims=True))
        delta /= delta.sum(axis=1, keepdims=True)
        delta[np.arange(len(answers)), answers] -= 1
        delta /= len(answers)
        d2 = (delta @ p["w3"].T) * (h2 > 0)
        d1 = (d2 @ p["w2"].T) * (h1 > 0)
        return {"embed": x.T @ d1, "b1": d1.sum(axis=0), "w2": h1.T @ d2, "b2": d2.sum(axis=0), "w3": h2.T @ delta}

    def answer(self, rows: np.ndarray) -> np.ndarray:
        """The most probable entity for each question."""
        return self.forward(self.encode(rows))[-1].argmax(axis=1)
