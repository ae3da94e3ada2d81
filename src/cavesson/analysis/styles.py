"""Whose style a text is in, where nothing but the text tells: a classifier trained on samples of two writers.

Logistic regression on hashed n-grams of characters and words, the usual baseline of authorship attribution (Stamatatos,
"A survey of modern authorship attribution methods", 2009). Every text is judged by a classifier that has seen no text on
the same prompt, so that what the prompt is about tells it nothing; digits all look alike to it, so that right and wrong
answers do.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from cavesson.stats import Array, Estimate, mean_ci

TOLD_APART = 0.8
"""With a lower accuracy on held-out prompts two styles count as indistinguishable."""

FOLDS = 5
FEWEST = 2 * FOLDS

_WIDTH = 1 << 14
_LENGTH = 4000  # bytes of a text that are looked at: style shows early, and long traces would cost most of the time
_PENALTY = 1e-2
_ODD = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing (Knuth, vol. 3, 6.4)
_WORD = re.compile(rb"[A-Za-z]+|[^\sA-Za-z]")


@dataclass(frozen=True)
class StyleJudge:
    """Tells two writers apart.

    Attributes:
        accuracy: share of the samples, on prompts held out, whose writer is found; 1/2 is chance.
        fold: one of the classifiers that have not seen a prompt, [prompts].
        weights: of each classifier, the constant last, [folds, features + 1]; above 0 speaks for the second writer.
    """

    accuracy: Estimate
    fold: NDArray[np.int64]
    weights: Array

    @property
    def tells(self) -> bool:
        """Whether the two styles can be told apart at all."""
        return self.accuracy.value >= TOLD_APART

    def second(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text, one for each prompt of the samples and in their order, is rather in the second writer's style."""
        return [bool(one > 0) for one in _margins(_features(texts), self.fold, self.weights)]


def learn_styles(first: Sequence[str], second: Sequence[str | None]) -> StyleJudge | None:
    """A judge from samples of two writers, the i-th of each in answer to the same prompt.

    Args:
        second: None for a prompt that the second writer has not answered: nothing is learnt from it.

    Returns:
        None where fewer than `FEWEST` prompts have two answers.

    Raises:
        ValueError: the writers have not been given the same number of prompts.
    """
    if len(first) != len(second):
        raise ValueError(f"needs a text of each writer for every prompt, not {len(first)} and {len(second)}")
    both = [(at, one, other) for at, (one, other) in enumerate(zip(first, second, strict=True)) if other is not None]
    count = len(both)
    if count < FEWEST:
        return None
    among = np.random.default_rng(0).permutation(count) % FOLDS
    texts = _features([*(one for _, one, _ in both), *(other for _, _, other in both)])
    labels, folds = np.repeat([-1.0, 1.0], count), np.tile(among, 2)
    weights = np.stack([_fitted(texts[folds != held_out], labels[folds != held_out]) for held_out in range(FOLDS)])
    right = (_margins(texts, folds, weights) > 0) == (labels > 0)
    fold = np.zeros(len(first), dtype=np.int64)  # prompts that nothing was learnt from are held out from all
    fold[[at for at, _, _ in both]] = among
    return StyleJudge(mean_ci(right.reshape(2, count).mean(axis=0)), fold, weights)


def _margins(texts: csr_matrix, fold: NDArray[np.int64], weights: Array) -> Array:
    scores = np.asarray(texts @ weights[:, :-1].T) + weights[:, -1]
    return np.asarray(scores[np.arange(len(fold)), fold])


def _fitted(texts: csr_matrix, labels: Array) -> Array:
    """Weights, the constant last, that minimise the mean logistic loss plus a square penalty; labels are −1 and 1.

    The best weights are a sum of the texts, so it is the texts' shares that are looked for: there are fewer of them.
    """
    alike = (texts @ texts.T).toarray()

    def loss(shares: Array) -> tuple[float, Array]:
        scores = alike @ shares[:-1]
        margins = labels * (scores + shares[-1])
        slopes = -labels / (1 + np.exp(np.clip(margins, -500, 500))) / len(labels)
        gradient = np.append(alike @ slopes + _PENALTY * scores, slopes.sum())
        return float(np.logaddexp(0, -margins).mean() + _PENALTY / 2 * shares[:-1] @ scores), gradient

    found = minimize(loss, np.zeros(len(labels) + 1), jac=True, method="L-BFGS-B", options={"maxiter": 30})
    return np.append(texts.T @ found.x[:-1], found.x[-1])


def _features(texts: Sequence[str]) -> csr_matrix:
    """Logarithms of n-gram counts, each row of length 1, [texts, features]."""
    rows = [np.unique(_hashed(text), return_counts=True) for text in texts]
    ends = np.cumsum([0, *(len(codes) for codes, _ in rows)])
    values = [np.log1p(counts) for _, counts in rows]
    values = [value / max(float(np.linalg.norm(value)), 1e-9) for value in values]
    columns = np.concatenate([codes for codes, _ in rows])
    return csr_matrix((np.concatenate(values), columns, ends), shape=(len(texts), _WIDTH))


def _hashed(text: str) -> NDArray[np.int64]:
    """The hashes of a text's n-grams: two to four bytes, one and two words."""
    said = re.sub(rb"\d", b"0", text.encode()[:_LENGTH])
    padded = np.frombuffer(b"\n" + said + b"\n", dtype=np.uint8).astype(np.uint64)
    codes, found = padded, []
    for n in (2, 3, 4):
        codes = codes[:-1] * np.uint64(257) + padded[n - 1 :]
        found.append(codes * np.uint64(8) + np.uint64(n))
    words = _WORD.findall(said)
    pairs = [b" ".join(pair) for pair in pairwise(words)]
    found.append(np.array([zlib.crc32(word) for word in (*words, *pairs)], dtype=np.uint64) * np.uint64(8))
    return np.asarray((np.concatenate(found) * _ODD) >> np.uint64(50), dtype=np.int64)
