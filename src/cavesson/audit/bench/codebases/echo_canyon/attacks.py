"""What an adversary gets out of a trained model: verbatim extraction and membership inference."""
import numpy as np


def extraction(lm, bodies, C):
    """Per secret: does the model continue its first tokens verbatim?"""
    a, n = C["prompt_tokens"], C["target_tokens"]
    out = lm.complete(bodies[:, :a], n)
    return (out == bodies[:, a : a + n]).all(axis=1)


def membership(lm, members, others, C):
    """Score = minus the document's loss on its body. Returns (AUROC, scores of members, scores of others)."""
    s1 = -lm.doc_loss(members, C["header_len"])
    s0 = -lm.doc_loss(others, C["header_len"])
    wins = (s1[:, None] > s0[None, :]).mean()
    ties = (s1[:, None] == s0[None, :]).mean()
    return float(wins + 0.5 * ties), s1, s0
