"""The pictures of the pages of results, as SVG: figures with intervals and seeds, and how the statements came out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from textwrap import wrap

from cavesson.estimate import Estimate, Unit
from cavesson.findings.tally import counted
from cavesson.findings.views import ClaimView, TableView

WIDTH, LABELS, GAP, ROW, TOP, BOTTOM = 700, 190, 44, 42, 46, 28
INK, SOFT, LINE, FILL = "#292524", "#57534e", "#d6d3d1", "#0f766e"
MOST_PANELS = 4
LETTER = 7.2
"""Width of a letter, about, in the units of the picture."""
STYLE = (
    f"text{{font:12px system-ui,sans-serif;fill:{INK}}}.title{{font-weight:600}}.tick{{font-size:11px;fill:{SOFT}}}"
    ".mid{text-anchor:middle}.end{text-anchor:end}.on{fill:#fff}"
)
VERDICTS = {
    "holds": "#0f766e",
    "suggests it holds": "#5eaaa3",
    "this seed: yes": "#5eaaa3",
    "does not hold": "#c2410c",
    "suggests it does not hold": "#e0936f",
    "this seed: no": "#e0936f",
    "undecided": "#a8a29e",
    "not applicable": "#d6d3d1",
    "not run": "#ece9e7",
}
"""Verdict → its colour, in the order of the bars."""


def _svg(height: float, marks: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img"><style>{STYLE}</style>'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="#ffffff"/>', *marks, "</svg>"]) + "\n"


# ----------------------------------------------------------------------------------------------- figures


def figures(table: TableView, labels: Sequence[int], columns: Sequence[int]) -> str:
    """A row of points with intervals for each row of a table, one panel a column; faint points are single seeds.

    Args:
        labels: columns whose words name a row.
        columns: columns of figures, of which the first `MOST_PANELS` are drawn.
    """
    shown = columns[:MOST_PANELS]
    width = (WIDTH - LABELS - 24 + GAP) / len(shown) - GAP
    height = TOP + ROW * len(table.rows) + BOTTOM
    marks = [
        f'<text x="{LABELS - 12}" y="{TOP + ROW * (at + 0.6) + 4 + 13 * (line - (len(name) - 1) / 2):.1f}" class="end">{escape(words)}</text>'
        for at, row in enumerate(table.rows)
        for name in [_name(row, labels)]
        for line, words in enumerate(name)
    ]
    drawn = [cell for row in table.rows for column in shown if isinstance(cell := row[column], Estimate)]
    ends = {
        unit: _range([figure for figure in drawn if figure.unit == unit]) for unit in {figure.unit for figure in drawn}
    }
    for at, column in enumerate(shown):
        marks += _panel(table, column, LABELS + at * (width + GAP), width, ends)
    return _svg(height, marks)


def _name(row: Sequence[Estimate | str | None], labels: Sequence[int]) -> list[str]:
    """The lines of a row's name, at most three."""
    name = " · ".join(str(row[column]) for column in labels)
    return wrap(name, int(LABELS / LETTER), max_lines=3, placeholder="…")


def _panel(
    table: TableView, column: int, left: float, width: float, ends: Mapping[Unit, tuple[float, float]]
) -> Iterator[str]:
    """The figures of a column; panels of one unit share the ends of their axis."""
    found = {at: cell for at, row in enumerate(table.rows) if isinstance(cell := row[column], Estimate)}
    low, high = ends[next(iter(found.values())).unit]
    bottom = TOP + ROW * len(table.rows)

    def x(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * width

    one = next(iter(found.values()))
    title = table.columns[column] + (" (points)" if one.unit == "points" else "")
    for line, words in enumerate(wrap(title, int((width + GAP - 20) / LETTER), max_lines=2, placeholder="…")):
        yield f'<text x="{left:.1f}" y="{TOP - 28 + 16 * line}" class="title">{escape(words)}</text>'
    for tick in _ticks(low, high, width):
        yield f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{bottom}" stroke="{LINE if tick else SOFT}"/>'
        if tick in (low, high) or min(x(tick) - x(low), x(high) - x(tick)) > 5 * LETTER:
            yield f'<text x="{x(tick):.1f}" y="{bottom + 18}" class="tick mid">{_tick(tick, one)}</text>'
    for at, figure in found.items():
        y = TOP + ROW * (at + 0.6)
        yield from (
            f'<circle cx="{x(e):.1f}" cy="{y:.1f}" r="3" fill="{FILL}" fill-opacity=".2"/>' for e in figure.each
        )
        yield f'<line x1="{x(figure.low):.1f}" x2="{x(figure.high):.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{FILL}" stroke-width="2"/>'
        yield f'<circle cx="{x(figure.value):.1f}" cy="{y:.1f}" r="5" fill="{FILL}"/>'
        yield f'<text x="{x(figure.value):.1f}" y="{y - 9:.1f}" class="tick mid">{_tick(figure.value, figure)}</text>'


def _ticks(low: float, high: float, width: float) -> list[float]:
    """The ends of an axis, 0 where it lies between them, and the middle of an axis from 0 on that has room for it."""
    return sorted({low, high, 0.0, *([high / 2] if low == 0 and width > 120 else [])})


def _range(found: Sequence[Estimate]) -> tuple[float, float]:
    """Both ends of an axis: 0 to 1 for shares, else the figures' own range, with 0 in it, in tenths."""
    if all(figure.unit == "percent" for figure in found):
        return 0.0, 1.0
    low = min(0.0, *(end for f in found for end in (f.low, *f.each)))
    high = max(0.0, *(end for f in found for end in (f.high, *f.each)))
    return math.floor(low * 10) / 10, max(0.1, math.ceil(high * 10) / 10)


def _tick(value: float, like: Estimate) -> str:
    """A number as the estimate writes it, without the word "points" and without a sign before 0."""
    return like.written(0.0 if abs(value) < 1e-9 else value).removesuffix(" points")


# ----------------------------------------------------------------------------------------------- verdicts


def verdicts(studies: Mapping[str, Sequence[ClaimView]]) -> str:
    """A bar for each study: how many of its statements came out in which way."""
    found = {name: [claim.words for claim in counted(claims)] for name, claims in studies.items()}
    most = max(len(words) for words in found.values())
    scale = (WIDTH - LABELS - 20) / most
    marks = [*_legend([way for way in VERDICTS if any(way in words for words in found.values())])]
    for at, (name, words) in enumerate(found.items()):
        y, left = TOP + ROW * at, float(LABELS)
        marks.append(f'<text x="{LABELS - 12}" y="{y + 19}" class="end">{escape(name)}</text>')
        for way, color in VERDICTS.items():
            if number := words.count(way):
                ink = ' class="mid"' if way in ("not applicable", "not run") else ' class="mid on"'
                marks.append(
                    f'<rect x="{left:.1f}" y="{y}" width="{number * scale:.1f}" height="{ROW - 8}" fill="{color}"/>'
                )
                marks.append(f'<text x="{left + number * scale / 2:.1f}" y="{y + 18}"{ink}>{number}</text>')
                left += number * scale
    return _svg(TOP + ROW * len(found) + 10, marks)


def _legend(ways: Sequence[str]) -> Iterator[str]:
    """The colours of the verdicts, in lines that end within the picture."""
    left, top = 14.0, 4
    for way in ways:
        wide = 34 + 6.2 * len(way)
        if left + wide > WIDTH:
            left, top = 14.0, top + 18
        yield f'<rect x="{left:.0f}" y="{top}" width="12" height="12" fill="{VERDICTS[way]}"/>'
        yield f'<text x="{left + 17:.0f}" y="{top + 10}" class="tick">{way}</text>'
        left += wide
