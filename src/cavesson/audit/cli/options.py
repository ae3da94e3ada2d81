"""Options that several `cavesson audit` commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
