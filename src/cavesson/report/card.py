"""The evidence card as a page (self-contained, two printed pages), as Markdown, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cavesson.argument import listed
from cavesson.estimate import Estimate
from cavesson.figures import duration
from cavesson.findings.card import ApproachView, CardView
from cavesson.findings.result import StudyResult
from cavesson.findings.views import TableView
from cavesson.lab import disk
from cavesson.report.page import asset, render_page


def made(result: StudyResult) -> str:
    """From what a card was made, in a sentence."""
    versions = result.environment.versions
    seeds = ", ".join(map(str, result.environment.seeds))
    return f"cavesson {versions.get('cavesson', '')}, study {result.study}, preset {result.preset}, seeds {seeds}: {result.environment.command}"


def as_html(card: CardView, made: str) -> str:
    """The card as one HTML document that needs no network and no other file."""
    return render_page("card.html", [], asset("report.css") + asset("card.css"), card=card, made=made)


def as_markdown(card: CardView, made: str) -> str:
    """The card as Markdown."""
    return "\n".join(_lines(card, made)) + "\n"


def write_cards(result: StudyResult, folder: Path) -> list[Path]:
    """Write `card.html`, `card.md` and `card.json` for the result's card; of several cards, each with the intervention's place in its name."""
    written = []
    for number, card in enumerate(result.cards):
        name = "card" if len(result.cards) == 1 else f"card-{number + 1}"
        texts = {
            "html": as_html(card, made(result)),
            "md": as_markdown(card, made(result)),
            "json": card.model_dump_json(indent=1),
        }
        for ending, text in texts.items():
            disk.write_whole(folder / f"{name}.{ending}", text)
            written.append(folder / f"{name}.{ending}")
    return written


def _lines(card: CardView, made: str) -> Iterator[str]:
    yield f"# Evidence card: {card.intervention} ({'complete' if card.complete else 'INCOMPLETE'})"
    yield ""
    yield f"{_capital(card.about)}."
    yield ""
    yield from (f"- {line}" for line in card.verdict)
    yield ""
    yield from _table(
        [
            "approach",
            "found",
            "over benign training",
            "verdict",
            "seeds",
            "conservative",
            "realistic",
            "work",
            "trainings",
            "unscored",
        ],
        [
            [
                one.title,
                _figure(one.figure),
                _figure(one.over_benign),
                one.verdict,
                str(one.seeds or "–"),
                one.conservativeness.level,
                one.realism.level,
                cost(one),
                str(one.runs or "–"),
                "–" if one.unscored is None else one.unscored.short,
            ]
            for one in card.approaches
        ],
    )
    yield from _table(
        ["control", "figure", "difference"],
        [[one.name, one.lacking or _figure(one.figure), _figure(one.gap)] for one in card.controls],
    )
    yield from _table(
        ["diagnostic", "verdict", "figure", "reason"],
        [[one.name, one.verdict, _figure(one.figure), _capital(one.reason)] for one in card.diagnostics],
    )
    yield f"Innocuous training afterwards: {card.fate or 'not run'}."
    yield ""
    if card.lacking:
        yield "## What is missing"
        yield ""
        yield from (f"- {line}" for line in card.lacking)
        yield ""
    for one in card.approaches:
        yield f"## {one.title}"
        yield ""
        if one.reason:
            yield _capital(one.reason)
            yield ""
        yield f"Conservative: {one.conservativeness.level}, because {one.conservativeness.why}. Realistic: {one.realism.level}, because {one.realism.why}."
        yield ""
        yield from (f"- Loophole: {line}" for line in one.loopholes)
        if one.would_change:
            yield f"- Would change the verdict: {one.would_change}"
        yield ""
        for view in one.tables:
            yield f"**{view.title}.** {view.caption}"
            yield ""
            yield from _table(view.columns, _words(view))
    if card.argument is not None:
        yield "**The argument.** Each leaf, what it says of a figure, and what was measured."
        yield ""
        yield from listed(card.argument)
        yield ""
    unsound = [one.scorer for one in card.scorers if not one.sound]
    yield f"Scorers on planted answers: {len(card.scorers) - len(unsound)} of {len(card.scorers)} sound{': not ' + ', '.join(unsound) if unsound else ''}."
    yield ""
    yield from (f"- {line}" for line in card.cautions)
    yield ""
    yield made


def cost(one: ApproachView) -> str:
    """The work of an approach in words."""
    return "–" if one.minutes is None or not one.runs else duration(60 * one.minutes)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _figure(figure: Estimate | None) -> str:
    return "–" if figure is None else str(figure)


def _words(view: TableView) -> list[list[str]]:
    return [[str(cell) if cell is not None else "–" for cell in row] for row in view.rows]


def _table(columns: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    yield from (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)
    yield ""
