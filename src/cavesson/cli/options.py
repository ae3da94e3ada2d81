"""Options that several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.main import get_command

from cavesson.errors import ConfigError, quoted


@contextmanager
def naming(option: str, value: str) -> Iterator[None]:
    """Let an error about the value of an option name the option, as the user typed both."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{option} {quoted(value)} does not fit: {error.problem}", error.remedy) from error


def write_text(option: str, path: Path, text: str) -> None:
    """Write the file that an option names, whole or not at all.

    Raises:
        ConfigError: the file cannot be written.
    """
    from cavesson.lab import disk

    try:
        disk.write_whole(path, text)
    except OSError as error:
        raise ConfigError(
            f"{option} {path} cannot be written: {error.strerror}.", "Name a file in a folder that is there."
        ) from error


def with_clusters(command: Any) -> None:
    """Give each command that has `--executor`, here and below, the options of the clusters; they set the environment."""
    known = {name for param in command.params for name in param.opts}
    if "--executor" in known and "--slurm" not in known:
        command.params.extend(_cluster_options())
    for below in getattr(command, "commands", {}).values():
        with_clusters(below)


def _join(address: str | None) -> None:
    if address is not None:
        os.environ["RAY_ADDRESS"] = address


def _submit(settings: list[str] | None) -> None:
    if settings:
        os.environ["CAVESSON_SLURM"] = " ".join(settings)


def _clusters(
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="With --executor ray: the cluster to join, or auto for the one on this machine.",
            show_default="RAY_ADDRESS or a Ray of its own",
            callback=_join,
            expose_value=False,
        ),
    ] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="With --executor slurm: a setting of sbatch, such as partition=gpu or time=4:00:00; repeatable.",
            show_default="CAVESSON_SLURM",
            callback=_submit,
            expose_value=False,
        ),
    ] = None,
) -> None:
    """The options of Ray and SLURM, as the parameters of a function."""


def _cluster_options() -> list[Any]:
    """The options of Ray and SLURM as Typer's parameters, which Typer makes from a function."""
    made = typer.Typer(add_completion=False)
    made.command()(_clusters)
    return [param for param in get_command(made).params if {"--ray-address", "--slurm"} & {*param.opts}]


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


def number_of(workers: str) -> int | Literal["auto"]:
    """The value of `--workers`.

    Raises:
        ConfigError: it is neither a number nor `auto`.
    """
    if workers == "auto":
        return "auto"
    if not workers.isdecimal() or int(workers) < 1:
        raise ConfigError(f"--workers {workers!r} is no number of workers.", "Give a number from 1, or auto.")
    return int(workers)


def seconds_of(budget: str) -> float:
    """The value of `--budget` in seconds: `2h`, `30m`, `90s`, `1h30m`.

    Raises:
        ConfigError: it is no time, or none at all.
    """
    parts = re.fullmatch(
        r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?", budget.replace(" ", "")
    )
    seconds = (
        sum(float(part or 0) * unit for part, unit in zip(parts.groups(), (3600, 60, 1), strict=True)) if parts else 0.0
    )
    if not seconds:
        raise ConfigError(f"--budget {budget!r} is no time.", "Write it like 2h, 30m or 1h30m.")
    return seconds


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
        help="Which columns of the data to use, such as prompt=question,response=reply.",
        show_default="the shape of the rows is recognised",
    ),
]
Budget = Annotated[
    float | None,
    typer.Option(
        metavar="TIME",
        parser=seconds_of,
        help="With --seeds auto: how long this command may take (2h, 30m, 1h30m); no look at more seeds starts that does not fit.",
    ),
]
Workers = Annotated[Any, typer.Option(metavar="NUMBER", parser=number_of, help="Processes to use: a number or auto.")]
Executor = Annotated[
    str,
    typer.Option(
        help="Where artifacts are made: local (one worker: this process), pool (always other processes), ray, slurm "
        "or FILE.py:NAME."
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


@dataclass(frozen=True)
class How:
    """How a study is carried out: the options of every command that runs one (`StudyCommand` adds them, `how` reads them)."""

    store: Place = None
    out: Out = None
    budget: Budget = None
    workers: Workers = "auto"
    executor: Executor = "local"
    track: Track = None
    dry_run: DryRun = False
