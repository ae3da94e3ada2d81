"""The folder of a store: where it is, how it is known, and which names in it are the store's own.

A store is marked by a file, so that no other folder is ever taken for a store and tidied. Stores of Cavesson 0.3 have no mark:
they are known by what they hold, and marked at the next write. A store touches only names of its own form.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from cavesson.errors import ConfigError, StoreError
from cavesson.lab import disk

MARK = "cavesson-store.txt"
FORMAT = 1
"""Version of the store's layout; a store with a newer layout is refused."""
SHELF = re.compile("[0-9a-f]{2}")
FINGERPRINT = re.compile(r"[0-9a-f]{32}")
CLAIM = re.compile(r"\.?\d+-[0-9a-f]{8}\.json(\.[0-9a-f]{8})?")
"""The name of a process's claim in `uses/`, also of one half written (`roots.py`)."""

_FOLDERS = {"artifacts", "making", "scratch", "cache", "locks", "pins", "reports", "uses", "jobs", "organisms", "audit"}
_FILES = {
    *(f"index.sqlite{end}" for end in ("", "-journal", "-wal", "-shm")),
    "times.jsonl",
    "trusted.txt",
    ".DS_Store",
    "lost+found",
}
"""`trusted.txt` is no part of a store, but lies in the same folder on macOS (`trust.py`)."""
_SHOWN = 3
"""Strange files that a message names."""


def opened(root: Path | None) -> Path:
    """The absolute path of a store's folder; None: the default store.

    Raises:
        ConfigError: the folder holds something else than a store.
        StoreError: the folder cannot be read, or a newer Cavesson laid the store out.
    """
    try:
        place = default_root() if root is None else Path(root).expanduser().absolute()
        names = set(_names(place)) if place.exists() else set()
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no such user's home
        raise StoreError(
            f"The store {root} cannot be read: {getattr(error, 'strerror', None) or error}.",
            "Give another folder: --store FOLDER",
        ) from error
    if MARK in names:
        _check_format(place)
    elif place in (Path(place.anchor), Path.home()) or not _is_store(place, names):
        raise _no_store(place, names)
    for name in _FOLDERS & names:
        if (place / name).is_symlink():
            raise ConfigError(
                f"{place / name} is a link, and a store's own folders are no links.", "Move the whole store instead."
            )
    return place


def mark(root: Path) -> None:
    """Make the folder if it is missing, and mark it as a store.

    Raises:
        OSError: the folder cannot be written.
    """
    if not (root / MARK).exists():
        root.mkdir(parents=True, exist_ok=True)
        disk.write_whole(root / MARK, f"An artifact store of Cavesson, format {FORMAT}\n")


def folders_in(folder: Path, form: re.Pattern[str]) -> list[Path]:
    """The folders of that form of name in a folder, in order; links are left out."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                folder / entry.name
                for entry in entries
                if form.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            )
    except (FileNotFoundError, NotADirectoryError):
        return []


def default_root() -> Path:
    """The folder of the default store: `CAVESSON_HOME`, else `cavesson` in the user's data directory."""
    if home := os.environ.get("CAVESSON_HOME"):
        return Path(home).expanduser().absolute()
    import platformdirs

    return platformdirs.user_data_path("cavesson")


def old_store() -> str | None:
    """A message about a store of Bridle, this project's earlier name, if there is one and no store of Cavesson yet."""
    import platformdirs

    new, named = default_root(), os.environ.get("BRIDLE_HOME")
    old = Path(named).expanduser().absolute() if named else platformdirs.user_data_path("bridle")
    try:
        if "CAVESSON_HOME" in os.environ or not (old / "artifacts").is_dir() or (new / "artifacts").exists():
            return None
    except PermissionError:  # another user's home
        return None
    how = f"export CAVESSON_HOME={shlex.quote(str(old))}" if named else shlex.join(["mv", str(old), str(new)])
    return f"{old} is a store of Bridle, as Cavesson was called before. It is left alone; to go on with it: {how}"


def _is_store(place: Path, names: set[str]) -> bool:
    """Whether a folder without a mark is empty, or holds what a store of Cavesson 0.3 holds and nothing else."""
    own = {name for name in names if not name.startswith(f".{MARK}.")}  # a mark that is being written
    if own - _FOLDERS - _FILES:
        return False
    made = "artifacts" in own and any(SHELF.fullmatch(name) for name in _names(place / "artifacts"))
    return not own - _FILES - {"audit", "organisms"} or "locks" in own or made


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _check_format(place: Path) -> None:
    try:
        found = re.search(rb"format (\d{1,9})", disk.read_plain(place / MARK, most=1000))
    except OSError as error:
        raise StoreError(
            f"{place / MARK} cannot be read: {error.strerror}.", "Give another store: --store FOLDER"
        ) from error
    if found is not None and int(found[1]) > FORMAT:
        raise StoreError(
            f"The store {place} has format {int(found[1])}; this Cavesson knows {FORMAT} at most.",
            "Upgrade Cavesson, or use another store (--store or CAVESSON_HOME).",
        )


def _no_store(place: Path, names: set[str]) -> ConfigError:
    strange = sorted(names - _FOLDERS - _FILES) or sorted(names)
    more = ", …" if len(strange) > _SHOWN else ""
    held = f"holds {', '.join(map(repr, strange[:_SHOWN]))}{more}" if strange else "is no place for a store"
    return ConfigError(
        f"The folder {place} is not a store: it {held}.",
        f"Give a new or an empty folder. If it is a store with files of yours in it: touch {shlex.quote(str(place / MARK))}",
    )
