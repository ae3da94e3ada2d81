"""`cavesson audit report`: verdicts, scored, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cavesson.audit.cli.options import BenchAt, Cases, loaded_bench, words


def report(
    verdicts: Annotated[list[Path], typer.Argument(help="Files of verdicts.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write report.html into.")] = Path("audit-report"),
    bench: BenchAt = None,
    cases: Cases = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Also show each case's label and answer key beside the verdicts.")
    ] = False,
) -> None:
    """Score verdicts and write a report: one HTML file that fetches nothing.

    Grades of fixes (cavesson audit human --grade VERDICTS) are read from beside each file of verdicts.

    Example: cavesson audit report verdicts.jsonl --out audit-report --reveal
    """
    from cavesson.audit.fixes import grades_beside, read_grades
    from cavesson.audit.report.page import AuditReport, write
    from cavesson.audit.verdicts import read_verdicts

    loaded = loaded_bench(bench)
    made = AuditReport(
        loaded.cases(words(cases)),
        [verdict for path in verdicts for verdict in read_verdicts(path)],
        [grade for path in verdicts if (beside := grades_beside(path)).exists() for grade in read_grades(beside)],
        reveal=reveal,
    )
    for line in made.lines():
        typer.echo(line)
    typer.echo(str(write(made, out)))
