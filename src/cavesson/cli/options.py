"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from cavesson.errors import ConfigError, quoted


@contextmanager
def naming(option: str, value: str) -> Iterator[None]:
    """Let an error about the value of an option name the option, as the user typed both."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{option} {quoted(value)} does not fit: {error.problem}", error.remedy) from error


def without_types(command: Any) -> None:
    """Let the help of a command, and of the commands below, show a flag as a flag: a flag takes no value, so has no `<bool>`."""
    asked = command.get_help_option(typer.Context(command))
    for param in (*command.params, *([] if asked is None else [asked])):
        if getattr(param, "is_flag", False):
            param.metavar = ""
    for below in getattr(command, "commands", {}).values():
        without_types(below)


@contextmanager
def plainly() -> Iterator[None]:
    """Let the refusal of an option's value be a sentence where Typer hands on pydantic's words."""
    try:
        yield
    except typer.BadParameter as error:
        from pydantic import ValidationError

        from cavesson.lab.documents import in_words

        if isinstance(error.__cause__, ValidationError):
            error.message = "; ".join(in_words(detail) for detail in error.__cause__.errors()) + "."
        raise


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
        help="Keep loss, rates and findings for other programs: jsonl (JSON lines beside the report), wandb, mlflow, trackio, "
        "tensorboard, or FILE.py:NAME; repeatable.",
    ),
]
