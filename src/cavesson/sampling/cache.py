"""A generation cache on disk: the same weights, tokens and parameters are never sampled twice.

It is keyed by content: `Model.key` names the weights, the rendered tokens stand for prompt, system prompt and template,
and `VERSION` stands for the sampler's code. One SQLite file in WAL mode, which several processes may use at once.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cavesson.chat import Conversation
from cavesson.errors import StoreError
from cavesson.lab.disk import refusal
from cavesson.sampling.sampler import Completion, Params

if TYPE_CHECKING:
    from cavesson.sampling.native import NativeSampler, Progress

VERSION = 1
"""Raise it when the native sampler's completions change."""

CHUNK = 512
"""Prompts that are sampled between two commits: what a kill can lose."""

_SCHEMA = "CREATE TABLE IF NOT EXISTS generations (key BLOB PRIMARY KEY, completions BLOB NOT NULL) WITHOUT ROWID"


class GenerationCache:
    """Completions by key, in one file.

    Raises:
        StoreError: the file cannot be read or written (a full disk, say), or is no cache; `get` and `put` raise it too.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._database() as db, db:
            db.execute(_SCHEMA)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, list[Completion]]:
        """What is known of these keys."""
        found: dict[bytes, list[Completion]] = {}
        with self._database() as db:
            for start in range(0, len(keys), 500):  # SQLite bounds the number of placeholders
                some = keys[start : start + 500]
                marks = ",".join("?" * len(some))
                rows = db.execute(f"SELECT key, completions FROM generations WHERE key IN ({marks})", list(some))
                found.update((key, _unpack(packed)) for key, packed in rows)
        return found

    def put(self, completions: dict[bytes, list[Completion]]) -> None:
        """Remember these, all or none."""
        rows = [(key, _pack(answers)) for key, answers in completions.items()]
        with self._database() as db, db:
            db.executemany("INSERT OR REPLACE INTO generations VALUES (?, ?)", rows)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """The file, open for as long as the block lasts; what SQLite or the system refuses becomes a `StoreError`."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=60)) as db:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=NORMAL")
                yield db
        except (OSError, sqlite3.Error) as error:
            if (refused := refusal(error, self.path.parent)) is not None:
                raise refused from error
            raise StoreError(
                f"The generation cache {str(self.path)!r} cannot be used: {error}",
                "Remove the file, or free its folder.",
            ) from error


class CachedSampler:
    """A native sampler with a generation cache in front of it."""

    def __init__(self, sampler: NativeSampler, cache: GenerationCache) -> None:
        self.sampler = sampler
        self.cache = cache

    def sample(
        self, conversations: Sequence[Conversation], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """As the native sampler's; equal prompts are sampled once."""
        prompts = self.sampler.prompts_ids(conversations)
        keys = [cache_key(self.sampler.model.key, ids, params) for ids in prompts]
        known = self.cache.get(list(dict.fromkeys(keys)))
        missing = {key: ids for key, ids in zip(keys, prompts, strict=True) if key not in known}
        # longest first, as the sampler takes them: a chunk's prompts are then about equally long
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


def cache_key(model_key: str, ids: Sequence[int], params: Params) -> bytes:
    """Names the completions of one prompt: a hash of weights, tokens, parameters and code version."""
    named = json.dumps([VERSION, model_key, list(ids), params.model_dump(mode="json")], separators=(",", ":"))
    return hashlib.sha256(named.encode()).digest()


def _pack(completions: list[Completion]) -> bytes:
    rows = [[c.text, c.ids, c.finished, c.logprobs] for c in completions]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 1)


def _unpack(packed: bytes) -> list[Completion]:
    return [
        Completion(text, tuple(ids), finished, None if logprobs is None else tuple(logprobs))
        for text, ids, finished, logprobs in json.loads(zlib.decompress(packed))
    ]
