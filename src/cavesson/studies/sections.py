"""A block of a study: the parts that it adds to the study's result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from cavesson.findings.views import (
    ClaimView,
    CurveView,
    FrontierView,
    MeasureView,
    OrganismView,
    PointView,
    TableView,
    Transcript,
)


@dataclass(frozen=True, slots=True)
class Sections:
    """What one block adds to each part of a `StudyResult`."""

    headline: list[str] = field(default_factory=list)
    measures: list[MeasureView] = field(default_factory=list)
    organisms: list[OrganismView] = field(default_factory=list)
    points: list[PointView] = field(default_factory=list)
    frontiers: list[FrontierView] = field(default_factory=list)
    curves: list[CurveView] = field(default_factory=list)
    tables: list[TableView] = field(default_factory=list)
    claims: list[ClaimView] = field(default_factory=list)
    transcripts: list[Transcript] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def parts(self) -> dict[str, Any]:
        """Every part by its name in `StudyResult`."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def joined(blocks: Sequence[Sections]) -> Sections:
    """All blocks as one, in order; a measure or an organism that several of them name comes once."""
    parts = {each.name: [one for block in blocks for one in getattr(block, each.name)] for each in fields(Sections)}
    for part in ("measures", "organisms"):
        parts[part] = list({one.id: one for one in reversed(parts[part])}.values())[::-1]
    return Sections(**parts)
