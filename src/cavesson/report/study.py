"""The report of a study: a function of its `StudyResult` alone."""

from __future__ import annotations

from pathlib import Path

from cavesson.estimate import Estimate
from cavesson.findings.result import StudyResult
from cavesson.findings.tally import by_chance, counts
from cavesson.findings.views import TableView
from cavesson.report.card import write_cards
from cavesson.report.cautions import by_name, cautions
from cavesson.report.data import page_data
from cavesson.report.glossary import WORDS
from cavesson.report.page import asset, render_page, write_page
from cavesson.report.recipes import recipes_by_stage

SCRIPTS = ("text.js", "plot.js", "frontier.js", "lines.js", "sections.js", "transcripts.js")
"""The scripts of the page, in the order in which they run."""


def render(result: StudyResult) -> str:
    """The report as one HTML document that needs no network and no other file."""
    return render_page(
        "report.html",
        [asset(name) for name in SCRIPTS],
        asset("report.css"),
        result=result,
        data=page_data(result),
        trade_offs=trade_offs(result),
        tables=[without_repeats(view) for view in result.tables],
        cautions=by_name(cautions(result)),
        glossary=WORDS,
        verdicts=counts(result.claims),
        by_chance=by_chance(result.claims),
        stages=recipes_by_stage(result),
    )


def write(result: StudyResult, folder: Path) -> Path:
    """Write the report as `write_page` does, and the evidence cards, if any, beside it."""
    path = write_page(render(result), folder)
    write_cards(result, folder)
    return path


def trade_offs(result: StudyResult) -> TableView | None:
    """The figures of every frontier (None: the study has none)."""
    if not result.frontiers:
        return None
    titles = {o.id: o.title for o in result.organisms}
    rows: list[list[Estimate | str | None]] = [
        [
            titles[f.organism],
            "all together" if f.intervention == "all" else f.intervention,
            f.auc,
            f.removed_at_10,
            f.loss_at_half,
        ]
        for f in result.frontiers
    ]
    caption = (
        "Robustness AUC is the area under the hull: 0.5 means that removal costs capability in proportion, 1 that it is free. "
        "The hull as drawn joins the checkpoints as measured."
    )
    if any(f.auc.method.startswith("cross-fitted") for f in result.frontiers):
        caption += (
            " Of many checkpoints it joins the lucky ones; the figures are then cross-fitted, which means that corners are chosen "
            "on two thirds of the prompts and measured on the other third."
        )
    naive = [f.naive_auc - f.auc.value for f in result.frontiers if f.naive_auc is not None]
    if naive:
        gap = sum(naive) / len(naive)
        caption += f" The area as drawn is {abs(gap):.2f} {'higher' if gap >= 0 else 'lower'} on average."
    names = [
        "organism",
        "intervention",
        "robustness AUC",
        "removed within 10 % capability loss",
        "capability lost at half removal",
    ]
    measured = [i for i, name in enumerate(names) if i < 2 or any(row[i] is not None for row in rows)]
    whole = TableView(
        title="The trade-off in figures",
        caption=caption,
        columns=[names[i] for i in measured],
        rows=[[row[i] for i in measured] for row in rows],
    )
    return without_repeats(whole)


def without_repeats(view: TableView) -> TableView:
    """The table without leading columns that say the same in each of several rows; its caption says so once."""
    said = ""
    while len(view.columns) > 2 and len(view.rows) > 1 and isinstance(same := view.rows[0][0], str):
        if any(row[0] != same for row in view.rows):
            break
        said += f"{view.columns[0].capitalize()}: {same}. " if same else ""
        view = view.model_copy(update={"columns": view.columns[1:], "rows": [row[1:] for row in view.rows]})
    return view.model_copy(update={"caption": f"{said}{view.caption}".strip()}) if said else view
