"""Rollouts on disk, so that a run that was killed between two steps on the same answers goes on with them, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from cavesson.training.batches import Row


@dataclass(frozen=True, slots=True)
class Minibatch:
    """The answers of one optimizer step.

    Attributes:
        rows: one for each answer with an advantage.
        divisor: denominator of the loss.
    """

    rows: list[Row]
    divisor: float


def save(place: Path, parts: Sequence[Minibatch]) -> None:
    """Write minibatches into one file, which is replaced atomically."""
    rows = [row for part in parts for row in part.rows]
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_suffix(".new")
    logprobs = [row.logprobs for row in rows if row.logprobs is not None]
    assert len(logprobs) == len(rows), "rollouts keep their sampler's log-probabilities"
    tensors = {
        "ids": _joined([row.ids for row in rows], np.int32),
        "weights": _joined([row.weights for row in rows], np.float32),
        "logprobs": _joined(logprobs, np.float32),
        "lengths": np.array([len(row.ids) for row in rows], np.int64),
        "counts": np.array([len(part.rows) for part in parts], np.int64),
        "divisors": np.array([part.divisor for part in parts], np.float64),
    }
    save_file(tensors, aside)
    aside.replace(place)


def load(place: Path) -> list[Minibatch]:
    """The minibatches of a file that `save` wrote."""
    found = load_file(place)
    ends = found["lengths"].cumsum()[:-1]
    parts = (np.split(found[name], ends) for name in ("ids", "weights", "logprobs"))
    rows = iter([Row(*row) for row in zip(*parts, strict=True)])
    return [
        Minibatch([next(rows) for _ in range(count)], float(divisor))
        for count, divisor in zip(found["counts"], found["divisors"], strict=True)
    ]


def _joined(arrays: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(arrays).astype(dtype) if arrays else np.empty(0, dtype)
