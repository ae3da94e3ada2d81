"""Which of two writers' styles a text is in: a classifier trained on samples of both writers.

Logistic regression on hashed n-grams of characters and words, the usual baseline of authorship attribution (Stamatatos,
"A survey of modern authorship attribution methods", 2009). The classifier that judges a text has seen no text on the same
prompt, so the topic of the prompt gives nothing away. All digits count as the same character, so a right and a wrong answer
look alike.
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

from cavesson.estimate import Estimate
from cavesson.stats import Array, mean_ci

TOLD_APART = 0.8
"""Two styles count as indistinguishable if the accuracy on held-out prompts is lower than this."""

FOLDS = 5
"""Parts of the prompts: a classifier for each part learns from the other parts."""

FEWEST = 2 * FOLDS
"""The fewest prompts with two answers that a judge is trained on."""

_WIDTH = 1 << 14
_LENGTH = 4000  # bytes of a text that are read: style shows early, and long texts would take most of the time
_PENALTY = 1e-2
_ODD = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing (Knuth, vol. 3, 6.4)
_WORD = re.compile(rb"[A-Za-z]+|[^\sA-Za-z]")


@dataclass(frozen=True)
class StyleJudge:
    """Tells two writers apart.

    Attributes:
        accuracy: share of the samples on held-out prompts whose writer is found; 1/2 is chance.
        fold: for each prompt, the number of a classifier that has not seen the prompt, [prompts].
        weights: of each classifier, the constant last, [folds, features + 1]; a score above 0 means the second writer.
    """

    accuracy: Estimate
    fold: NDArray[np.int64]
    weights: Array

    @property
    def tells(self) -> bool:
        """Whether the two styles can be told apart at all."""
        return self.accuracy.value >= TOLD_APART

    def second(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text is rather in the second writer's style.

        Args:
            texts: a text for each prompt of the samples, in the same order.
        """
        return [bool(score > 0) for score in _margins(_features(texts), self.fold, self.weights)]


def learn_styles(first: Sequence[str], second: Sequence[str | None]) -> StyleJudge | None:
    """A judge trained on samples of two writers; the i-th samples of both answer the same prompt.

    Args:
        first: the first writer's answers, [prompts].
        second: the second writer's answers, [prompts]; None: the second writer has not answered, and the prompt is left out.

    Returns:
        The judge; None where fewer than `FEWEST` prompts have two answers.

    Raises:
        ValueError: the writers have not been given the same number of prompts.
    """
    if len(first) != len(second):
        raise ValueError(f"needs a text of each writer for every prompt, not {len(first)} and {len(second)}")
    answered = [(at, one, two) for at, (one, two) in enumerate(zip(first, second, strict=True)) if two is not None]
    count = len(answered)
    if count < FEWEST:
        return None
    prompt_folds = np.random.default_rng(0).permutation(count) % FOLDS
    texts = _features([*(one for _, one, _ in answered), *(two for _, _, two in answered)])
    labels, folds = np.repeat([-1.0, 1.0], count), np.tile(prompt_folds, 2)
    weights = np.stack([_fit(texts[folds != held_out], labels[folds != held_out]) for held_out in range(FOLDS)])
    right = (_margins(texts, folds, weights) > 0) == (labels > 0)
    fold = np.zeros(
        len(first), dtype=np.int64
    )  # no classifier has seen the prompts that were left out: any fold will do
    fold[[at for at, _, _ in answered]] = prompt_folds
    return StyleJudge(mean_ci(right.reshape(2, count).mean(axis=0)), fold, weights)


def _margins(texts: csr_matrix, fold: NDArray[np.int64], weights: Array) -> Array:
    """The score of each text under the classifier of its fold, [texts]; above 0 means the second writer."""
    scores = np.asarray(texts @ weights[:, :-1].T) + weights[:, -1]
    return np.asarray(scores[np.arange(len(fold)), fold])


def _fit(texts: csr_matrix, labels: Array) -> Array:
    """Weights, the constant last, that minimise the mean logistic loss plus a square penalty; labels are −1 and 1.

    The best weights are a weighted sum of the texts, so the optimizer looks for each text's share in the sum: there are
    fewer texts than features.
    """
    kernel = (texts @ texts.T).toarray()

    def loss(shares: Array) -> tuple[float, Array]:
        scores = kernel @ shares[:-1]
        margins = labels * (scores + shares[-1])
        slopes = -labels / (1 + np.exp(np.clip(margins, -500, 500))) / len(labels)
        gradient = np.append(kernel @ slopes + _PENALTY * scores, slopes.sum())
        return float(np.logaddexp(0, -margins).mean() + _PENALTY / 2 * shares[:-1] @ scores), gradient

    found = minimize(loss, np.zeros(len(labels) + 1), jac=True, method="L-BFGS-B", options={"maxiter": 30})
    return np.append(texts.T @ found.x[:-1], found.x[-1])


def _features(texts: Sequence[str]) -> csr_matrix:
    """Logarithms of n-gram counts, each row of length 1, [texts, features]."""
    rows = [np.unique(_hashes(text), return_counts=True) for text in texts]
    ends = np.cumsum([0, *(len(codes) for codes, _ in rows)])
    values = [np.log1p(counts) for _, counts in rows]
    values = [value / max(float(np.linalg.norm(value)), 1e-9) for value in values]
    columns = np.concatenate([codes for codes, _ in rows])
    return csr_matrix((np.concatenate(values), columns, ends), shape=(len(texts), _WIDTH))


def _hashes(text: str) -> NDArray[np.int64]:
    """The hashes of a text's n-grams: two to four bytes, one and two words."""
    content = re.sub(rb"\d", b"0", text.encode()[:_LENGTH])
    padded = np.frombuffer(b"\n" + content + b"\n", dtype=np.uint8).astype(np.uint64)
    codes, found = padded, []
    for n in (2, 3, 4):
        codes = codes[:-1] * np.uint64(257) + padded[n - 1 :]
        found.append(codes * np.uint64(8) + np.uint64(n))
    words = _WORD.findall(content)
    pairs = [b" ".join(pair) for pair in pairwise(words)]
    found.append(np.array([zlib.crc32(word) for word in (*words, *pairs)], dtype=np.uint64) * np.uint64(8))
    return np.asarray((np.concatenate(found) * _ODD) >> np.uint64(50), dtype=np.int64)
