"""The index: a summary of every manifest in one SQLite file, so that listing a large store is quick.

The index is a cache and nothing more: the folders decide which artifacts there are. A row counts only while the manifest
still has the time stamp and the size that the row was read with. A missing or damaged index is made anew; an index that
cannot be written is left out.
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
"""Every statement names the columns: another version of Cavesson that shares the store may have more columns, or fewer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list of artifacts: `seconds` is the time of making the artifact, `size` is in bytes."""

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
        """The entries whose manifests have not changed since the index read them."""
        if not self.path.exists():
            return {}
        try:
            with self._open() as database:
                rows = database.execute(f"SELECT {_COLUMNS} FROM artifacts").fetchall()
        except sqlite3.Error:
            return {}
        return {row[0]: Entry(*row[:6]) for row in rows if stamps.get(row[0]) == (row[6], row[7])}

    def update(self, entries: Iterable[tuple[Entry, Stamp]], gone: Iterable[str] = ()) -> None:
        """Write some entries and delete others; in a store that cannot be written, do nothing."""
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
            except (OverflowError, UnicodeError):  # no values of a manifest that Cavesson wrote
                return
            except (sqlite3.DatabaseError, OSError):  # not a database any more
                if attempt == "as it is" and not self.clear():
                    return

    def clear(self) -> bool:
        """Delete the file; True if no file is left."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=10)) as database:
            database.execute("PRAGMA synchronous = OFF")  # a lost index costs one scan of the folders
            yield database
