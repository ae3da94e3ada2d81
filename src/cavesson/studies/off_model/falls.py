"""How far students fell: from the teacher that hurts most, in the pair that fell furthest, and on average."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cavesson.analysis.contrasts import lowest_mean
from cavesson.stats import Array, Estimate, difference_over_seeds
from cavesson.studies.games import grouped
from cavesson.studies.off_model.results import Cell, OffModelResults

ALIKE = 0.05
"""Differences of accuracy below this count as none."""


def largest_fall(results: OffModelResults, cells: Sequence[Cell]) -> Estimate | None:
    """The change of the reasoning at the end from the teacher that hurts it most, averaged over the students and ways that it
    has among these cells; None without any, or with a single prompt.

    "Some teacher makes it fall" is shown by an interval below 0, "none does" by one that lies above what counts as a fall.
    """
    by_teacher = grouped(list(cells), lambda cell: cell.teacher).values()
    return _lowest([_change(of_one, results.reasoning) for of_one in by_teacher], cells, results.reasoning)


def worst_pair(cells: Sequence[Cell], label: str) -> Estimate | None:
    """The change of a benchmark in the pair of student and teacher (and the way) that falls furthest on it; None as above."""
    return _lowest([_change([cell], label) for cell in cells], cells, label)


def _lowest(changes: Sequence[Array], cells: Sequence[Cell], label: str) -> Estimate | None:
    levels = [row.level or 0 for row in cells[0].scores[0].cell(label, 0)] if cells else []
    return lowest_mean(np.stack(changes), levels) if len(levels) > 1 else None


def ends(cells: Sequence[Cell], label: str) -> tuple[Array, Array]:
    """Scores after the training and before it, averaged over cells, [seeds, prompts] each."""
    after, before = (
        np.mean([cell.array(label, cell.last if trained else 0) for cell in cells], axis=0) for trained in (True, False)
    )
    return after, before


def pooled_change(cells: Sequence[Cell], label: str) -> Estimate | None:
    """The change at the end averaged over cells, paired by seed and prompt; None without any."""
    return difference_over_seeds(*ends(cells, label)) if cells else None


def _change(cells: Sequence[Cell], label: str) -> Array:
    return np.subtract(*ends(cells, label))
