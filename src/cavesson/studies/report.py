"""From the finished artifacts of a study to its `StudyResult`: the same for every study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from cavesson.analysis.claims import Claim, judge
from cavesson.evals.benchmarks import BENCHMARKS
from cavesson.findings.about import About
from cavesson.findings.result import StudyResult
from cavesson.findings.views import (
    ClaimView,
    CurveView,
    FrontierView,
    MeasureView,
    OrganismView,
    PointView,
    ReversalView,
    TableView,
    Transcript,
    View,
)
from cavesson.lab.recipe import PathOf
from cavesson.studies.grid import Measured, NotApplicable, NotRun
from cavesson.studies.resolve import Resolved
from cavesson.studies.shown import Note

T = TypeVar("T")

SECTIONS: dict[type[View], str] = {
    MeasureView: "measures",
    OrganismView: "organisms",
    PointView: "points",
    FrontierView: "frontiers",
    ReversalView: "reversals",
    CurveView: "curves",
    TableView: "tables",
    ClaimView: "claims",
    Transcript: "transcripts",
}
"""Where each kind of view stands in a `StudyResult`."""


def report(resolved: Resolved, path_of: PathOf, about: About) -> StudyResult:
    """The result of a study.

    Raises:
        CavessonError: there is nothing to report on (no organism shows the behaviour, say).
    """
    study, notes = resolved.study, list[str]()
    measured = Measured.read(study.grid(resolved.config), path_of, resolved.config)
    if study.admits is not None:
        measured, notes = study.admits(measured)
    judged = claims_of(study.name, study.claims, measured)
    sections: dict[str, list[Any]] = {section: [] for section in SECTIONS.values()}
    sections["claims"] += judged
    for part in shown_by(study.shows, measured):
        if isinstance(part, Note):
            notes.append(part)
        else:
            sections[SECTIONS[type(part)]].append(part)
    sections["measures"] += other_measures(sections["measures"], measured)
    return StudyResult(
        study=study.name,
        preset=resolved.preset,
        title=study.title if study.titled is None else study.titled(measured),
        headline=list(shown_by(study.headline, measured, judged)) or [study.title],
        config=about.config,
        environment=about.environment,
        recipes=about.recipes,
        notes=notes,
        **sections,
    )


def claims_of(study: str, claims: Sequence[Claim[Measured]], measured: Measured) -> list[ClaimView]:
    """What was published, and what decided it here."""
    return [
        ClaimView(
            id=f"{study}/{claim.id}",
            source=claim.source,
            statement=claim.statement,
            published=claim.published,
            ours=found.ours if found.ours is None or claim.unit is None else found.ours.in_unit(claim.unit),
            measure=found.measure,
            verdict=found.verdict,
            reason=found.reason,
        )
        for claim, found in judge(claims, measured)
    ]


def shown_by(shows: Sequence[Callable[..., Any]], *given: Any) -> Iterator[Any]:
    """What the functions give, in order; a part whose figures cannot be had is left out."""
    for show in shows:
        try:
            found = show(*given)
            parts: Iterable[Any] = [found] if found is None or isinstance(found, (str, View)) else found
            yield from (part for part in parts if part is not None)
        except (NotRun, NotApplicable):
            continue


def other_measures(known: Sequence[MeasureView], measured: Measured) -> Iterator[MeasureView]:
    """What was measured and is not described yet, in the words of its benchmark."""
    described = {one.id for one in known}
    labels = dict.fromkeys(label for place in measured for label in scored(place) if label not in described)
    for label in labels:
        benchmark = BENCHMARKS[label.partition("/")[0]]
        kind = "capability" if benchmark.capability else "other"
        yield MeasureView(id=label, title=label, kind=kind, description=benchmark.about)


def scored(place: Any) -> list[str]:
    """Labels of what a place was scored on; none where nothing was scored."""
    try:
        return list(place.evals())
    except NotRun:
        return []
