"""What a few labels of a person say: how well the scorer agrees with them, and the rate that they give with the help of many scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cavesson.estimate import Estimate
from cavesson.stats import independent_difference, mean_ci, paired_difference

_Z = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""
_IMAGINED = 0.5
"""Labels that are imagined in each cell of the table of agreement, so that full agreement of a few labels is no certainty."""


def cohens_kappa(labels: ArrayLike, scores: ArrayLike) -> Estimate | None:
    """Cohen's kappa: agreement beyond what two raters with these rates would have by chance. 1: they agree on all.

    The interval is that of Fleiss, Cohen and Everitt (1969) on the table with half a label more in each cell; the value is of
    the labels alone.

    Args:
        labels: 0 or 1 by the person, [transcripts].
        scores: 0 or 1 by the scorer on the same transcripts, [transcripts].

    Returns:
        None: both gave every transcript the same one value, so that there is no agreement beyond chance to speak of.

    Raises:
        ValueError: the shapes differ, there are no labels, or a value is neither 0 nor 1.
    """
    one, two = _binary(labels), _binary(scores)
    if one.shape != two.shape:
        raise ValueError(f"labels and scores need the same transcripts, but the shapes are {one.shape} and {two.shape}")
    counts = np.array([[np.sum((one == i) & (two == j)) for j in (0, 1)] for i in (0, 1)], dtype=float)
    expected = float((counts.sum(1) * counts.sum(0)).sum() / len(one) ** 2)
    if expected == 1:
        return None
    value = (float(np.trace(counts)) / len(one) - expected) / (1 - expected)
    center, error = _kappa_and_error(counts + _IMAGINED)
    low, high = max(-1.0, min(value, center - _Z * error)), min(1.0, max(value, center + _Z * error))
    return Estimate(value, low, high, len(one), "Cohen's kappa, Fleiss with half a label in each cell", unit="plain")


def prediction_powered(labels: ArrayLike, scores: ArrayLike, others: ArrayLike) -> Estimate:
    """The rate that a person would find, from few labels and many scores (Angelopoulos et al. 2023).

    The rate of the scores on transcripts that nobody labelled, plus what the scorer misses by on the labelled ones. It holds
    however bad the scorer is; a good scorer makes the interval narrow. Two score intervals are added ("MOVER") in place of the
    paper's normal approximation, which takes few labels without an error of the scorer for certainty: Wilson's, and Tango's for
    the paired difference.

    Args:
        labels: 0 or 1 by the person on transcripts that were drawn at random, [labelled].
        scores: 0 or 1 by the scorer on the same transcripts, [labelled].
        others: 0 or 1 by the scorer on all other transcripts, [others].

    Raises:
        ValueError: the shapes do not fit, something is empty, or a value is neither 0 nor 1.
    """
    person, scorer, rest = _binary(labels), _binary(scores), _binary(others)
    found = independent_difference(mean_ci(rest), paired_difference(scorer, person))
    low, high = max(0.0, found.low), min(1.0, found.high)
    value = min(max(found.value, low), high)
    method = f"prediction-powered, {len(person)} labels and {len(rest)} scores (Wilson and Tango)"
    return Estimate(value, low, high, len(person), method)


def _kappa_and_error(counts: NDArray[np.float64]) -> tuple[float, float]:
    """Kappa and its standard error, from a table of counts [2, 2]."""
    n = counts.sum()
    shares = counts / n
    rows, columns = shares.sum(1), shares.sum(0)
    agreed, expected = np.trace(shares), float(rows @ columns)
    kappa = (agreed - expected) / (1 - expected)
    on = sum(shares[i, i] * (1 - (rows[i] + columns[i]) * (1 - kappa)) ** 2 for i in (0, 1))
    off = (1 - kappa) ** 2 * sum(shares[i, 1 - i] * (columns[i] + rows[1 - i]) ** 2 for i in (0, 1))
    spread = on + off - (kappa - expected * (1 - kappa)) ** 2
    return float(kappa), float(np.sqrt(max(spread, 0.0) / n) / (1 - expected))


def _binary(values: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(values, dtype=float)
    if found.ndim != 1 or found.size == 0 or not np.isin(found, (0, 1)).all():
        raise ValueError(f"needs a list of 0 and 1, not the shape {found.shape}")
    return found
