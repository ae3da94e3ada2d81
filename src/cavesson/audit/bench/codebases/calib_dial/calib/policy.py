import copy

import numpy as np


def log_softmax(z):
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


class Policy:
    """An MLP with two hidden layers whose softmax is read as a policy over answers."""

    def __init__(self, dim, hidden, classes, rng):
        sizes = [dim, hidden, hidden, classes]
        self.weights = [rng.normal(size=(a, b)) * np.sqrt(2.0 / a) for a, b in zip(sizes[:-1], sizes[1:])]
        self.biases = [np.zeros(b) for b in sizes[1:]]

    def clone(self):
        return copy.deepcopy(self)

    def parameters(self):
        return self.weights + self.biases

    def trace(self, x):
        """Inputs of every layer, and the logits last."""
        hs = [x]
        for w, b in zip(self.weights[:-1], self.biases[:-1]):
            hs.append(np.maximum(hs[-1] @ w + b, 0.0))
        hs.append(hs[-1] @ self.weights[-1] + self.biases[-1])
        return hs

    def logits(self, x):
        return self.trace(x)[-1]

    def backward(self, hs, dlogits):
        gw, gb = [], []
        d = dlogits
        for layer in range(len(self.weights) - 1, -1, -1):
            gw.append(hs[layer].T @ d)
            gb.append(d.sum(axis=0))
            if layer > 0:
                d = (d @ self.weights[layer].T) * (hs[layer] > 0)
        return gw[::-1] + gb[::-1]


class Adam:
    def __init__(self, parameters, learning_rate):
        self.parameters, self.learning_rate = parameters, learning_rate
        self.first = [np.zeros_like(p) for p in parameters]
        self.second = [np.zeros_like(p) for p in parameters]
        self.count = 0

    def update(self, gradients):
        self.count += 1
        for p, g, m, v in zip(self.parameters, gradients, self.first, self.second):
            m *= 0.9
            m += 0.1 * g
            v *= 0.999
            v += 0.001 * g**2
            p -= self.learning_rate * (m / (1 - 0.9**self.count)) / (np.sqrt(v / (1 - 0.999**self.count)) + 1e-8)
