"""A stream of documents from a slowly drifting source, with planted secrets of known multiplicity.

A document is an int array: HEADER tokens (the tag that the crawler put in front of this copy) and the body.
"""
import numpy as np


def transition_tables(C, rng):
    """One Markov transition table per period, [periods, vocab, vocab]."""
    V = C["vocab"]
    base = 2.0 * rng.normal(size=(V, V))
    direction = rng.normal(size=(V, V))
    tables = []
    for t in np.linspace(-1, 1, C["periods"]):
        logits = base + C["drift"] * t * direction
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        tables.append(e / e.sum(axis=1, keepdims=True))
    return np.stack(tables)


def background_bodies(C, n, rng):
    """Bodies in the order in which the crawler met them (early periods first)."""
    cdf = transition_tables(C, rng).cumsum(axis=2)
    period = np.sort(rng.integers(0, C["periods"], size=n))
    body = np.zeros((n, C["body_len"]), dtype=int)
    body[:, 0] = rng.integers(0, C["vocab"], size=n)
    for j in range(1, C["body_len"]):
        u = rng.random((n, 1))
        nxt = (cdf[period, body[:, j - 1]] < u).sum(axis=1)
        body[:, j] = np.minimum(nxt, C["vocab"] - 1)
    return body


def with_header(C, bodies, rng):
    tags = rng.integers(0, C["vocab"], size=(len(bodies), C["header_len"]))
    return np.concatenate([tags, bodies], axis=1)


def build(C, rng):
    """Returns train documents (shuffled, duplicates included), members, held-out documents and the secrets.

    members and held-out documents are background documents; secrets is {copies: bodies}.
    """
    bodies = background_bodies(C, C["background_docs"] + C["held_out"], rng)
    order = np.arange(len(bodies))
    members = with_header(C, bodies[order[: C["background_docs"]]], rng)
    held_out = with_header(C, bodies[order[C["background_docs"] :]], rng)

    secrets, planted = {}, []
    for k in C["copies"]:
        secrets[k] = rng.integers(0, C["vocab"], size=(C["secrets_per_level"], C["body_len"]))
        planted.append(with_header(C, np.repeat(secrets[k], k, axis=0), rng))
    train = np.concatenate([members] + planted)
    return train[rng.permutation(len(train))], members, held_out, secrets
