"""Expected reward of best-of-n sampling, estimated from one pool of N >= n answers per prompt.

If the pool is sorted by proxy score, the answer of rank k (1 = worst) is the best of a random n-subset with
probability C(k-1, n-1) / C(N, n). Averaging over ranks uses every answer of the pool and is unbiased, where
drawing n answers once would be very noisy.
"""
from math import lgamma

import numpy as np


def log_choose(n, k):
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def rank_weights(pool, n):
    out = np.zeros(pool)
    total = log_choose(pool, n)
    for k in range(n, pool + 1):
        out[k - 1] = np.exp(log_choose(k - 1, n - 1) - total)
    return out


def best_of_n(proxy, value, weights):
    """proxy, value: [prompts, pool]. Mean over prompts of `value` for the answer that `proxy` would pick."""
    order = np.argsort(proxy, axis=1)
    ranked = np.take_along_axis(value, order, axis=1)
    return {n: float((ranked @ w).mean()) for n, w in weights.items()}


def kl_nats(n):
    """KL divergence of best-of-n from the policy: log n - (n - 1) / n."""
    return float(np.log(n) - (n - 1) / n)
