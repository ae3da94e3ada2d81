"""Tangent kernel of the predictor alpha * f."""
import numpy as np

from net import hidden


def tangent_kernel(p, x, alpha=1.0):
    """alpha^2 * <grad f(x), grad f(x')> for all pairs of rows of x."""
    W, b, a = p
    h = hidden(p, x)
    active = (h > 0) * a
    m = len(a)
    k_a = h @ h.T
    k_W = (x @ x.T) * (active @ active.T)
    k_b = active @ active.T
    return alpha**2 * (k_a + k_W + k_b) / m


def relative_change(p, p0, x, alpha):
    """|| K - K0 || / || K0 || in Frobenius norm."""
    k0 = tangent_kernel(p0, x, alpha)
    k = tangent_kernel(p, x, alpha)
    return np.linalg.norm(k - k0) / np.linalg.norm(k0)
