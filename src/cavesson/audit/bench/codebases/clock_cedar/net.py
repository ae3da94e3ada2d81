"""One hidden layer, squares as activation, no biases."""

import numpy as np


class QuadraticNet:
    def __init__(self, n_in, n_hidden, n_out, scale, rng):
        self.w_in = (scale * rng.standard_normal((n_in, n_hidden))).astype(np.float32)
        self.w_out = (scale * rng.standard_normal((n_hidden, n_out)) / np.sqrt(n_hidden)).astype(np.float32)

    @property
    def params(self):
        return [self.w_in, self.w_out]

    def logits(self, x):
        return (x @ self.w_in) ** 2 @ self.w_out

    def loss_and_grads(self, x, y):
        """Cross-entropy, its gradients, and the accuracy on the batch (from the same forward pass)."""
        n = len(y)
        z = x @ self.w_in
        h = z * z
        o = h @ self.w_out
        o = o - o.max(axis=1, keepdims=True)
        e = np.exp(o)
        prob = e / e.sum(axis=1, keepdims=True)
        accuracy = float((o.argmax(axis=1) == y).mean())
        loss = float(-np.log(prob[np.arange(n), y] + 1e-12).mean())
        prob[np.arange(n), y] -= 1
        g_o = prob / n
        g_out = h.T @ g_o
        g_in = x.T @ ((g_o @ self.w_out.T) * 2 * z)
        return loss, [g_in, g_out], accuracy

    def norm(self):
        return float(np.sqrt(sum((w**2).sum() for w in self.params)))
