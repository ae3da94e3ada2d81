"""`cavesson doctor --find-lr`: which learning rates to try on a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cavesson.figures import percent

if TYPE_CHECKING:
    from rich.table import Table

    from cavesson.evals.rate_test import Rung


def find_lr(
    model: str,
    store: Path | None,
    *,
    adapter: int | None,
    optimizer: str,
    batch_size: int | None,
    prompts: str | None,
    bench: str | None,
    data: Path | None,
) -> None:
    """Make a range test and print what each rate costs and the grid to try."""
    from cavesson.lab.lab import Lab
    from cavesson.lab.recipe import lineage
    from cavesson.lab.show.console import console_display
    from cavesson.lab.show.terminal import Console
    from cavesson.lab.store import Store
    from cavesson.models.recipes import LoRA
    from cavesson.named import model_named
    from cavesson.sampling.recipes import Generated
    from cavesson.studies.rates import proposed, rate_test
    from cavesson.training.preflight import preflight

    place = Store(store)
    test = rate_test(
        model_named(model, place),
        prompts=prompts,
        benchmarks=[name.strip() for name in (bench or "").split(",") if name.strip()],
        data=data,
        batch_size=batch_size,
        optimizer=optimizer,
        adapter=None if adapter is None else LoRA(rank=adapter),
    )
    with Lab(place, display=console_display()) as lab:
        if lab.plan([test]).to_make:
            preflight([test], workers=1)
        answers = next(recipe for recipe in lineage(test) if isinstance(recipe, Generated))
        lab.called |= {
            answers.fingerprint: f"{model} · own answers",
            test.fingerprint: f"{model} · ramp of learning rates",
        }
        lab.make([test])
    rungs = test.rungs(place.path)
    Console().print(table_of(rungs, f"What learning rates cost {model} on its own answers"))
    grid = proposed(rungs)
    rank = "" if adapter is None else f" --set blue.adapter.rank={adapter}"
    typer.echo(f"highest rate that costs nothing: {grid[1]:g}; to try, one below and one above as well:")
    typer.echo(f"--set blue.lrs='[{','.join(f'{lr:g}' for lr in grid)}]'{rank}")


def table_of(rungs: list[Rung], title: str) -> Table:
    """A table with a row for each rung: training loss, held-out loss, capability, and what is kept."""
    from rich.table import Table

    from cavesson.evals.rate_test import kept

    table = Table(title=title, title_justify="left")
    for heading in ("learning rate", "training loss", "held-out loss", "capability", "kept"):
        table.add_column(heading, justify="right")
    for rung, share in zip(rungs, kept(rungs), strict=True):
        table.add_row(
            f"{rung.lr:.0e}" if rung.lr else "untouched",
            "–" if rung.loss is None else f"{rung.loss:.3f}",
            f"{rung.held_out:.3f}",
            "–" if rung.capability is None else percent(rung.capability, 0),
            percent(share, 0),
        )
    return table
