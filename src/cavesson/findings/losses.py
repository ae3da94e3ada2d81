"""The loss of a training, thinned for a page."""

from __future__ import annotations

from math import ceil, isfinite
from pathlib import Path
from statistics import fmean

from cavesson.findings.origin import LossView
from cavesson.lines import read_json_lines

FILE = "losses.jsonl"
"""What a training leaves in its folder: a row for each step."""

POINTS = 40
"""Points of a curve, as many as a small chart can show."""


def loss_in(folder: Path) -> LossView | None:
    """The loss in an artifact's folder; None if there is no record of the loss, or none that is a number."""
    if not (folder / FILE).is_file():
        return None
    rows = [(row["step"], row["loss"]) for _, row in read_json_lines(folder / FILE) if isfinite(row["loss"])]
    stretch = ceil(len(rows) / POINTS)
    stretches = [rows[first : first + stretch] for first in range(0, len(rows), stretch or 1)]
    if not stretches:
        return None
    return LossView(
        steps=[rows[-1][0] for rows in stretches],
        losses=[round(fmean(loss for _, loss in rows), 4) for rows in stretches],
    )
