"""The generation cache: cached completions are the fresh ones, and nothing is taken for what it is not."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from cavesson.chat import Conversation
from cavesson.errors import StoreError
from cavesson.sampling.cache import CHUNK, CachedSampler, GenerationCache, cache_key
from cavesson.sampling.sampler import Completion, Params


class Echo:
    """A sampler that answers with the prompt's tokens, and counts what it was asked."""

    def __init__(self, key: str = "weights", fail_after: int | None = None) -> None:
        self.model = type("Model", (), {"key": key})
        self.asked: list[list[int]] = []
        self.fail_after = fail_after

    def prompts_ids(self, conversations):
        return [[ord(letter) for letter in c.messages[-1].content] for c in conversations]

    def continue_ids(self, prompts, params, progress=None):
        if self.fail_after is not None and len(self.asked) >= self.fail_after:
            raise KeyboardInterrupt
        self.asked += prompts
        logprobs = (-0.1, -1 / 3) if params.logprobs else None
        return [
            [Completion(f"{self.model.key} {ids} {n} é", (*ids, n), n % 2 == 0, logprobs) for n in range(params.n)]
            for ids in prompts
        ]


def ask(*texts: str) -> list[Conversation]:
    return [Conversation.of(text) for text in texts]


def test_cached_is_fresh(tmp_path):
    echo, params = Echo(), Params(temperature=1.0, n=3, logprobs=True)
    sampler = CachedSampler(echo, GenerationCache(tmp_path / "c.sqlite"))
    fresh = sampler.sample(ask("one", "two", "one"), params)
    assert fresh == [echo.continue_ids([ids], params)[0] for ids in echo.prompts_ids(ask("one", "two", "one"))]
    echo.asked.clear()
    again = CachedSampler(echo, GenerationCache(tmp_path / "c.sqlite")).sample(ask("two", "one", "one"), params)
    assert again == [fresh[1], fresh[0], fresh[0]]
    assert echo.asked == []


def test_equal_prompts_are_sampled_once(tmp_path):
    echo = Echo()
    CachedSampler(echo, GenerationCache(tmp_path / "c.sqlite")).sample(ask("same", "same", "other"), Params())
    assert sorted(map(len, echo.asked)) == [4, 5]


@pytest.mark.parametrize(
    "changed",
    [{"max_tokens": 9}, {"temperature": 0.5}, {"top_p": 0.9}, {"stop": ("x",)}, {"seed": 1}, {"logprobs": True}],
)
def test_every_parameter_tells_entries_apart(changed):
    assert cache_key("weights", [1, 2], Params()) != cache_key("weights", [1, 2], Params(**changed))


def test_weights_and_tokens_tell_entries_apart():
    keys = {cache_key(m, ids, Params()) for m in ("a", "b") for ids in ([1, 2], [12], [1, 2, 0])}
    assert len(keys) == 6


def test_other_weights_do_not_share_entries(tmp_path):
    cache = GenerationCache(tmp_path / "c.sqlite")
    [[one]] = CachedSampler(Echo("one"), cache).sample(ask("hi"), Params())
    [[two]] = CachedSampler(Echo("two"), cache).sample(ask("hi"), Params())
    assert one.text.startswith("one") and two.text.startswith("two")


def test_what_was_sampled_before_an_interruption_is_kept(tmp_path):
    cache, texts = GenerationCache(tmp_path / "c.sqlite"), [f"prompt {i}" for i in range(CHUNK + 40)]
    with pytest.raises(KeyboardInterrupt):
        CachedSampler(Echo(fail_after=1), cache).sample(ask(*texts), Params())
    echo = Echo()
    answers = CachedSampler(echo, cache).sample(ask(*texts), Params())
    assert len(echo.asked) == 40
    assert answers == Echo().continue_ids(echo.prompts_ids(ask(*texts)), Params())


def test_many_writers_share_one_file(tmp_path):
    texts = [f"prompt {i}" for i in range(300)]

    def work(start: int) -> None:
        CachedSampler(Echo(), GenerationCache(tmp_path / "c.sqlite")).sample(ask(*texts[start:]), Params())

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 50, 100, 150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    echo = Echo()
    CachedSampler(echo, GenerationCache(tmp_path / "c.sqlite")).sample(ask(*texts), Params())
    assert echo.asked == []
    with sqlite3.connect(tmp_path / "c.sqlite") as db:
        assert db.execute("SELECT count(*) FROM generations").fetchone() == (300,)


def test_progress_counts_what_was_known_already(tmp_path):
    cache, seen = GenerationCache(tmp_path / "c.sqlite"), []
    sampler = CachedSampler(Echo(), cache)
    sampler.sample(ask("a", "b"), Params())
    sampler.sample(ask("a", "b", "c", "c"), Params(), lambda done, total: seen.append((done, total)))
    assert seen == [(3, 3)]


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    cache, connect = GenerationCache(tmp_path / "c.sqlite"), sqlite3.connect

    def with_a_full_disk(path, **settings):
        database = connect(path, **settings)
        database.execute("PRAGMA max_page_count = 1")
        return database

    monkeypatch.setattr(sqlite3, "connect", with_a_full_disk)
    texts = tuple(f"a long prompt number {i}" for i in range(200))
    with pytest.raises(StoreError, match="is full"):
        CachedSampler(Echo(), cache).sample(ask(*texts), Params())


def test_a_cache_that_is_damaged_meanwhile_is_named(tmp_path):
    cache = GenerationCache(tmp_path / "c.sqlite")
    cache.path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreError, match=r"c\.sqlite"):
        CachedSampler(Echo(), cache).sample(ask("hi"), Params())


def test_a_file_that_is_no_cache_is_refused(tmp_path):
    path = tmp_path / "c.sqlite"
    path.write_text("this is no database, only a text that somebody put here by mistake")
    with pytest.raises(StoreError, match=r"c\.sqlite"):
        GenerationCache(path)
