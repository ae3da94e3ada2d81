"""Faults below a study: memory that runs out, clocks that jump, a store shared with another version of Cavesson."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cavesson.cli.store import app
from cavesson.errors import StoreError
from cavesson.lab import store as store_module
from cavesson.lab.lab import Lab
from cavesson.lab.memory import ShortOfMemory, watched
from cavesson.lab.plan import Stage
from cavesson.lab.recipe import Recipe
from cavesson.lab.show.board import Plain
from cavesson.lab.stage import Progress
from cavesson.lab.store import Store
from toys import Counting, Hungry, Number, Sum, value_of

TESTS = Path(__file__).parent
ONE, TWO = Number(value=1), Number(value=2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


# ------------------------------------------------------------------------------------------------ memory


def numpy_array() -> object:
    import numpy as np

    return np.ones(1 << 50)


def torch_tensor() -> object:
    import torch

    return torch.ones(1 << 50)


def gpu_tensor() -> object:
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB. GPU 0 has a total capacity of 1 GiB.")


@pytest.mark.parametrize("allocate", [lambda: bytearray(1 << 60), numpy_array, torch_tensor, gpu_tensor])
def test_each_librarys_way_to_say_that_memory_is_short_is_understood(allocate: Callable[[], object]) -> None:
    with pytest.raises(ShortOfMemory, match=r"not enough to make number 1: .*\n.*batch") as raised, watched(ONE):
        allocate()
    assert len(str(raised.value).splitlines()) == 2


def test_a_stage_that_finds_its_memory_too_small_is_tried_once_more_and_named(store: Store) -> None:
    said = io.StringIO()
    with Lab(store, workers=2, display=Plain(said)) as lab:
        with pytest.raises(ShortOfMemory, match=r"not enough to make 300 MB held.*\n.*--workers 1") as raised:
            lab.make([Hungry(megabytes=300, limit=True), Sum(of=(ONE, TWO), seconds=0.3)])
        assert raised.value.__notes__[0].startswith("In the stage: 300 MB held")
        assert said.getvalue().count("ran out of memory; once more, alone") == 1
        assert value_of(lab.path(Sum(of=(ONE, TWO), seconds=0.3))) == 3 and store.verify() == []


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """The list of processes of a control group that may hold 300 MB; only root may make one."""
    for parent, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = Path(parent) / f"cavesson-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(300 << 20))
        except OSError:
            if group.is_dir():
                group.rmdir()
            continue
        yield group / "cgroup.procs"
        while (group / "cgroup.procs").read_text():
            time.sleep(0.1)
        group.rmdir()
        return
    pytest.skip("control groups of memory cannot be made here (only root can)")


def test_workers_that_the_kernel_kills_for_memory_go_on_alone_or_are_named(store: Store, small_memory: Path) -> None:
    """Two stages of 170 MB are too much at once for 300 MB and fit one after the other; one of 500 MB never fits."""
    code = """
        import sys, os
        from pathlib import Path
        Path(sys.argv[2]).write_text(str(os.getpid()))
        sys.path.insert(0, sys.argv[3])
        from toys import Hungry, Number
        from cavesson.errors import CavessonError
        from cavesson.lab.show.board import Plain
        from cavesson.lab.lab import Lab
        from cavesson.lab.store import Store
        with Lab(Store(Path(sys.argv[1])), workers=2, display=Plain(sys.stdout)) as lab:
            lab.make([Hungry(megabytes=170, seconds=1, number=n) for n in range(2)])
            try:
                lab.make([Hungry(megabytes=500), Number(value=1)])
            except CavessonError as error:
                print(error, flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(store.root), str(small_memory), str(TESTS)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "halt   170 MB held: its worker was killed; once more, alone" in said
    assert re.search(r"500 MB held was killed twice \(signal 9\), as the system does when memory runs out", said)
    assert re.search(r"the largest worker held 0\.\d+ GB.*\n.*--workers 1.*goes on where it was", said)
    assert all(store.has(recipe) for recipe in (ONE, *(Hungry(megabytes=170, seconds=1, number=n) for n in range(2))))
    assert store.verify() == []


def test_a_disk_that_becomes_read_only_under_way_is_named(store: Store) -> None:
    """As the system makes a disk that has errors."""
    with pytest.raises(StoreError, match=r"lies on a read-only file system.\n.*CAVESSON_HOME"), store.making(ONE):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    with pytest.raises(StoreError, match="read-only"), store.making(ONE):
        raise RuntimeError("I/O error: Read-only file system (os error 30)")


# ------------------------------------------------------------------------------------------------ clocks

DAYS = [timedelta(days=-400), timedelta(days=-3), timedelta(days=3), timedelta(days=400)]


class Clock:
    """A wall clock that somebody sets."""

    offset = timedelta(0)

    def now(self, zone: tzinfo | None = None) -> datetime:
        return datetime.now(zone) + self.offset


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock, real = Clock(), time.time
    monkeypatch.setattr(store_module, "datetime", clock)
    monkeypatch.setattr(time, "time", lambda: real() + clock.offset.total_seconds())
    return clock


def stamp(folder: Path, offset: timedelta) -> None:
    """Give every file the time stamp of a clock that is off."""
    moment = (datetime.now(UTC) + offset).timestamp()
    for path in folder.rglob("*"):
        os.utime(path, (moment, moment))


@pytest.mark.parametrize("jump", DAYS, ids=str)
def test_a_clock_that_jumps_within_a_stage_changes_no_duration(store: Store, clock: Clock, jump: timedelta) -> None:
    said = io.StringIO()

    class Jumping(Plain):
        def progress(self, stage: Stage, progress: Progress) -> None:
            clock.offset += jump if progress.done == 5 else timedelta(0)
            super().progress(stage, progress)
            assert (left := self.left()) is None or 0 <= left < 60

    with Lab(store, display=Jumping(said)) as lab:
        lab.make([Counting(steps=10, seconds=0.2), Counting(steps=11, seconds=0.2)])
    assert all(0.1 < entry.seconds < 60 for entry in store.ls())
    assert not re.search(r"-\d", said.getvalue()) and "11 of" not in said.getvalue()


@pytest.mark.parametrize("jump", DAYS, ids=str)
def test_a_clock_that_jumps_between_stages_loses_nothing(store: Store, clock: Clock, jump: timedelta) -> None:
    total, spare = Sum(of=(ONE, TWO)), Number(value=9)
    with Lab(store) as lab:
        lab.make([ONE, spare])
    store.keep("study", [total])
    (store.scratch(total) / "state").touch()
    stamp(store.root, jump)
    clock.offset = jump
    with Lab(store) as lab:
        assert [stage.recipe for stage in lab.plan([total]).there] == [ONE]
        assert [entry.title for entry in store.gc().removed] == ["number 9"]  # need decides, not age
        assert (store.scratch(total) / "state").exists()
        assert value_of(lab.path(total)) == 3
    assert store.verify() == [] and len(store.ls()) == 3
    assert [report.name for report in store.reports()] == ["study"]


@pytest.mark.parametrize("jump", DAYS, ids=str)
def test_a_lock_is_its_holders_whatever_its_time_stamp_says(store: Store, clock: Clock, jump: timedelta) -> None:
    told: list[str] = []

    class GivesUp(Exception):
        pass

    def waiting(holder: str) -> None:
        told.append(holder)
        if len(told) == 3:
            raise GivesUp

    with store.making(ONE) as folder:
        assert folder is not None
        (folder / "value.txt").write_text("1")
        stamp(store.root, jump)
        clock.offset = jump
        with pytest.raises(GivesUp), Store(store.root).making(ONE, waiting):
            pytest.fail("two processes make one artifact")
        store.gc()
        assert folder.exists()
    assert told == [f"process {os.getpid()} on {os.uname().nodename}"] * 3 and store.has(ONE)


# ------------------------------------------------------------------------------------------------ versions


def newer(folder: Path) -> str:
    """Turn an artifact into one of a newer Cavesson; gives the text of its own manifest."""
    path = folder / "manifest.json"
    text, status = path.read_text(), path.stat()
    path.write_text(json.dumps({**json.loads(text), "format": 99, "files": "in some new form"}))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return text


def test_gc_spares_what_a_newer_cavesson_made_and_says_so(store: Store) -> None:
    with Lab(store) as lab:
        lab.make([ONE, TWO])
    newer(store.path(ONE))
    would = store.gc(dry_run=True)
    assert (len(would.removed), would.kept, would.newer) == (1, 1, 1)
    said = CliRunner().invoke(app, ["gc", "--store", str(store.root)])
    assert said.exit_code == 0 and "1 artifact of a newer Cavesson left alone" in said.output
    assert [entry.title for entry in store.ls()] == ["made by a newer Cavesson"]


def test_gc_removes_nothing_if_a_pin_needs_what_only_a_newer_cavesson_can_read(store: Store) -> None:
    with Lab(store) as lab:
        lab.make([ONE, TWO])
    store.pin(ONE)
    newer(store.path(ONE))
    with pytest.raises(StoreError, match=r"manifest format 99.*\n.*Upgrade"):
        store.gc()
    assert len(store.ls()) == 2


def test_the_index_does_not_remember_what_this_cavesson_cannot_read(store: Store) -> None:
    with Lab(store) as lab:
        lab.make([ONE])
    path = store.path(ONE) / "manifest.json"
    text = newer(path.parent)
    size = path.stat().st_size
    assert store.ls()[0].title == "made by a newer Cavesson"
    status = path.stat()
    path.write_text(text + " " * (size - len(text)))  # the newer one reads it, and the stamps are the same
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert store.ls()[0].title == "number 1"


@pytest.mark.parametrize(
    "table",
    [
        "fingerprint TEXT PRIMARY KEY, kind TEXT",
        "tags TEXT, fingerprint TEXT PRIMARY KEY, kind TEXT, title TEXT, created TEXT, seconds REAL, size INTEGER, "
        "manifest_time INTEGER, manifest_size INTEGER",
    ],
    ids=["older", "newer"],
)
def test_another_cavessons_index_is_used_or_done_without(store: Store, table: str) -> None:
    store.root.mkdir()
    with closing(sqlite3.connect(store.root / "index.sqlite")) as database, database:
        database.execute(f"CREATE TABLE artifacts ({table})")
    with Lab(store) as lab:
        lab.make([ONE, TWO])
    for _ in range(2):
        assert sorted(entry.title for entry in store.ls()) == ["number 1", "number 2"]
    store.rm(ONE)
    assert [entry.title for entry in store.ls()] == ["number 2"]


def test_one_recipe_under_two_versions_of_its_code_stands_side_by_side(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make() -> Recipe:
        total = Sum(of=(Number(value=1), Number(value=2)))
        with Lab(store) as lab:
            lab.make([total])
        store.keep(f"study-{total.fingerprint[:8]}", [total])
        return total

    old = make()
    monkeypatch.setattr(Number, "version", 2)
    new = make()
    assert old.fingerprint != new.fingerprint and store.has(old) and store.has(new)
    assert len(store.ls()) == 6 and len(store.reports()) == 2 and store.gc().removed == ()
    monkeypatch.undo()
    assert make().fingerprint == old.fingerprint and len(store.ls()) == 6
