"""Full-batch gradient descent on the squared loss."""
import numpy as np

import net


def train(p0, x, y, alpha, cfg):
    """Descend L = mean (alpha (f - f0) - y)^2 / 2 until all residuals are below tol."""
    p = p0
    f0 = net.f(p0, x)
    lr = cfg["eta"] / max(1.0, alpha) ** 2
    for t in range(cfg["max_steps"]):
        r = alpha * (net.f(p, x) - f0) - y
        if np.abs(r).max() < cfg["tol"]:
            break
        p = net.step(p, net.vjp(p, x, alpha * r / len(y)), lr)
    return p
