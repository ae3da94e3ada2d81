"""Data sets by name, as a user gives them on the command line or in a study file."""

from __future__ import annotations

import re

from cavesson.data.everyday import EVERYDAY, EverydayChat
from cavesson.data.recipes import DataFile, Given, HFDataset
from cavesson.data.shapes import parse_columns
from cavesson.errors import ConfigError
from cavesson.lab.documents import path_named

_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".gz", ".bz2", ".xz", ".eval", ".txt", ".arrow", ".zst")
"""Endings of files: a name that ends so is none of the hub's."""

_WITH_COLUMNS = re.compile(r"(?P<name>.+)\[(?P<columns>[^\[\]]*=[^\[\]]*)\]")


def data_named(name: str, columns: str = "") -> Given:
    """The recipe of a data set: a data file, a folder of data files, `owner/name` on the hub, or `everyday`.

    A name may end with the columns to use: `answers.csv[prompt=question,response=reply]`.

    Args:
        name: as a user gives it.
        columns: which columns to use, in the words of `--columns`; the name's own columns come before these.

    Raises:
        ConfigError: there is no such file or folder, and no data set of that name on the hub; or the columns make no sense.
    """
    name, own = split_columns(name)
    columns = own or columns
    if columns:
        parse_columns(columns)
    if name == EVERYDAY:
        return EverydayChat(columns=columns)
    if not name.strip():
        raise ConfigError("The name of a data set is empty.", "Give a data file, a folder, or owner/name on the hub.")
    path = path_named(name)
    if path.is_file():
        return DataFile(path=path, columns=columns)
    if path.is_dir():
        return HFDataset(name=str(path), columns=columns)
    if name.count("/") == 1 and path.suffix not in _SUFFIXES and not name.startswith((".", "~", "/")):
        return HFDataset(name=name, columns=columns)
    raise ConfigError(
        f"There is no data file {name!r}.",
        "Give a data file or folder that exists, or owner/name of a data set on the hub.",
    )


def split_columns(name: str) -> tuple[str, str]:
    """A data set's name without its columns, and the columns ("" if there are none)."""
    found = _WITH_COLUMNS.fullmatch(name)
    if found is None or path_named(name).exists():
        return name, ""
    return found["name"], found["columns"]


def with_columns(name: str, columns: str) -> str:
    """The name with these columns, if the name has none of its own."""
    return name if not columns or split_columns(name)[1] else f"{name}[{columns}]"
