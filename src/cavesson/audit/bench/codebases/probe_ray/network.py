"""The network whose activations are probed: an MLP with a truth head and a tone head."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from claims import World


@dataclass
class Network:
    """ReLU MLP; the last row of ``weights`` maps to two outputs (truth logit, tone)."""

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    losses: list[float] = field(default_factory=list)

    @classmethod
    def create(cls, sizes: list[int], rng: np.random.Generator) -> "Network":
        weights = [rng.normal(scale=np.sqrt(2.0 / a), size=(a, b)) for a, b in zip(sizes, sizes[1:])]
        biases = [np.zeros(b) for b in sizes[1:]]
        return cls(weights, biases)

    def layers(self, x: np.ndarray) -> list[np.ndarray]:
        """Activations of every layer; index 0 is the input, the last entry holds the outputs."""
        out = [x]
        for i, (w, b) in enumerate(zip(self.weights, self.biases)):
            h = out[-1] @ w + b
            out.append(h if i == len(self.weights) - 1 else np.maximum(h, 0.0))
        return out


class Adam:
    def __init__(self, params: list[np.ndarray], lr: float, b1: float = 0.9, b2: float = 0.999) -> None:
        self.params, self.lr, self.b1, self.b2, self.t = params, lr, b1, b2, 0
        self.m = [np.zeros_like(p) for p in params]
        self.v = [np.zeros_like(p) for p in params]

    def step(self, grads: list[np.ndarray]) -> None:
        self.t += 1
        scale = self.lr * np.sqrt(1 - self.b2**self.t) / (1 - self.b1**self.t)
        for p, g, m, v in zip(self.params, grads, self.m, self.v):
            m += (1 - self.b1) * (g - m)
            v += (1 - self.b2) * (g * g - v)
            p -= scale * m / (np.sqrt(v) + 1e-8)


def train_network(world: World, cfg: dict, seed: int) -> Network:
    """Train on claims in which tone and truth are independent, so neither is a shortcut to the other."""
    rng = np.random.default_rng(seed)
    x0 = world.encode(world.sample(1, rng))
    net = Network.create([x0.shape[1], *cfg["hidden"], 2], rng)
    optimiser = Adam(net.weights + net.biases, lr=cfg["learning_rate"])
    for _ in range(cfg["steps"]):
        batch = world.sample(cfg["batch_size"], rng)
        acts = net.layers(world.encode(batch))
        truth_p = 1.0 / (1.0 + np.exp(-acts[-1][:, 0]))
        tone_err = acts[-1][:, 1] - batch.tone
        # d loss / d outputs of: cross-entropy(truth) + tone_weight * mean squared error(tone) / 2
        delta = np.stack([truth_p - batch.truth, cfg["tone_weight"] * tone_err], axis=1) / len(batch)
        net.losses.append(float(np.mean((truth_p > 0.5) != batch.truth)))
        grads_w, grads_b = [], []
        for i in reversed(range(len(net.weights))):
            grads_w.insert(0, acts[i].T @ delta)
            grads_b.insert(0, delta.sum(axis=0))
            if i:
                delta = (delta @ net.weights[i].T) * (acts[i] > 0)
        optimiser.step(grads_w + grads_b)
    return net
