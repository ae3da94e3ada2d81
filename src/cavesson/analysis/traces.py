"""Rates among some of the traces of reasoning, such as traces in one style; the number of traces differs between prompts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cavesson.estimate import Estimate
from cavesson.stats import Array, average_over, influences, wilson

Which = NDArray[np.bool_]
"""True for the traces that count, [seeds, prompts]."""


def rate_among(scores: Array, among: Which) -> Estimate | None:
    """The rate of 0/1 scores among some of the traces, with seeds and prompts both random; None if no trace counts.

    Args:
        scores: 0/1, [seeds, prompts].
        among: True for the traces that count, [seeds, prompts].
    """
    count = int(among.sum())
    if not count:
        return None
    if len(scores) == 1:
        rate = wilson(int(scores[among].sum()), count)
        return replace(
            rate, method=f"{rate.method}; one seed: variance between seeds is not included", each=(rate.value,)
        )
    return mean_per_trace(scores * among, among.astype(float), (0.0, 1.0))


def mean_per_trace(total: Array, count: Array, bounds: tuple[float, float]) -> Estimate:
    """A mean over traces: the ratio of two means, linearised as in surveys, so that a seed or prompt counts by its traces.

    Source: Cochran, "Sampling techniques" (1977), chapter 6.

    Args:
        total: sums of the scores of the traces, [seeds, prompts].
        count: numbers of traces, [seeds, prompts]; at least one in all.
        bounds: lowest and highest score of a trace.
    """
    asked = count.any(axis=0)
    total, count = total[:, asked], count[:, asked]
    value = float(total.sum() / count.sum())
    off = (total - value * count) / count.mean()
    # the pseudo-prompts at the bounds have as many traces as the real prompts
    moves = influences(off, (bounds[0] - value, bounds[1] - value))
    found = average_over(value + off.mean(axis=1), moves, n=off.shape[1], bounds=bounds)
    return replace(found, method=f"{found.method}; {int(count.sum())} traces")
