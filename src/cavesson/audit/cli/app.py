"""`cavesson audit`: measure auditors on papers whose code may be sabotaged."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from cavesson.audit.cli.human import human
from cavesson.audit.cli.options import BenchAt, Only, Unsafe, Workers, loaded_bench
from cavesson.audit.cli.red import attack, mutants
from cavesson.audit.cli.report import report
from cavesson.audit.cli.run import run

if TYPE_CHECKING:
    from cavesson.audit.verify import Row, VerifyTable

app = typer.Typer(no_args_is_help=True, help="Research sabotage: check, audit and score papers with their code.")
app.command()(human)
app.command()(report)
app.command()(run)
app.command()(attack)
app.add_typer(mutants, name="mutants")


@app.command("list")
def list_cases(
    bench: BenchAt = None,
    only: Only = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Also show which cases are sabotaged, and how.")] = False,
) -> None:
    """List the cases of a bench.

    Example: cavesson audit list
    """
    for codebase, cases in groupby(loaded_bench(bench).cases(tuple(only or ())), key=lambda case: case.codebase):
        twins = list(cases)
        typer.echo(fill(f"{codebase}: {twins[0].paper_name}", 78, subsequent_indent="  ", break_long_words=False))
        for case in twins:
            label = f"  {'honest' if case.honest else case.kind or 'sabotaged'}" if reveal else ""
            typer.echo(f"  {case.id:24}{label}".rstrip())


@app.command()
def verify(
    bench: BenchAt = None,
    only: Only = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds with commas.", show_default="the papers' own")] = None,
    workers: Workers = None,
    unsafe: Unsafe = False,
) -> None:
    """Execute every twin and check its answer key: honest findings hold, sabotaged ones flip, the fix restores them.

    Example: cavesson audit verify --only bon
    """
    from cavesson.audit.sandbox.find import find_sandbox
    from cavesson.audit.verify import verify as check

    loaded = loaded_bench(bench)
    with _progress() as on_done:
        table = check(
            loaded.cases(tuple(only or ())),
            find_sandbox(unsafe=unsafe, hidden=(loaded.root,)),
            seeds=None if seeds is None else _numbers(seeds),
            workers=workers,
            on_done=on_done,
        )
    _print_verified(table)
    if table.misses or loaded.left_out:
        raise typer.Exit(1)


def _print_verified(table: VerifyTable) -> None:
    """One line per version of a case and finding, with a mark for each seed; then the problems."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in table.rows:
        groups.setdefault((row.case, row.version, row.finding), []).append(row)
    widths = [max(len(key[column]) for key in groups) for column in range(3)] if groups else [0, 0, 0]
    for key, rows in groups.items():
        names = "  ".join(f"{name:{width}}" for name, width in zip(key, widths, strict=True))
        should = "hold" if rows[0].expected else "flip"
        marks = "  ".join(f"{'-' if row.seed is None else row.seed}: {_WORDS[row.got]}" for row in rows)
        seconds = sum(row.seconds for row in rows) / len(rows)
        miss = "" if all(row.ok for row in rows) else "  MISS"
        typer.echo(f"{names}  should {should:4}  seed {marks}  ({seconds:.1f} s){miss}")
    for problem in dict.fromkeys(f"{row.case} ({row.version}): {row.problem}" for row in table.misses if row.problem):
        typer.echo(problem)
    typer.echo(f"{len(table.rows) - len(table.misses)} of {len(table.rows)} statements confirmed", err=True)


_WORDS = {True: "holds", False: "flipped", None: "failed"}


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on the terminal; the function that is yielded tells the bar how many of how many runs are done."""
    from rich.progress import Progress

    from cavesson.lab.show.terminal import Console

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("runs", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _numbers(text: str) -> tuple[int, ...]:
    from cavesson.errors import ConfigError

    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError as error:
        raise ConfigError(f"{text!r} is no list of seeds.", "Write whole numbers with commas: 0,1,2") from error
