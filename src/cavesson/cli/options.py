"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Workers = Annotated[str, typer.Option(help="Processes to use: a number or auto.")]
Executor = Annotated[
    str,
    typer.Option(
        help="Where artifacts are made: local (one worker: this process), pool (always other processes) or FILE.py:NAME."
    ),
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Keep loss, rates and findings for other programs: jsonl (JSON lines beside the report) or FILE.py:NAME; "
        "repeatable.",
    ),
]
