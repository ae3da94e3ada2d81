"""How far students fell: in the worst case of several, and on average."""

from __future__ import annotations

import numpy as np

from bridle.stats import Estimate, difference_over_seeds
from bridle.studies.off_model_results import Cell, OffModelResults

ALIKE = 0.05
"""Differences of accuracy below this count as none."""


def largest_fall(
    results: OffModelResults, cells: list[Cell], fell: float = 0.0, kept: float = -ALIKE
) -> Estimate | None:
    """The change at the end in the cell that decides whether any fell; None without cells.

    That is the one that most surely fell, unless it would say that none did: then it is the one that may have fallen furthest.
    The interval holds for all cells together (Bonferroni), so that the choice of the cell does not flatter.

    Args:
        fell: a change whose interval ends below this is a fall; kept: one whose interval begins above this is none.
    """
    changes = [
        difference_over_seeds(
            cell.array(results.reasoning, cell.last),
            cell.array(results.reasoning, 0),
            confidence=1 - 0.05 / len(cells),
        )
        for cell in cells
    ]
    surest = min(changes, key=lambda change: change.high, default=None)
    if surest is None or surest.high <= fell or surest.low <= kept:
        return surest
    return min(changes, key=lambda change: change.low)


def pooled_change(results: OffModelResults, cells: list[Cell]) -> Estimate | None:
    """The change at the end averaged over cells, paired by seed and prompt; None without any."""
    if not cells:
        return None
    label = results.reasoning
    after, before = (
        np.mean([cell.array(label, step) for cell, step in pairs], axis=0)
        for pairs in ([(cell, cell.last) for cell in cells], [(cell, 0) for cell in cells])
    )
    return difference_over_seeds(after, before)
