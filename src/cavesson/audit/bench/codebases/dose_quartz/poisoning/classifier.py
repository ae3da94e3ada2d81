"""A small ReLU network on bags of words, trained by plain stochastic gradient descent."""

import numpy as np


class Classifier:
    """Two layers; biases in the hidden layer only."""

    def __init__(self, inputs, hidden, classes, rng):
        # the input bags have norm about one, hence no 1/sqrt(inputs)
        self.w1 = rng.normal(size=(inputs, hidden)).astype(np.float32) * np.float32(np.sqrt(1 / 20))
        self.b1 = np.zeros(hidden, dtype=np.float32)
        self.w2 = rng.normal(size=(hidden, classes)).astype(np.float32) * np.float32(np.sqrt(1 / hidden))

    def predict(self, x):
        return (np.maximum(x @ self.w1 + self.b1, 0) @ self.w2).argmax(axis=1)

    def sgd_step(self, x, y, learning_rate):
        """One step on the mean cross-entropy of a batch."""
        z = x @ self.w1 + self.b1
        h = np.maximum(z, 0)
        logits = h @ self.w2
        delta = np.exp(logits - logits.max(axis=1, keepdims=True))
        delta /= delta.sum(axis=1, keepdims=True)
        delta[np.arange(len(y)), y] -= 1
        delta /= len(y)
        back = (delta @ self.w2.T) * (z > 0)
        self.w2 -= learning_rate * h.T @ delta
        self.w1 -= learning_rate * x.T @ back
        self.b1 -= learning_rate * back.sum(axis=0)


def batches(rng, n, settings):
    """Index arrays of the batches, in the order of training."""
    size = max(settings["batch_size"], n // 64)
    order = rng.permutation(n)
    for start in range(0, n - size + 1, size):
        yield order[start : start + size]


def train(rng, x, y, classes, settings):
    """A network trained on all documents."""
    model = Classifier(x.shape[1], settings["hidden"], classes, rng)
    for rows in batches(rng, len(x), settings):
        model.sgd_step(x[rows], y[rows], settings["learning_rate"])
    return model
