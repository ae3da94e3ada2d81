"""`cavesson world`: make the tiny world's models, or print its corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cavesson.cli.options import Executor, Place, Workers

app = typer.Typer(no_args_is_help=True, help="Make the tiny world's models from nothing, or read its corpus.")


@app.command()
def build(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models to make; by default the shipped models.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the models, one Hugging Face folder each.")] = Path("world"),
    scale: Annotated[
        float, typer.Option(min=1e-6, max=1.0, help="Factor on all training lengths: 0.001 for a miniature.")
    ] = 1.0,
    store: Place = None,
    workers: Workers = "auto",
    executor: Executor = "local",
) -> None:
    """Pre-train the world's models: about an hour on two cores for the shipped models; an interrupted build goes on.

    Example: cavesson world build student --out world
    """
    from cavesson.errors import ConfigError, nearest
    from cavesson.lab.lab import Lab
    from cavesson.lab.show.console import console_display
    from cavesson.lab.store import Store
    from cavesson.tinyworld import build as world
    from cavesson.tinyworld.recipes import shipped_names

    known = world.recipes(scale)
    for name in names or ():
        if name not in known:
            raise ConfigError(f"The tiny world has no model {name!r}.", nearest(name, known))
    with Lab(Store(store), workers, console_display(), executor) as lab:
        for folder in world.build(lab, out, names or [n for n in known if n in shipped_names()], scale):
            typer.echo(str(folder))


@app.command()
def show(
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="Documents to show.")] = 10,
    mix: Annotated[str, typer.Option(help="Model whose corpus is printed: student, house, teacher …")] = "student",
    seed: Annotated[int, typer.Option(help="Seed of the corpus.")] = 0,
) -> None:
    """Print documents of the corpus.

    Example: cavesson world show --n 5
    """
    from cavesson.errors import ConfigError, nearest
    from cavesson.tinyworld.corpus import MIXES, document

    if mix not in MIXES:
        raise ConfigError(f"There is no corpus mix {mix!r}.", nearest(mix, MIXES))
    for index in range(n):
        for message in document(mix, seed, index).conversation.messages:
            typer.echo(f"{message.role}: {message.content}")
        typer.echo("")
