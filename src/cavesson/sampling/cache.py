"""The generation cache of a store: the same weights, tokens and parameters are never sampled twice.

A completion's key is its content: the sampler's key (weights, code, arithmetic), the rendered tokens (prompt, system prompt
and template) and the parameters. A cached completion therefore equals a fresh one, and only time depends on the cache. If the
cache cannot be read or written, sampling goes on without it; a damaged cache is moved away and begun anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from cavesson.chat import Conversation
from cavesson.sampling.perplexity import Likelihood
from cavesson.sampling.sampler import Completion, Params, Progress, TokenSampler

MAX_BYTES = 1 << 30
"""Largest size of the cache; beyond it, the completions that were used longest ago are deleted."""

CHUNK = 512
"""Prompts that are sampled between two commits; a kill loses at most so many."""

FILE = "completions.sqlite"
PATIENCE = 10.0
"""Seconds to wait while other processes write."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS generations (key BLOB UNIQUE, completions BLOB NOT NULL, used INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS by_use ON generations (used)",
)
"""Rows stay in the order of writing, so that deleting old rows frees whole pages."""
_NOW = "(SELECT coalesce(max(used), 0) + 1 FROM generations)"
"""The number of the present use; uses are counted because clocks jump."""
_MARKS = 500
"""Placeholders in a statement; SQLite bounds their number."""
_SUM_BYTES = 8
"""Bytes of each row's checksum. SQLite has no checksums, and a damaged row would be a wrong answer."""


class GenerationCache:
    """Completions by key, in one SQLite file (WAL) that any number of processes share.

    Args:
        folder: the cache's own folder; made at the first write.
        most: largest size of the cache in bytes.
    """

    def __init__(self, folder: Path, most: int = MAX_BYTES) -> None:
        self.folder, self.most = folder, most

    def get(self, keys: Sequence[bytes]) -> dict[bytes, list[Completion]]:
        """The cached completions of these keys; keys that are not cached are left out. The keys count as used now."""
        found: dict[bytes, list[Completion]] = {}

        def look(db: sqlite3.Connection) -> None:
            for start in range(0, len(keys), _MARKS):
                some = keys[start : start + _MARKS]
                which = f"WHERE key IN ({','.join('?' * len(some))})"
                for key, packed in db.execute(f"SELECT key, completions FROM generations {which}", some).fetchall():
                    with suppress(ValueError, TypeError):  # a damaged row counts as not cached
                        found[key] = _unpack(key, packed)
                db.execute(f"UPDATE generations SET used = {_NOW} {which}", some)

        self._try(look)
        return found

    def put(self, completions: Mapping[bytes, list[Completion]]) -> None:
        """Store completions, all or none, and delete old ones if the cache has grown too large."""

        def keep(db: sqlite3.Connection) -> None:
            [(now,)] = db.execute(f"SELECT {_NOW}")
            rows = [(key, _pack(key, answers), now) for key, answers in completions.items()]
            db.executemany("INSERT OR REPLACE INTO generations VALUES (?, ?, ?)", rows)
            some = "SELECT key FROM generations ORDER BY used LIMIT 1 + (SELECT count(*) FROM generations) / 16"
            while _held(db) > self.most and db.execute(f"DELETE FROM generations WHERE key IN ({some})").rowcount:
                pass

        self._try(keep)

    def _try(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do the work in one transaction; do nothing if the cache cannot be read or written."""
        for _ in ("as it is", "begun anew"):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with closing(sqlite3.connect(self.folder / FILE, PATIENCE, isolation_level="IMMEDIATE")) as db:
                    db.execute("PRAGMA journal_mode = WAL")
                    db.execute("PRAGMA synchronous = NORMAL")
                    for statement in _SCHEMA:
                        db.execute(statement)
                    with db:
                        work(db)
                return
            except (sqlite3.OperationalError, OSError):  # read-only, full, locked for long
                return
            except sqlite3.DatabaseError:  # no database, or a damaged one
                self._set_aside()

    def _set_aside(self) -> None:
        """Move the whole folder, write-ahead log included, out of the way in one step; only the last moved folder is kept."""
        aside = self.folder.with_name(f"{self.folder.name}.damaged")
        with suppress(OSError):
            shutil.rmtree(aside, ignore_errors=True)
            self.folder.rename(aside)


class CachedSampler:
    """A sampler with a generation cache in front of it."""

    def __init__(self, sampler: TokenSampler, cache: GenerationCache) -> None:
        self.sampler = sampler
        self.cache = cache

    @property
    def system(self) -> str | None:
        return self.sampler.system

    @property
    def used(self) -> Mapping[str, int]:
        return self.sampler.used

    @property
    def key(self) -> str:
        return self.sampler.key

    def sample(
        self, conversations: Sequence[Conversation], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """Completions for each conversation (see `Sampler.sample`); equal prompts are sampled once."""
        return self.continue_ids(self.prompts_ids(conversations), params, progress)

    def prompts_ids(self, conversations: Sequence[Conversation]) -> list[list[int]]:
        return self.sampler.prompts_ids(conversations)

    def continue_ids(
        self, prompts: Sequence[list[int]], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """Completions for each prompt, given as tokens. New completions are put into the cache in chunks."""
        keys = [cache_key(self.key, ids, params) for ids in prompts]
        known = self.cache.get(list(dict.fromkeys(keys)))
        missing = {key: ids for key, ids in zip(keys, prompts, strict=True) if key not in known}
        # longest first, in the sampler's own order, so that the prompts of a chunk are about equally long
        todo = sorted(missing.items(), key=lambda pair: len(pair[1]), reverse=True)
        for start in range(0, len(todo), CHUNK):
            chunk = dict(todo[start : start + CHUNK])
            answers = self.sampler.continue_ids(list(chunk.values()), params)
            fresh = dict(zip(chunk, answers, strict=True))
            self.cache.put(fresh)
            known.update(fresh)
            if progress is not None:
                progress(len(known) * params.n, len(set(keys)) * params.n)
        return [known[key] for key in keys]

    def likelihoods(self, conversations: Sequence[Conversation]) -> list[Likelihood]:
        """The likelihood of the answers in each conversation; this is computed anew each time."""
        return self.sampler.likelihoods(conversations)


def cache_key(sampler_key: str, ids: Sequence[int], params: Params) -> bytes:
    """The key of a prompt's completions: a hash of all that decides them."""
    named = json.dumps([sampler_key, list(ids), params.model_dump(mode="json")], separators=(",", ":"))
    return hashlib.sha256(named.encode()).digest()


def _pack(key: bytes, completions: list[Completion]) -> bytes:
    rows = [completion.row() for completion in completions]
    packed = zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 1)
    return _sum(key, packed) + packed


def _unpack(key: bytes, found: bytes) -> list[Completion]:
    """The completions that `_pack` packed.

    Raises:
        ValueError: the row is damaged, or was written for another key.
    """
    expected, packed = found[:_SUM_BYTES], found[_SUM_BYTES:]
    if expected != _sum(key, packed):
        raise ValueError("a damaged row")
    return [Completion.of(row) for row in json.loads(zlib.decompress(packed))]


def _sum(key: bytes, packed: bytes) -> bytes:
    return hashlib.sha256(key + packed).digest()[:_SUM_BYTES]


def _held(db: sqlite3.Connection) -> int:
    """Bytes in use in the database."""
    pages, free, size = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
