"""`cavesson evaluate`: one intervention goes in, one evidence card comes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cavesson.cli.options import Settings
from cavesson.cli.run import carry_out, in_lines, terminal_table
from cavesson.cli.study_command import OneStudysCommand, given_flags, how

if TYPE_CHECKING:
    from cavesson.findings.result import StudyResult
    from cavesson.lab.show.terminal import Console

BESIDE = ("Controls", "Four diagnostics")
"""Tables of the card that the terminal shows beside its first."""


class EvaluateCommand(OneStudysCommand):
    """`evaluate` with the options of the study `evaluate`."""

    study = "evaluate"
    replaced = ("intervention",)


def evaluate_intervention(
    ctx: typer.Context,
    intervention: Annotated[
        str,
        typer.Argument(
            help="A move's name (`cavesson list interventions`), with its strength: kl@0.3; or your own: file.py:function.",
            show_default=False,
        ),
    ],
    preset: Annotated[
        str | None,
        typer.Option(
            help="quick takes minutes on a laptop, full the better part of an hour; adversarial also searches for organisms."
        ),
    ] = None,
    set_: Settings = None,
) -> None:
    """Evaluate an intervention by five approaches beside its controls, and write an evidence card.

    Example: cavesson evaluate pirate --preset quick

    Example: cavesson evaluate curt.py:curt --out card
    """
    from cavesson.studies.resolve import refuse_repeats, resolve

    given = {intervention: ("intervention", intervention), **given_flags(ctx)}
    refuse_repeats(set_ or [], given)
    resolved = resolve("evaluate", preset, set_ or [], given)
    finished = carry_out(resolved, how(ctx))
    if finished is None:
        return
    from cavesson.lab.show.terminal import Console

    show_card(finished.result, finished.report.parent, Console())


def show_card(result: StudyResult, folder: Path, console: Console) -> None:
    """Print what the card has beside the study's first table, what it lacks, and where it lies."""
    for table in result.tables:
        if table.title in BESIDE:
            console.print()
            console.print(terminal_table(table, console.width))
    for card in result.cards:
        for line in (*card.lacking, *card.cautions):
            for part in in_lines(f"note: {line}", console.width):
                console.print(part, markup=False, highlight=False)
    typer.echo(f"card: {folder / 'card.html'}")
