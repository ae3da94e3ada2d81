"""Rows of data sets that the package `datasets` reads: those of the hub, folders of data files, and saved data sets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cavesson.data.files import digest
from cavesson.errors import ConfigError, nearest, optional


def loaded(place: Mapping[str, Any], split: str) -> list[dict[str, Any]]:
    """The rows of a split.

    Args:
        place: arguments of `datasets.load_dataset`.
        split: the split in the syntax of `datasets`.

    Raises:
        MissingExtra: `datasets` is not installed.
        ConfigError: the data set cannot be reached, or has no such split.
    """
    with optional("datasets", "hub"):
        from datasets import load_dataset
        from datasets.data_files import EmptyDatasetError
        from datasets.exceptions import DataFilesNotFoundError, DatasetsError
    folder = Path(str(place["path"]))
    local = {"path": str(folder.resolve())} if folder.is_dir() else {}  # "." has no name, and `datasets` wants one
    as_text = {"na_filter": False} if _all_csv(folder) else {}
    try:
        with _quiet():
            return list(load_dataset(**{**place, **local}, **as_text, split=split))
    except (EmptyDatasetError, DataFilesNotFoundError) as error:
        raise ConfigError(
            f"The {'folder' if local else 'data set'} {place['path']!r} holds no data files.",
            "Name a data file (.jsonl, .csv, .parquet …), or a folder that holds some.",
        ) from error
    except (OSError, ValueError, DatasetsError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise ConfigError(
            f"The {'folder' if local else 'data set'} {place['path']!r} cannot be loaded: {reason}",
            "Its files must have the same columns: give one of them, or a folder of those that fit together."
            if local
            else "Check name, split, network and HF_TOKEN.",
        ) from error


def _all_csv(folder: Path) -> bool:
    """Whether a folder holds data as CSV and in no other format."""
    kinds = {path.suffix for path in folder.rglob("*")} & {".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow"}
    return bool(kinds) and kinds <= {".csv", ".tsv"}


def is_saved(folder: Path) -> bool:
    """Whether `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote the folder."""
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))


def saved(folder: Path, split: str) -> list[dict[str, Any]]:
    """The rows of a folder that `save_to_disk` wrote; a folder of one data set has no splits.

    Raises:
        MissingExtra: `datasets` is not installed.
        ConfigError: the folder is not whole, or has no such split.
    """
    with optional("datasets", "hub"):
        from datasets import DatasetDict, load_from_disk
    try:
        found = load_from_disk(str(folder))
    except Exception as error:  # Arrow's, JSON's and the package's own errors
        raise ConfigError(
            f"The saved data set {str(folder)!r} cannot be loaded: {error}", "Save it again with save_to_disk."
        ) from error
    if isinstance(found, DatasetDict):
        if split not in found:
            raise ConfigError(
                f"The saved data set {str(folder)!r} has no split {split!r}.",
                f"{nearest(split, found)} Give the split's own folder.",
            )
        found = found[split]
    return list(found)


def content_of(name: str, revision: str | None) -> str:
    """The content that names a data set: name and commit on the hub, or a digest of a folder's file names and contents."""
    from cavesson.models.folders import hub_commit

    folder = Path(name)
    if not folder.is_dir():
        return f"{name}@{hub_commit(name, revision, 'dataset')}"
    if revision is not None:
        raise ConfigError(
            f"A revision is given for the local folder {name!r}.", "Leave it out; folders have no revisions."
        )
    total = hashlib.sha256()
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    for file in sorted(n for n in names if not any(part.startswith(".") for part in n.parts)):  # no .cache, .git
        total.update(f"{file.as_posix()}\0{digest(folder / file)}\n".encode())
    return total.hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the progress bars of `datasets`: the lab has its own display."""
    from datasets.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
