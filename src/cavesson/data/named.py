"""Data sets by name, as a user gives them on the command line or in a study file."""

from __future__ import annotations

from pathlib import Path

from cavesson.data.recipes import DataRecipe, HFDataset, Jsonl
from cavesson.errors import ConfigError


def data_named(name: str) -> DataRecipe:
    """The recipe of a data set: a JSON-lines file, or `owner/name` on the hub.

    Raises:
        ConfigError: there is no such file, and no data set of that name on the hub.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return Jsonl(path=path)
    if name.count("/") == 1 and path.suffix != ".jsonl" and not name.startswith((".", "~", "/")):
        return HFDataset(name=name)
    raise ConfigError(
        f"There is no data file {name!r}.",
        "Give a JSON-lines file that exists, or owner/name of a data set on the hub.",
    )
