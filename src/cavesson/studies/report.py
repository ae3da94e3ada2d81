"""From the finished artifacts of a study to its `StudyResult`: the same for every study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import partial
from types import NoneType
from typing import Any

from cavesson.analysis.claims import Claim, ClaimResult
from cavesson.evals.benchmarks import BENCHMARKS
from cavesson.findings.about import About
from cavesson.findings.card import CardView
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
from cavesson.lab.own import calling
from cavesson.lab.recipe import PathOf
from cavesson.studies.grid import Cell, Measured
from cavesson.studies.looks import at_the_look, cost, schedule_note, what_would_decide
from cavesson.studies.resolve import Resolved
from cavesson.studies.sample import NotApplicable, NotRun
from cavesson.studies.sources import URLS
from cavesson.studies.spread import variance_table

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
    CardView: "cards",
}
"""Where each kind of view stands in a `StudyResult`."""


def report(resolved: Resolved, path_of: PathOf, about: About) -> StudyResult:
    """The result of a study; at a look (`cavesson.studies.looks`), its intervals are at the look's level.

    Raises:
        CavessonError: there is nothing to report on (no organism shows the behaviour, say).
    """
    with at_the_look(resolved.config):
        return _report(resolved, path_of, about)


def _report(resolved: Resolved, path_of: PathOf, about: About) -> StudyResult:
    study, notes = resolved.study, list[str]()
    cells = resolved.cells
    seconds = {view.fingerprint: view.seconds for view in about.recipes if view.seconds is not None}
    measured = replace(Measured.read(cells, path_of, resolved.config), seconds=seconds)
    if study.admits is not None:
        with _asking("`admits`"):
            admitted = study.admits(measured)
            if not (isinstance(admitted, tuple) and isinstance(admitted[0], Measured)):
                raise TypeError(f"it gives what is judged and a list of notes, not a {type(admitted).__name__}")
            measured, notes = admitted
    judged = claims_of(study.name, study.claims, measured, a_seed=_cost_of_a_seed(cells, seconds))
    title = study.title
    if study.titled is not None:
        with _asking("`titled`"):
            title = study.titled(measured)
            if not isinstance(title, str):
                raise TypeError(f"a title is text, not a {type(title).__name__}")
    sections: dict[str, list[Any]] = {section: [] for section in SECTIONS.values()}
    sections["claims"] += judged
    for part in shown_by(study.shows, measured):
        if isinstance(part, str):
            notes.append(part)
        else:
            sections[SECTIONS[type(part)]].append(part)
    if (spread := variance_table(measured)) is not None:
        sections["tables"].append(spread)
    sections["measures"] += other_measures(sections["measures"], measured)
    notes += about.notes
    looks = resolved.config.looks
    if looks is not None:
        notes.insert(0, schedule_note(looks))
    return StudyResult(
        study=study.name,
        preset=resolved.preset,
        title=title,
        headline=list(shown_by(study.headline, measured, judged)) or [study.title],
        config=about.config,
        environment=about.environment,
        recipes=about.recipes,
        notes=notes,
        warnings=about.warnings,
        **sections,
    )


def files_of(resolved: Resolved, path_of: PathOf) -> dict[str, str]:
    """The content of the further files that a study writes beside its report, by name; intervals as of `report`."""
    study = resolved.study
    if not study.files:
        return {}
    measured = Measured.read(resolved.cells, path_of, resolved.config)
    found = {}
    with at_the_look(resolved.config):
        for name, text in study.files.items():
            with suppress(NotRun, NotApplicable), _asking(f"the file {name!r}"):
                found[name] = text(measured)
    return found


def _cost_of_a_seed(cells: Sequence[Cell], seconds: Mapping[str, float]) -> float | None:
    found = cost(cells, seconds, frozenset())
    return None if found is None else found.a_seed


def claims_of(
    study: str, claims: Sequence[Claim[Measured]], measured: Measured, *, a_seed: float | None = None
) -> list[ClaimView]:
    """What was published, and what decided it here.

    Args:
        a_seed: seconds of work for one more seed, to say what it costs to decide a claim; None: not known.

    Raises:
        CavessonError: a test raises something, or gives no `ClaimResult`.
    """
    judged: list[ClaimView] = []
    intervals: dict[Any, str] = {}
    for claim in claims:
        found = _judged(study, claim, measured, a_seed)
        if found.ours is not None and found.measure:
            first = intervals.setdefault((found.ours.value, found.ours.low, found.ours.high, found.measure), found.id)
            found = found.model_copy(update={"shares": first if first != found.id else ""})
        judged.append(found)
    return judged


def _judged(study: str, claim: Claim[Measured], measured: Measured, a_seed: float | None) -> ClaimView:
    with _asking(f"the claim {claim.id!r}"):
        config = getattr(measured, "config", None)
        found = claim.judged(measured, config)
        if not isinstance(found, ClaimResult):
            raise TypeError(f"a test gives a ClaimResult, such as at_least(…), not a {type(found).__name__}")
    return ClaimView(
        id=f"{study}/{claim.id}",
        source=claim.source,
        url=URLS.get(claim.source, ""),
        statement=claim.statement,
        published=claim.published,
        ours=found.ours if found.ours is None or claim.unit is None else found.ours.in_unit(claim.unit),
        measure=found.measure,
        verdict=found.verdict,
        reason=found.reason,
        told=found.told if found.tentative else "",
        kind=claim.kind,
        to_decide=what_would_decide(partial(claim.judged, measured, config), found, len(config.seeds), a_seed)
        if config
        else "",
    )


def shown_by(shows: Sequence[Callable[..., Any]], *given: Any) -> Iterator[Any]:
    """What the functions give, in order; a part whose figures cannot be had is left out.

    Raises:
        CavessonError: a function raises something else, or gives what is no part of a report.
    """
    for show in shows:
        try:
            with _asking(f"{getattr(show, '__name__', show)!r}"):
                found = show(*given)
                parts: Iterable[Any] = found if isinstance(found, (tuple, list, Iterator)) else [found]
                for part in parts:
                    if not isinstance(part, (str, *SECTIONS, NoneType)):
                        raise TypeError(f"a part is a table, a chart, or words, not a {type(part).__name__}")
                    if part is not None:
                        yield part
        except (NotRun, NotApplicable):
            continue


def _asking(what: str) -> AbstractContextManager[None]:
    """A call of one of the study's functions."""
    remedy = "Correct the study and run it again: all that was made is in the store."
    return calling(f"The report cannot be written: {what}", remedy, passing=(NotRun, NotApplicable))


def other_measures(known: Sequence[MeasureView], measured: Measured) -> Iterator[MeasureView]:
    """What was measured and is not described yet, in the words of its benchmark; a user's own label has no words."""
    described = {one.id for one in known}
    labels = dict.fromkeys(label for place in measured for label in scored(place) if label not in described)
    for label in labels:
        benchmark = BENCHMARKS.get(label.partition("/")[0])
        kind = "capability" if benchmark is not None and benchmark.capability else "other"
        yield MeasureView(id=label, title=label, kind=kind, description="" if benchmark is None else benchmark.about)


def scored(place: Any) -> list[str]:
    """Labels of what a place was scored on; none where nothing was scored."""
    try:
        return list(place.evals())
    except NotRun:
        return []
