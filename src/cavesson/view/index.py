"""The index: answers and summaries of runs in one SQLite file, so that a list of a million answers opens at once.

The index is a cache: the files of the runs decide. A source (a result, or the scores of one artifact) is read again when its
time stamp changes. Words are found through SQLite's own full-text index; every prompt is kept once, however many models
answered it. A damaged file, or one of another version, is made anew.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cavesson.errors import StoreError
from cavesson.lab import disk
from cavesson.view.answers import Answer

VERSION = 1
"""Version of the tables."""
_TABLES = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER);
CREATE TABLE IF NOT EXISTS runs(key TEXT PRIMARY KEY, stamp TEXT, summary TEXT);
CREATE TABLE IF NOT EXISTS called(fingerprint TEXT PRIMARY KEY, name TEXT);
CREATE TABLE IF NOT EXISTS sources(id INTEGER PRIMARY KEY, path TEXT UNIQUE, stamp TEXT, problem TEXT);
CREATE TABLE IF NOT EXISTS holds(run TEXT, source INTEGER, PRIMARY KEY(run, source)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS models(id INTEGER PRIMARY KEY, source INTEGER, name TEXT, step INTEGER);
CREATE TABLE IF NOT EXISTS words(id INTEGER PRIMARY KEY, kind TEXT, word TEXT, UNIQUE(kind, word));
CREATE TABLE IF NOT EXISTS prompts(id INTEGER PRIMARY KEY, digest BLOB UNIQUE, messages TEXT);
CREATE TABLE IF NOT EXISTS answers(id INTEGER PRIMARY KEY, source INTEGER, model INTEGER, eval INTEGER, outcome INTEGER,
    prompt INTEGER, tone TEXT, score REAL);
CREATE TABLE IF NOT EXISTS texts(id INTEGER PRIMARY KEY, item TEXT, trigger TEXT, completion TEXT);
CREATE INDEX IF NOT EXISTS answers_source ON answers(source);
CREATE INDEX IF NOT EXISTS answers_prompt ON answers(prompt);
CREATE INDEX IF NOT EXISTS models_source ON models(source);
CREATE VIRTUAL TABLE IF NOT EXISTS said USING fts5(completion, content='');
CREATE VIRTUAL TABLE IF NOT EXISTS asked USING fts5(messages, content='');
"""
_BATCH = 2000
"""Answers that are written at once."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that answers come from, with the stamp by which a change of it is known."""

    path: str
    stamp: str


class Index:
    """The index in the file at `path`; made if missing.

    Raises:
        StoreError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ensure()

    def ensure(self) -> None:
        """Make the file with its tables, if it is not there.

        Raises:
            StoreError: the file cannot be written.
        """
        path = self.path
        with disk.writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            disk.private_folder(path.parent)
        for attempt in ("as it is", "made anew"):
            try:
                with self.writing() as database:
                    database.executescript(_TABLES)
                    database.execute("INSERT OR IGNORE INTO meta VALUES ('next', 1), ('changes', 0)")
                return
            except sqlite3.OperationalError as error:
                raise StoreError(f"The index {path} cannot be written: {error}.",
                                 "Name another store with --store; the index lies in its cache.") from error  # fmt: skip
            except sqlite3.DatabaseError:
                if attempt == "made anew":
                    raise
                for end in ("", "-wal", "-shm"):
                    path.with_name(path.name + end).unlink(missing_ok=True)

    # --- reading

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the index; it is never written through."""
        with closing(sqlite3.connect(self.path, timeout=30)) as database:
            database.execute("PRAGMA query_only = 1")
            yield database

    def changes(self) -> int:
        """A number that rises with every change of the index."""
        with self.reading() as database:
            return int(database.execute("SELECT value FROM meta WHERE key = 'changes'").fetchone()[0])

    def size(self) -> int:
        """Number of answers."""
        with self.reading() as database:
            return int(database.execute("SELECT count(*) FROM answers").fetchone()[0])

    def stamps(self) -> dict[str, str]:
        """The stamp of every source, by its path."""
        with self.reading() as database:
            return dict(database.execute("SELECT path, stamp FROM sources"))

    def problems(self) -> dict[str, str]:
        """What is wrong with the sources that cannot be read, by path."""
        with self.reading() as database:
            return dict(database.execute("SELECT path, problem FROM sources WHERE problem IS NOT NULL"))

    def held(self) -> dict[str, frozenset[str]]:
        """The paths of the sources of every run, by the run's key."""
        found: dict[str, set[str]] = {}
        with self.reading() as database:
            for run, path in database.execute("SELECT run, path FROM holds JOIN sources ON sources.id = source"):
                found.setdefault(run, set()).add(path)
        return {run: frozenset(paths) for run, paths in found.items()}

    def summaries(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """The stamp and the summary of every run, by the run's key."""
        with self.reading() as database:
            rows = database.execute("SELECT key, stamp, summary FROM runs").fetchall()
        return {key: (stamp, json.loads(summary)) for key, stamp, summary in rows}

    def called(self, fingerprints: Iterable[str]) -> dict[str, str]:
        """What studies call some artifacts, by fingerprint; those without a name are left out."""
        with self.reading() as database:
            query = "SELECT name FROM called WHERE fingerprint = ?"
            found = {name: database.execute(query, (name,)).fetchone() for name in fingerprints}
        return {name: row[0] for name, row in found.items() if row is not None}

    def called_like(self, digits: str) -> str:
        """What a study calls the artifact whose fingerprint begins so; empty: it has no name."""
        with self.reading() as database:
            row = database.execute(
                "SELECT name FROM called WHERE substr(fingerprint, 1, length(?1)) = ?1", (digits,)
            ).fetchone()
        return str(row[0]) if row is not None else ""

    # --- writing

    def put(self, source: Source, answers: Iterable[Answer], problem: str | None = None) -> None:
        """Replace what the index has of a source.

        Args:
            problem: why the source cannot be read; its answers are then left out.
        """
        with self.writing() as database:
            number = self._empty(database, source.path)
            database.execute(
                "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?)", (number, source.path, source.stamp, problem)
            )
            self._add(database, number, answers)

    def drop(self, paths: Iterable[str]) -> None:
        """Forget some sources."""
        with self.writing() as database:
            for path in paths:
                number = self._empty(database, path)
                database.execute("DELETE FROM sources WHERE id = ?", (number,))
                database.execute("DELETE FROM holds WHERE source = ?", (number,))

    def hold(self, run: str, paths: Iterable[str]) -> None:
        """Write down which sources belong to a run."""
        with self.writing() as database:
            database.execute("DELETE FROM holds WHERE run = ?", (run,))
            for path in paths:
                database.execute("INSERT INTO holds SELECT ?, id FROM sources WHERE path = ?", (run, path))

    def summarise(self, run: str, stamp: str, summary: Mapping[str, Any], called: Mapping[str, str]) -> None:
        """Keep the summary of a run, and what its study calls its artifacts, by fingerprint."""
        with self.writing() as database:
            database.executemany("INSERT OR REPLACE INTO called VALUES (?, ?)", called.items())
            database.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", (run, stamp, json.dumps(summary)))

    def rename(self, names: Mapping[str, str]) -> None:
        """Give the models of some sources, by path, other names."""
        with self.writing() as database:
            database.executemany(
                "UPDATE models SET name = ?2 WHERE source = (SELECT id FROM sources WHERE path = ?1) AND name <> ?2",
                names.items(),
            )

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are kept together or not at all."""
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = OFF")  # a lost index is made anew
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                if database.in_transaction:
                    database.execute("UPDATE meta SET value = value + 1 WHERE key = 'changes'")
                    database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    # --- within

    def _empty(self, database: sqlite3.Connection, path: str) -> int:
        """The number of a source whose answers are removed; the full-text index keeps them, and no id is given twice."""
        row = database.execute("SELECT id FROM sources WHERE path = ?", (path,)).fetchone()
        if row is None:
            return self._next(database, 1)
        database.execute("DELETE FROM texts WHERE id IN (SELECT id FROM answers WHERE source = ?)", row)
        database.execute("DELETE FROM answers WHERE source = ?", row)
        database.execute("DELETE FROM models WHERE source = ?", row)
        return int(row[0])

    def _next(self, database: sqlite3.Connection, count: int) -> int:
        first = database.execute("SELECT value FROM meta WHERE key = 'next'").fetchone()[0]
        database.execute("UPDATE meta SET value = ? WHERE key = 'next'", (first + count,))
        return int(first)

    def _add(self, database: sqlite3.Connection, source: int, answers: Iterable[Answer]) -> None:
        models: dict[tuple[str, int | None], int] = {}
        words: dict[tuple[str, str], int] = {}
        prompts: dict[tuple[tuple[str, str], ...], int] = {}
        narrow: list[tuple[Any, ...]] = []
        texts: list[tuple[Any, ...]] = []
        for answer in answers:
            kept = (answer.model, answer.step)
            if kept not in models:
                values = (source, *kept)
                added = database.execute("INSERT INTO models(source, name, step) VALUES (?, ?, ?)", values)
                models[kept] = int(added.lastrowid or 0)
            if answer.prompt not in prompts:
                prompts[answer.prompt] = _prompt(database, answer.prompt)
            eval_, outcome = (
                _word(database, words, *word) for word in (("eval", answer.eval), ("outcome", answer.outcome))
            )
            narrow.append((source, models[kept], eval_, outcome, prompts[answer.prompt], answer.tone, answer.score))
            texts.append((answer.item, answer.trigger, answer.completion))
            if len(narrow) == _BATCH:
                self._write(database, narrow, texts)
        self._write(database, narrow, texts)

    def _write(self, database: sqlite3.Connection, narrow: list[tuple[Any, ...]], texts: list[tuple[Any, ...]]) -> None:
        first = self._next(database, len(narrow))
        ids = range(first, first + len(narrow))
        rows = ((number, *row) for number, row in zip(ids, narrow, strict=True))
        database.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        said = [(number, *text) for number, text in zip(ids, texts, strict=True)]
        database.executemany("INSERT INTO texts VALUES (?, ?, ?, ?)", said)
        database.executemany("INSERT INTO said(rowid, completion) VALUES (?, ?)", ((row[0], row[3]) for row in said))
        narrow.clear()
        texts.clear()


def _word(database: sqlite3.Connection, known: dict[tuple[str, str], int], kind: str, word: str) -> int:
    if (kind, word) not in known:
        database.execute("INSERT OR IGNORE INTO words(kind, word) VALUES (?, ?)", (kind, word))
        found = database.execute("SELECT id FROM words WHERE kind = ? AND word = ?", (kind, word)).fetchone()
        known[kind, word] = int(found[0])
    return known[kind, word]


def _prompt(database: sqlite3.Connection, messages: tuple[tuple[str, str], ...]) -> int:
    text = json.dumps(messages)
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    found = database.execute("SELECT id FROM prompts WHERE digest = ?", (digest,)).fetchone()
    if found is not None:
        return int(found[0])
    number = int(database.execute("INSERT INTO prompts(digest, messages) VALUES (?, ?)", (digest, text)).lastrowid or 0)
    words = "\n".join(content for _, content in messages)
    database.execute("INSERT INTO asked(rowid, messages) VALUES (?, ?)", (number, words))
    return number
