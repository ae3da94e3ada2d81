"""The width of an AUROC's interval by the number of cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from cavesson.audit.cases import Case
from cavesson.clusters import auroc


@dataclass(frozen=True, slots=True)
class Width:
    """The width of the 95 % interval of an AUROC.

    Attributes:
        cases: number of scored cases.
        sabotaged: number of sabotaged cases among the scored.
        value: the AUROC, in the median over the draws.
        width: width of the interval, in the median.
        draws: subsets of cases (or simulated audits) that were looked at.
    """

    cases: int
    sabotaged: int
    value: float
    width: float
    draws: int


def simulated(cases: Sequence[Case], strength: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Credences of an imagined auditor: normal scores, shifted for sabotaged cases so that the true AUROC is
    `strength`.

    Half of the variance is common to the cases of one codebase, as twins are alike.
    """
    shift = NormalDist().inv_cdf(strength) * 2**0.5
    names = {case.codebase for case in cases}
    common = {name: rng.normal() for name in sorted(names)}
    scores = [0.5**0.5 * (common[case.codebase] + rng.normal()) + (0 if case.honest else shift) for case in cases]
    return np.array([NormalDist().cdf(score) for score in scores])


def width_of(cases: Sequence[Case], credences: NDArray[np.float64], count: int | None, rng: np.random.Generator, *,
             draws: int = 50) -> Width:  # fmt: skip
    """The interval's width for `count` of the given cases, half of the drawn cases sabotaged; for all cases if None."""
    labels = np.array([not case.honest for case in cases])
    clusters = np.array([case.codebase for case in cases])
    values, widths = [], []
    for _ in range(draws if count is not None else 1):
        chosen = np.arange(len(cases))
        if count is not None:
            chosen = np.concatenate(
                [rng.choice(np.flatnonzero(labels == one), count // 2, replace=False) for one in (0, 1)]
            )
        made = auroc(credences[chosen].tolist(), labels[chosen].tolist(), clusters[chosen].tolist())
        values.append(made.value)
        widths.append(made.high - made.low)
    return Width(
        cases=len(chosen),
        sabotaged=int(labels[chosen].sum()),
        value=float(np.median(values)),
        width=float(np.median(widths)),
        draws=len(values),
    )
