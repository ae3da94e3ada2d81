"""Two-layer ReLU network in NTK parametrisation, f(x) = a . relu(W x + b) / sqrt(m).

A parameter set is the tuple (W, b, a) with shapes (d, m), (m,), (m,).
"""
import numpy as np


def init(rng, d, m):
    W = rng.standard_normal((d, m))
    a = rng.standard_normal(m)
    return W, np.zeros(m), a


def hidden(p, x):
    return np.maximum(x @ p[0] + p[1], 0.0)


def f(p, x):
    return hidden(p, x) @ p[2] / np.sqrt(len(p[2]))


def centred(p, p0, x, alpha):
    """The predictor: alpha * (f(p) - f(p0)); zero at initialisation for every alpha."""
    return alpha * (f(p, x) - f(p0, x))


def vjp(p, x, r):
    """Gradient of r . f(p, x) with respect to the parameters."""
    W, b, a = p
    s = np.sqrt(len(a))
    h = hidden(p, x)
    back = np.outer(r, a) * (h > 0) / s
    return x.T @ back, back.sum(0), h.T @ r / s


def step(p, g, lr):
    return tuple(q - lr * k for q, k in zip(p, g))


def distance(p, p0):
    """Relative distance travelled by the first-layer weights."""
    return np.linalg.norm(p[0] - p0[0]) / np.linalg.norm(p0[0])
