"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cavesson.errors import ConfigError


def _folder(text: str) -> Path:
    """The folder of a store; an empty text is refused, because Python takes it for the present folder."""
    if not text.strip():
        raise ConfigError("--store is empty.", "Give a folder, or leave the option out.")
    return Path(text)


Place = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="FOLDER",
        parser=_folder,
        help="Folder of the artifact store.",
        show_default="CAVESSON_HOME or the user's data folder",
    ),
]
Out = Annotated[Path | None, typer.Option(help="Also put the report into this folder.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; repeatable.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be made, and make nothing.")]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="KEY=COLUMN,…",
        help="Which columns of the data to use, such as prompt=instruction+input,response=output.",
        show_default="the shape of the rows is recognised",
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="With --seeds auto: how long this command may take (2h, 30m, 1h30m); no look at more seeds starts that does not fit.",
    ),
]
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
