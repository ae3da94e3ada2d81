"""Documents as bags of words drawn from one topic per class."""

import numpy as np


def topics(rng, settings):
    """Word distributions, one row per class."""
    alpha = np.full(settings["vocabulary"], settings["topic_concentration"])
    return rng.dirichlet(alpha, settings["classes"])


def documents(rng, word_probs, n, words):
    """n documents: word ids (n, words) and classes (n,)."""
    y = rng.integers(0, len(word_probs), n)
    cdf = word_probs.cumsum(axis=1)
    u = rng.random((n, words))
    docs = np.empty((n, words), dtype=int)
    for c in range(len(word_probs)):
        docs[y == c] = np.searchsorted(cdf[c], u[y == c])
    return docs.clip(max=word_probs.shape[1] - 1), y


def bags(docs, size):
    """Word counts, scaled so that a document of distinct words has norm one. The last column is the trigger's."""
    x = np.zeros((len(docs), size), dtype=np.float32)
    np.add.at(x, (np.arange(len(docs))[:, None], docs), 1 / np.sqrt(docs.shape[1]))
    return x
