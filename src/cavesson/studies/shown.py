"""What a study shows, declared: tables, charts and claims, each a title, what a row is, and a function for each figure.

Wherever a figure cannot be had (`NotRun`, `NotApplicable`), its cell stays empty, its line or row is left out, and its claim
says what was not run, or why it does not apply. A study therefore never asks whether something was run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import NoneType
from typing import Any, Literal

from cavesson.analysis.claims import Claim, ClaimResult, Kind, Verdict, not_applicable, not_run
from cavesson.estimate import Estimate, Unit
from cavesson.findings.tally import told
from cavesson.findings.views import ClaimView, CurveView, SeriesView, TableView
from cavesson.studies.grid import Measured
from cavesson.studies.sample import NotApplicable, NotRun, Sample

Figure = Sample | Estimate | str | None
"""What a column's function gives: scores, an estimate, or words."""


class Note(str):
    """A paragraph that the reader of a report must know; a study yields it among what it shows."""

    __slots__ = ()


def figure(found: Figure, unit: Unit | None = None) -> Estimate | str | None:
    """A figure as it stands in a table.

    Raises:
        TypeError: it is a bare number, say.
    """
    if isinstance(found, Sample):
        found = found.estimate
    if not isinstance(found, (Estimate, str, NoneType)):
        raise TypeError(f"a figure is a Sample, an Estimate or words, not a {type(found).__name__}")
    return found.in_unit(unit) if isinstance(found, Estimate) and unit is not None else found


def tried(make: Callable[[], Figure], unit: Unit | None = None) -> Estimate | str | None:
    """The figure, or None where it cannot be had."""
    try:
        return figure(make(), unit)
    except (NotRun, NotApplicable):
        return None


def known(make: Callable[[], object]) -> bool:
    """Whether a figure can be had."""
    try:
        make()
    except (NotRun, NotApplicable):
        return False
    return True


def table(
    title: str,
    caption: str,
    rows: Mapping[Any, Any],
    columns: Mapping[str, Callable[[Any], Figure]],
    *,
    first: str | Sequence[str] = "",
    unit: Unit | None = None,
    shade: Literal["good", "bad"] | None = None,
) -> TableView | None:
    """A table with a row for each thing and a column for each function; a row without any figure is left out.

    Args:
        rows: the name of each row (a tuple for several leading columns) and the thing that the columns'
            functions are asked about.
        columns: the name of each column and its function.
        first: the names of the leading columns.
        unit: how figures are written; None: as they come.
        shade: colour figures by value, "good" where high is good.

    Returns:
        None if there is no row.
    """
    heads = (first,) if isinstance(first, str) else tuple(first)
    shown = []
    for name, thing in rows.items():
        cells = [tried(partial(make, thing), unit) for make in columns.values()]
        if any(cell is not None for cell in cells):
            shown.append([*map(str, name if isinstance(name, tuple) else (name,)), *cells])
    if not shown:
        return None
    return TableView(title=title, caption=caption, columns=[*heads, *columns], rows=shown, shade=shade)


def chart(
    title: str,
    series: Mapping[str, tuple[Sequence[float], Callable[[Any], Figure]]],
    *,
    x: str,
    y: str,
    caption: str = "",
    log_x: bool = False,
    unit: Unit | None = None,
) -> CurveView | None:
    """A chart with a line for each series: its x, and the figure at each of them; a point that was not run is left out.

    Returns:
        None if there is no line.
    """
    lines = []
    for name, (places, make) in series.items():
        points = [(float(at), tried(partial(make, at), unit)) for at in places]
        if words := [value for _, value in points if isinstance(value, str)]:
            raise TypeError(f"a chart's point is a figure, not the words {words[0]!r}")
        found = [(at, value) for at, value in points if isinstance(value, Estimate)]
        if found:
            lines.append(SeriesView(name=name, x=[at for at, _ in found], rates=[value for _, value in found]))
    if not lines:
        return None
    return CurveView(title=title, caption=caption, x_label=x, y_label=y, log_x=log_x, series=lines)


def claim(
    id: str,
    statement: str,
    published: str,
    test: Callable[[Measured], ClaimResult],
    *,
    source: str,
    unit: Unit | None = None,
    says: Mapping[Verdict, str] | None = None,
    kind: Kind = "replication",
    needs: Callable[[Any], str | None] | None = None,
) -> Claim[Measured]:
    """A published statement and the test that decides it here; without the runs that the test needs its verdict is "not run".

    Args:
        id: stable name; the study's name stands in front of it in reports.
        statement: what was published, in words that this study can test.
        published: the published figure.
        test: from what was measured to what was found.
        source: where it was published.
        unit: how our figure is written; None: as it comes.
        says: what each verdict is called, if not by its own name.
        kind: a replication, or a check of the machinery: an effect that this project planted, or a control.
        needs: from the config to what the claim needs more than that, in words; None: nothing.
    """

    def guarded(measured: Measured) -> ClaimResult:
        try:
            return test(measured)
        except NotRun as lacking:
            return not_run(str(lacking))
        except NotApplicable as why:
            return not_applicable(str(why), why.ours)

    return Claim(id, source, statement, published, guarded, unit, says or {}, kind, needs)


def tally(judged: Sequence[ClaimView]) -> str:
    """`Of 22 statements, 9 hold, 1 does not hold and 12 are undecided.`

    Raises:
        NotRun: there are no claims.
    """
    if not judged:
        raise NotRun("claims")
    return told(judged)


def rulings(
    title: str, caption: str, hypotheses: Mapping[str, Sequence[Claim[Measured]]], measured: Measured
) -> TableView | None:
    """A table of hypotheses: what bears on each, what it predicts, what was found, and what became of it.

    Args:
        hypotheses: by name, claims in words of their own (`says`); a claim's `published` is what the hypothesis predicts.
    """
    rows = {}
    for name, claims in hypotheses.items():
        for one in claims:
            found = one.judged(measured, measured.config)
            rows[name, found.measure or one.statement] = (one, found)
    return table(
        title,
        caption,
        rows,
        {
            "it predicts": lambda row: row[0].published,
            "here": lambda row: row[1].ours,
            "ruling": lambda row: row[0].ruling(row[1]),
        },
        first=("hypothesis", "measured"),
    )
