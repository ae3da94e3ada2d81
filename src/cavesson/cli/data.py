"""What several commands say and check about a user's data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from cavesson.lab.recipe import Recipe
    from cavesson.lab.store import Store


def tell_data(recipes: Iterable[Recipe]) -> None:
    """Read a user's data sets, and say on standard error what they are.

    Raises:
        ConfigError: a row cannot be read or trained on.
    """
    from cavesson.training.given import look_at

    for line in look_at(recipes):
        typer.echo(line, err=True)


def refuse_lone_columns(columns: str | None) -> None:
    """Refuse columns without a data set.

    Raises:
        ConfigError: there are columns.
    """
    if columns is not None:
        from cavesson.errors import ConfigError

        raise ConfigError(f"--columns {columns!r} says what is what in a data set, and none is given.", "Give --data.")


def show_plan(store: Store, recipes: Sequence[Recipe]) -> None:
    """Show what would be made, and make nothing; models and data are looked at as before a run."""
    from cavesson.lab.lab import Lab
    from cavesson.studies.answers import in_words
    from cavesson.training.preflight import preflight

    with Lab(store) as lab:
        plan = lab.plan(recipes)
    if plan.to_make:
        store.check_writable()
    preflight([stage.recipe for stage in plan.to_make], workers=1)
    for line in (plan.text(), *in_words(recipes)):
        typer.echo(line)
