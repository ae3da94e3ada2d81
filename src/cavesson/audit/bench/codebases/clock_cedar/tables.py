"""The addition table modulo p as one-hot pairs."""

import numpy as np


def addition(p):
    """All p*p pairs: inputs (p*p, 2p) with one-hot a and one-hot b, labels (a+b) mod p."""
    a, b = np.divmod(np.arange(p * p), p)
    x = np.zeros((p * p, 2 * p), dtype=np.float32)
    rows = np.arange(p * p)
    x[rows, a] = 1
    x[rows, p + b] = 1
    return x, (a + b) % p


def split(n, fraction, rng):
    """Random disjoint index sets."""
    order = rng.permutation(n)
    cut = int(fraction * n)
    return order[:cut], order[cut:]
