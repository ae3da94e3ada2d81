"""A ReLU network with hand-written gradients, and Adam."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Layer:
    """An affine map."""

    weights: np.ndarray
    bias: np.ndarray


@dataclass
class Network:
    """Layers with ReLU between them; the last one is linear."""

    layers: list[Layer]

    @classmethod
    def create(cls, sizes: list[int], rng: np.random.Generator) -> Network:
        """A network of the given widths: He-normal weights, zero biases."""
        return cls([Layer(rng.normal(size=(a, b)) * np.sqrt(2 / a), np.zeros(b)) for a, b in zip(sizes, sizes[1:])])

    def redraw(self, rng: np.random.Generator) -> None:
        """Give all parameters a new random initialisation."""
        sizes = [len(self.layers[0].weights), *(len(layer.bias) for layer in self.layers)]
        for mine, new in zip(self.parameters, Network.create(sizes, rng).parameters):
            mine = new.copy()

    def clone(self) -> Network:
        """A copy that shares nothing with this network."""
        return copy.deepcopy(self)

    def forward(self, x: np.ndarray) -> list[np.ndarray]:
        """The input, each hidden activation, and the output."""
        states = [x]
        for i, layer in enumerate(self.layers):
            x = x @ layer.weights + layer.bias
            if i + 1 < len(self.layers):
                x = np.maximum(x, 0.0)
            states.append(x)
        return states

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.forward(x)[-1]

    def gradients(self, states: list[np.ndarray], error: np.ndarray) -> list[np.ndarray]:
        """Gradients in the order of `parameters`, given the loss's gradient with respect to the output."""
        grads: list[np.ndarray] = []
        for i in reversed(range(len(self.layers))):
            grads = [states[i].T @ error, error.sum(axis=0), *grads]
            if i:
                error = (error @ self.layers[i].weights.T) * (states[i] > 0)
        return grads

    @property
    def parameters(self) -> list[np.ndarray]:
        """All arrays of the network, to be changed in place."""
        return [array for layer in self.layers for array in (layer.weights, layer.bias)]


@dataclass
class Adam:
    """Adam with the usual moments."""

    parameters: list[np.ndarray]
    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-7
    steps: int = 0
    first: list[np.ndarray] = field(default_factory=list)
    second: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.first = [np.zeros_like(p) for p in self.parameters]
        self.second = [np.zeros_like(p) for p in self.parameters]

    def step(self, grads: list[np.ndarray]) -> None:
        """One update, in place."""
        self.steps += 1
        rate = self.learning_rate * np.sqrt(1 - self.beta2**self.steps) / (1 - self.beta1**self.steps)
        for p, g, m, v in zip(self.parameters, grads, self.first, self.second):
            m += (1 - self.beta1) * (g - m)
            v += (1 - self.beta2) * (g * g - v)
            p -= rate * m / (np.sqrt(v) + self.eps)
