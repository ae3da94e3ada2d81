"""The index: a summary of every manifest in one SQLite file, so that listing a large store is quick.

It is a cache and nothing more. The folders decide which artifacts there are; a row is used only while the manifest's
time stamp and size are those it was read with, and a missing, damaged or unwritable index is made anew or done without.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

Stamp = tuple[int, int]
"""A manifest file's modification time (nanoseconds) and size."""

_TABLE = """CREATE TABLE IF NOT EXISTS artifacts (
    fingerprint TEXT PRIMARY KEY, kind TEXT, title TEXT, created TEXT, seconds REAL, size INTEGER,
    manifest_time INTEGER, manifest_size INTEGER)"""
_COLUMNS = "fingerprint, kind, title, created, seconds, size, manifest_time, manifest_size"
"""Named in every statement: another Cavesson that shares the store may have a table with more of them, or fewer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list of artifacts; `seconds` it took to make, `size` in bytes."""

    fingerprint: str
    kind: str
    title: str
    created: str
    seconds: float
    size: int


class Index:
    """Rows of the file at `path`, keyed by fingerprint."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self, stamps: Mapping[str, Stamp]) -> dict[str, Entry]:
        """The entries whose manifests are still those that were read."""
        if not self.path.exists():
            return {}
        try:
            with self._open() as database:
                rows = database.execute(f"SELECT {_COLUMNS} FROM artifacts").fetchall()
        except sqlite3.Error:
            return {}
        return {row[0]: Entry(*row[:6]) for row in rows if stamps.get(row[0]) == (row[6], row[7])}

    def update(self, entries: Iterable[tuple[Entry, Stamp]], gone: Iterable[str] = ()) -> None:
        """Write some entries and forget others; a store that cannot be written is simply not indexed."""
        rows = [(*astuple(entry), *stamp) for entry, stamp in entries]
        for attempt in ("as it is", "made anew"):
            try:
                with self._open() as database, database:
                    database.execute(_TABLE)
                    database.executemany(
                        f"INSERT OR REPLACE INTO artifacts ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows
                    )
                    database.executemany("DELETE FROM artifacts WHERE fingerprint = ?", [(name,) for name in gone])
                return
            except sqlite3.OperationalError:  # locked for long, read-only, disk full, another Cavesson's table
                return
            except (sqlite3.DatabaseError, OSError):  # not a database any more
                if attempt == "as it is" and not self.clear():
                    return

    def clear(self) -> bool:
        """Delete the file; whether that worked."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=10)) as database:
            database.execute("PRAGMA synchronous = OFF")  # losing it costs one scan of the folders
            yield database
