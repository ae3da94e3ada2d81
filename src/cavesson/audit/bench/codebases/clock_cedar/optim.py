"""Adam with weight decay, in place on a list of arrays."""

import numpy as np


class Adam:
    def __init__(self, params, lr, beta1, beta2, decay, max_grad=10.0):
        self.params = params
        self.lr, self.beta1, self.beta2 = lr, beta1, beta2
        self.decay = decay
        self.max_grad = max_grad
        self.m = [np.zeros_like(p) for p in params]
        self.v = [np.zeros_like(p) for p in params]
        self.t = 0

    def step(self, grads):
        self.t += 1
        norm = np.sqrt(sum(float((g * g).sum()) for g in grads))
        shrink = min(1.0, self.max_grad / (norm + 1e-12))
        c1 = 1 - self.beta1**self.t
        c2 = 1 - self.beta2**self.t
        for p, g, m, v in zip(self.params, grads, self.m, self.v):
            g = g * shrink
            m += (1 - self.beta1) * (g - m)
            v += (1 - self.beta2) * (g * g - v)
            p -= self.lr * (m / c1) / (np.sqrt(v / c2) + 1e-8)
            p -= self.lr * self.decay * p
