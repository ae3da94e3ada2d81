"""Result in, one HTML file out: template, style, scripts and data inlined, nothing fetched.

The charts are drawn by the page's own small scripts (`assets/`): a charting library would be several times as large as a
whole report, and its charts would follow neither the reader's dark mode nor the printed page.
A content security policy with the hash of our script keeps anything else from running, should escaping ever fail.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cavesson.errors import StoreError
from cavesson.findings.result import StudyResult
from cavesson.findings.views import TableView
from cavesson.lab import disk
from cavesson.report.data import page_data
from cavesson.report.recipes import recipes_by_stage
from cavesson.report.text import duration, unbroken, visible, web_link
from cavesson.stats import Estimate

SCRIPTS = ("text.js", "plot.js", "frontier.js", "lines.js", "sections.js", "transcripts.js")
"""In the order in which they are run; each adds to one shared scope."""


def render(result: StudyResult) -> str:
    """The report as one HTML document that needs no network and no other file."""
    return render_page(
        "report.html",
        SCRIPTS,
        asset("report.css"),
        result=result,
        data=page_data(result),
        trade_offs=trade_offs(result),
        stages=recipes_by_stage(result),
    )


def render_page(template: str, scripts: Sequence[str], style: str, **values: Any) -> str:
    """A template with a style and scripts inlined; nothing but these scripts can run in the page."""
    script = "(() => {\n'use strict';\n" + "\n".join(asset(name) for name in scripts) + "\n})();"
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _templates().get_template(template)
    return page.render(**values, style=Markup(style), script=Markup(script), script_hash=script_hash)


def write(result: StudyResult, folder: Path) -> Path:
    """Write `report.html` into a folder (made if missing), whole or not at all.

    Returns:
        The report's path.

    Raises:
        StoreError: the folder cannot be written.
    """
    return write_page(render(result), folder)


def write_page(page: str, folder: Path) -> Path:
    """Write a page as `write` does."""
    path = folder / "report.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        disk.write_whole(path, page)
    except OSError as error:
        unwritable = StoreError(f"The report {path} cannot be written: {error.strerror or error}.",
                                "Name another folder with --out.")  # fmt: skip
        raise disk.refusal(error, folder) or unwritable from error
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
        "The hull as drawn joins lucky checkpoints; the figures here are cross-fitted, which means that corners are chosen on "
        "two thirds of the prompts and measured on the other third."
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
    return TableView(
        title="The trade-off in figures",
        caption=caption,
        columns=[names[i] for i in measured],
        rows=[[row[i] for i in measured] for row in rows],
    )


def asset(name: str) -> str:
    """The text of a style sheet, script or template of the reports."""
    return resources.files("cavesson.report").joinpath("assets", name).read_text(encoding="utf-8")


def _finalize(value: Any) -> Any:
    """Every piece of text that a template puts out shows its control characters; markup of our own passes."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("cavesson.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters.update(
        duration=duration,
        unbroken=unbroken,
        web_link=web_link,
        dictvalues=lambda d: list(d.values()),
    )
    environment.tests["rate"] = lambda value: isinstance(value, Estimate)
    return environment
