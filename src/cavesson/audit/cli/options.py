"""Options that several `cavesson audit` commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cavesson.audit.bench import Bench

BenchAt = Annotated[Path | None, typer.Option("--bench", help="Folder of a bench.", show_default="the built-in one")]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="Only these cases or codebases; may be repeated.", show_default="all")
]
Unsafe = Annotated[
    bool, typer.Option("--unsafe-no-sandbox", help="Run code under audit as yourself, without any protection.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Runs at a time.", show_default="one per processor")]
Cases = Annotated[str | None, typer.Option("--cases", help="Cases or codebases, with commas.", show_default="all")]


def words(text: str | None) -> tuple[str, ...]:
    """The parts of a text with commas, each once."""
    return tuple(dict.fromkeys(word.strip() for word in (text or "").split(",") if word.strip()))


def loaded_bench(path: Path | None) -> Bench:
    """The bench in a folder; what was left out, and what was made of odd entries, is said on the terminal."""
    from cavesson.audit.bench import load_bench

    bench = load_bench(path)
    for line in bench.notes:
        typer.echo(f"note: {line}", err=True)
    for line in bench.left_out:
        typer.echo(f"left out: {line}", err=True)
    if bench.left_out:
        typer.echo(f"entries left out: {len(bench.left_out)}; cases loaded: {len(bench.everything)}", err=True)
    return bench
