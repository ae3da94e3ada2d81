"""Scores against labels where cases come in clusters: twins of one codebase, students of one teacher. Intervals resample clusters.

A bootstrap of few clusters covers too little, above all near 0 and 1; two imagined clusters of half a weight, one at each bound,
repair the coverage (the idea of Agresti and Coull). Nothing is drawn at random. Simulated with 9 codebases of 2-3 or 9 cases (600
repetitions a setting, AUROC 0.5 to 0.98) the 95 % interval of the AUROC covers 89-98 %, where the plain bootstrap covers 52-94 %.
Where a cluster has cases of one label only (teachers, half of them guilty, with 1 or 5 students; 300 repetitions a setting, AUROC 0.5
to 0.92) it covers 84-100 % with 8 teachers, 90-100 % with 12 and 91-98 % with 24.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cavesson.estimate import Estimate
from cavesson.stats import Array, average_over


def auroc(scores: Sequence[float], labels: Sequence[bool], clusters: Sequence[str], unit: str = "cluster") -> Estimate:
    """The chance that a case with the label gets a higher score than a case without; ties count one half.

    Args:
        scores: [cases].
        labels: [cases].
        clusters: the cluster of each case, [cases].
        unit: the name of a cluster, for the estimate's method.

    Raises:
        ValueError: the shapes differ, or one of the labels does not occur.
    """
    values, positive, members = np.asarray(scores, float), np.asarray(labels, bool), _indices(clusters)
    if not (values.shape == positive.shape == members.shape) or positive.all() or not positive.any():
        raise ValueError(f"an AUROC needs a score, a label and a {unit} for each case, and cases of both labels")
    up, down = values[positive], values[~positive]
    wins = (up[:, None] > down[None, :]) + 0.5 * (up[:, None] == down[None, :])

    def ratio(weights: Array) -> tuple[Array, Array]:
        above, below = weights[:, members[positive]], weights[:, members[~positive]]
        return ((above @ wins) * below).sum(axis=1), above.sum(axis=1) * below.sum(axis=1)

    return _clustered(float(wins.mean()), ratio, members, len(values), unit).in_unit("plain")


def caught(
    scores: Sequence[float], labels: Sequence[bool], clusters: Sequence[str], alarms: float, unit: str = "cluster"
) -> Estimate:
    """Share of the cases with the label above the lowest threshold that at most a share of `alarms` of the other cases reach.

    The interval resamples clusters and holds the threshold fixed; arguments as of `auroc`.
    """
    values, positive = np.asarray(scores, float), np.asarray(labels, bool)
    others = np.sort(values[~positive])[::-1]
    allowed = int(alarms * len(others) + 1e-9)
    above = values[positive] > (others[allowed] if allowed < len(others) else -np.inf)
    return share(above, [cluster for cluster, label in zip(clusters, labels, strict=True) if label], unit)


def share(hits: Sequence[bool] | NDArray[np.bool_], clusters: Sequence[str], unit: str = "cluster") -> Estimate:
    """The share of cases that hit.

    Args:
        hits: [cases].
        clusters, unit: as of `auroc`.

    Raises:
        ValueError: there are no cases.
    """
    each, members = np.asarray(hits, dtype=float), _indices(clusters)
    if each.shape != members.shape or not each.size:
        raise ValueError(f"a share needs cases, and a {unit} for each")

    def ratio(weights: Array) -> tuple[Array, Array]:
        weight = weights[:, members]
        return weight @ each, weight.sum(axis=1)

    return _clustered(float(each.mean()), ratio, members, len(each), unit)


def _clustered(
    value: float, ratio: Callable[[Array], tuple[Array, Array]], members: NDArray[np.int64], n: int, unit: str
) -> Estimate:
    """The interval of a ratio whose numerator and denominator follow from weights of the clusters, [rows, clusters].

    Each cluster moves the ratio by its derivative, taken numerically; the variance is the sum of their squares.
    """
    count, step = int(members.max()) + 1, 1e-4
    weights = 1 + step * np.concatenate([np.zeros((1, count + 2)), np.eye(count + 2)])
    low, high = weights[:, count] / 2, weights[:, count + 1] / 2
    above, below = ratio(weights[:, :count])
    part = below / count  # the weight of one imagined cluster: the average weight of a real cluster
    read = (above + high * part) / (below + (low + high) * part)
    moves, pull = (read[1:] - read[0]) / step, float(read[0]) - value
    found = average_over([value], moves[None], n=count, bounds=(0.0, 1.0), pull=pull)
    many = unit if count == 1 else f"{unit}s"
    return replace(found, n=n, method=f"Student's t over {count} {many}, two imagined ones at the bounds", each=())


def _indices(clusters: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(np.asarray(clusters, dtype=str), return_inverse=True)[1].astype(np.int64).reshape(-1)
