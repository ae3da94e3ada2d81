"""The generation cache: cached completions are the fresh ones, and whatever happens to the cache costs time only."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from cavesson.chat import Conversation
from cavesson.sampling import cache as caches
from cavesson.sampling.cache import CHUNK, FILE, CachedSampler, GenerationCache, cache_key
from cavesson.sampling.sampler import Completion, Params


class Echo:
    """A sampler that answers with the prompt's tokens, and counts what it was asked."""

    system, used = None, {}

    def __init__(self, key: str = "weights", fail_after: int | None = None) -> None:
        self.key = key
        self.asked: list[list[int]] = []
        self.fail_after = fail_after

    def sample(self, conversations, params, progress=None):
        return self.continue_ids(self.prompts_ids(conversations), params)

    def prompts_ids(self, conversations):
        return [[ord(letter) for letter in c.messages[-1].content] for c in conversations]

    def continue_ids(self, prompts, params, progress=None):
        if self.fail_after is not None and len(self.asked) >= self.fail_after:
            raise KeyboardInterrupt
        self.asked += prompts
        logprobs = (-0.1, -1 / 3) if params.logprobs else None
        return [
            [Completion(f"{self.key} {ids} {n} é", (*ids, n), n % 2 == 0, logprobs) for n in range(params.n)]
            for ids in prompts
        ]


def ask(*texts: str) -> list[Conversation]:
    return [Conversation.of(text) for text in texts]


TEXTS = [f"prompt {i}" for i in range(300)]


@pytest.fixture
def cache(tmp_path: Path) -> GenerationCache:
    return GenerationCache(tmp_path / "cache")


def test_cached_is_fresh(cache):
    echo, params = Echo(), Params(temperature=1.0, n=3, logprobs=True)
    fresh = CachedSampler(echo, cache).sample(ask("one", "two", "one"), params)
    assert fresh == Echo().sample(ask("one", "two", "one"), params)
    echo.asked.clear()
    again = CachedSampler(echo, GenerationCache(cache.folder)).sample(ask("two", "one", "one"), params)
    assert again == [fresh[1], fresh[0], fresh[0]]
    assert echo.asked == []


def test_equal_prompts_are_sampled_once(cache):
    echo = Echo()
    CachedSampler(echo, cache).sample(ask("same", "same", "other"), Params())
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


def test_other_weights_do_not_share_entries(cache):
    [[one]] = CachedSampler(Echo("one"), cache).sample(ask("hi"), Params())
    [[two]] = CachedSampler(Echo("two"), cache).sample(ask("hi"), Params())
    assert one.text.startswith("one") and two.text.startswith("two")


def test_what_was_sampled_before_an_interruption_is_kept(cache):
    texts = [f"prompt {i}" for i in range(CHUNK + 40)]
    with pytest.raises(KeyboardInterrupt):
        CachedSampler(Echo(fail_after=1), cache).sample(ask(*texts), Params())
    echo = Echo()
    answers = CachedSampler(echo, cache).sample(ask(*texts), Params())
    assert len(echo.asked) == 40
    assert answers == Echo().sample(ask(*texts), Params())


WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_cache import Echo, TEXTS, ask
from cavesson.sampling import cache
from cavesson.sampling.sampler import Params
cache.CHUNK = 20
sampler = cache.CachedSampler(Echo(), cache.GenerationCache(Path(sys.argv[2])))
print(sampler.sample(ask(*TEXTS[int(sys.argv[3]):]), Params()) == Echo().sample(ask(*TEXTS[int(sys.argv[3]):]), Params()))
"""


def test_processes_share_one_cache(cache):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(Path(__file__).parent), str(cache.folder), str(start)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for start in (0, 50, 100, 150)
    ]
    assert [writer.communicate()[0] for writer in writers] == ["True\n"] * 4
    echo = Echo()
    CachedSampler(echo, cache).sample(ask(*TEXTS), Params())
    assert echo.asked == []
    with sqlite3.connect(cache.folder / FILE) as db:
        assert db.execute("SELECT count(*) FROM generations").fetchone() == (300,)


def test_progress_counts_what_was_known_already(cache):
    sampler, seen = CachedSampler(Echo(), cache), []
    sampler.sample(ask("a", "b"), Params())
    sampler.sample(ask("a", "b", "c", "c"), Params(), lambda done, total: seen.append((done, total)))
    assert seen == [(3, 3)]


# ------------------------------------------------------------------------------------------------ bounds


def key_of(number: int) -> bytes:
    return cache_key("weights", [number], Params())


def answer(number: int) -> list[Completion]:
    """Some two kilobytes that do not compress."""
    return [Completion(random.Random(number).randbytes(1000).hex(), (number,), True)]


def test_a_full_cache_forgets_what_was_used_longest_ago(tmp_path):
    cache = GenerationCache(tmp_path / "cache", most=1_000_000)
    for start in range(0, 3000, 100):
        cache.put({key_of(number): answer(number) for number in range(start, start + 100)})
        assert cache.get([key_of(0)]) == {key_of(0): answer(0)}, "what is used all the time stays"
        assert sum(path.stat().st_size for path in cache.folder.iterdir()) < 1_500_000
    known = [number for number in range(3000) if cache.get([key_of(number)])]
    assert 300 < len(known) < 1000, "it holds about as much as it may"
    assert known == [0, *range(known[1], 3000)], "and the newest"


def test_a_cache_of_no_size_keeps_nothing_and_comes_to_an_end(tmp_path):
    cache = GenerationCache(tmp_path / "cache", most=0)
    cache.put({key_of(1): answer(1)})
    assert cache.get([key_of(1)]) == {}


# ------------------------------------------------------------------------------------------------ faults


def test_any_byte_may_change(cache):
    """Whatever is damaged, answers are the fresh ones, and the cache works again afterwards."""
    fresh, chance, set_aside = Echo().sample(ask(*TEXTS), Params()), random.Random(0), 0
    for _ in range(60):
        CachedSampler(Echo(), cache).sample(ask(*TEXTS), Params())
        content = bytearray((cache.folder / FILE).read_bytes())
        places = [chance.randrange(100), *(chance.randrange(len(content)) for _ in range(chance.choice((1, 5, 50))))]
        for place in places[chance.randrange(2) :]:
            content[place] ^= chance.randrange(1, 256)
        (cache.folder / FILE).write_bytes(content)
        for again in (Echo(), Echo()):
            assert CachedSampler(again, cache).sample(ask(*TEXTS), Params()) == fresh
        set_aside += cache.folder.with_name("cache.damaged").exists()
    assert set_aside


@pytest.mark.parametrize("size", [0, 10, 4096, 9000])
def test_a_file_that_was_cut_off(cache, size):
    fresh = CachedSampler(Echo(), cache).sample(ask(*TEXTS), Params())
    (cache.folder / FILE).write_bytes((cache.folder / FILE).read_bytes()[:size])
    assert CachedSampler(Echo(), cache).sample(ask(*TEXTS), Params()) == fresh


def test_the_row_of_another_key_is_no_answer(cache):
    cache.put({key_of(1): answer(1), key_of(2): answer(2)})
    with sqlite3.connect(cache.folder / FILE) as db:
        [(other,)] = db.execute("SELECT completions FROM generations WHERE key = ?", [key_of(2)]).fetchall()
        db.execute("UPDATE generations SET completions = ? WHERE key = ?", [other, key_of(1)])
    assert cache.get([key_of(1), key_of(2)]) == {key_of(2): answer(2)}


def test_a_file_that_is_no_cache_is_set_aside(cache):
    cache.folder.mkdir()
    (cache.folder / FILE).write_text("this is no database, only a text that somebody put here by mistake")
    cache.put({key_of(1): answer(1)})
    assert cache.get([key_of(1)]) == {key_of(1): answer(1)}
    assert "by mistake" in (cache.folder.with_name("cache.damaged") / FILE).read_text()


def test_a_full_disk_costs_the_cache_and_nothing_else(cache, monkeypatch):
    connect = sqlite3.connect

    def with_a_full_disk(*place, **settings):
        database = connect(*place, **settings)
        database.execute("PRAGMA max_page_count = 1")
        return database

    monkeypatch.setattr(sqlite3, "connect", with_a_full_disk)
    fresh = Echo().sample(ask(*TEXTS), Params())
    assert CachedSampler(Echo(), cache).sample(ask(*TEXTS), Params()) == fresh
    assert cache.get([cache_key("weights", ids, Params()) for ids in Echo().prompts_ids(ask(*TEXTS))]) == {}


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").touch()
    cache = GenerationCache(tmp_path / "file" / "cache")
    assert CachedSampler(Echo(), cache).sample(ask("hi"), Params()) == Echo().sample(ask("hi"), Params())


def test_a_process_that_holds_the_file_is_not_waited_for_in_vain(cache, monkeypatch):
    monkeypatch.setattr(caches, "PATIENCE", 0.05)
    cache.put({key_of(1): answer(1)})
    with sqlite3.connect(cache.folder / FILE) as holder:
        holder.execute("BEGIN IMMEDIATE")
        cache.put({key_of(2): answer(2)})
    assert list(cache.get([key_of(1), key_of(2)])) == [key_of(1)]
