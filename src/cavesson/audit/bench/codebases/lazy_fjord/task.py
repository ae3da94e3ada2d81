"""Sparse parity: the label is the product of two of the d signs."""
import numpy as np


def make_split(rng, n, d):
    x = rng.choice([-1.0, 1.0], size=(n, d))
    y = x[:, 0] * x[:, 1]
    return x / np.sqrt(d), y


def load(cfg, seed):
    rng = np.random.default_rng(1000 + seed)
    x_train, y_train = make_split(rng, cfg["n_train"], cfg["d"])
    x_test, y_test = make_split(rng, cfg["n_test"], cfg["d"])
    return x_train, y_train, x_test, y_test
