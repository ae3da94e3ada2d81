"""A whole study under faults: kills, a second process, changed bytes, a disk that fills up or cannot be written."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from cavesson.cli.main import main
from cavesson.errors import StoreError
from cavesson.lab.lab import Lab
from cavesson.lab.manifest import NAME, files_in
from cavesson.lab.place import mark
from cavesson.lab.plan import Stage
from cavesson.lab.progress import Silent
from cavesson.lab.recipe import Recipe
from cavesson.lab.store import Store
from cavesson.run import Finished
from miniature import contents, findings, finish, start, study_file
from toys import Number, value_of

PAGE = 4096


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def file(place: Path) -> Path:
    return study_file(place)


@pytest.fixture(scope="module")
def whole(place: Path) -> Store:
    """The store of an undisturbed run."""
    return Store(place / "whole")


@pytest.fixture(scope="module")
def reference(file: Path, whole: Store) -> Finished:
    """The undisturbed run."""
    return finish(file, whole)


@pytest.fixture
def copy(whole: Store, reference: Finished, tmp_path: Path) -> Store:
    """A finished study's store, to be harmed."""
    return Store(Path(shutil.copytree(whole.root, tmp_path / "copy")))


def test_a_killed_study_ends_with_the_same_artifacts_and_findings(
    file: Path, whole: Store, reference: Finished, tmp_path: Path
) -> None:
    store, chance = Store(tmp_path / "store"), random.Random(0)
    there: set[str] = set()
    for workers in ("1", "2"):
        process = start(file, store, "--workers", workers)
        assert process.stderr is not None
        while "start" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(chance.uniform(0, 2))
        helpers = psutil.Process(process.pid).children()
        process.kill()
        process.communicate()
        psutil.wait_procs(helpers)
        assert store.verify() == [] and there <= set(contents(store))
        there = set(contents(store))
    finished = finish(file, store)
    assert contents(store) == contents(whole) and findings(finished.result) == findings(reference.result)
    assert not any(store.root.glob("scratch/*"))


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_two_processes_make_each_artifact_of_a_study_once(
    file: Path, whole: Store, reference: Finished, tmp_path: Path, workers: str
) -> None:
    store = Store(tmp_path / "store")
    processes = [start(file, store, "--workers", workers) for _ in range(2)]
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    done = [line for _, lines in said for line in lines.splitlines() if line.startswith("done")]
    assert sum("by another process" not in line for line in done) == len(contents(whole))
    assert contents(store) == contents(whole)
    [report] = store.reports()
    assert findings(finish(file, store).result) == findings(reference.result) and report.needs


def test_a_changed_byte_of_any_file_is_found_and_the_artifact_made_anew(whole: Store, copy: Store) -> None:
    """Even if time stamp and size stay: `verify` sees to it that whoever needs the artifact notices."""
    chance = random.Random(0)
    for name, hashes in contents(whole).items():
        folder, recipe = copy.path(name), Recipe.parse(copy.manifest(name).recipe)
        for inner in [*files_in(folder), NAME]:
            content = (folder / inner).read_bytes()
            _flip(folder / inner, chance)
            assert inner in {damage.file for damage in copy.verify(name)}, inner
            assert not copy.has(name), inner
            (folder / inner).write_bytes(content)
        assert copy.verify(name) == []
        _flip(folder / chance.choice(sorted(hashes)), chance)
        assert copy.verify(name) != []
        Lab(copy).make([recipe])
        assert copy.verify(name) == [] and contents(copy)[name] == hashes
    assert contents(copy) == contents(whole)


def _flip(path: Path, chance: random.Random) -> None:
    """Change one letter or byte, and nothing that a look at the folder shows."""
    status, content = path.stat(), bytearray(path.read_bytes())
    places = [n for n, byte in enumerate(content[:10_000]) if chr(byte).isalnum()] or range(len(content))
    content[chance.choice(places)] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


# ------------------------------------------------------------------------------------------------ disks


@dataclass
class SmallDisk:
    """A file system in memory, of a size that can be changed."""

    path: Path

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.path)], check=True)

    def leave(self, room: int) -> None:
        """Make it so large that this many bytes are free."""
        self.remount(f"size={shutil.disk_usage(self.path).used + room}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """64 MB to begin with. Only root may mount: otherwise run pytest inside `unshare -rm`."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(path)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting is not permitted here (run pytest as root, or inside `unshare -rm`)")
    yield SmallDisk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_disk_that_fills_up_in_any_stage_costs_nothing_but_that_stage(
    small_disk: SmallDisk, file: Path, whole: Store, reference: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stage begins with next to no room, and after each failure gets more of it."""

    class Crowding(Silent):
        def finished(self, stage: Stage, made: bool) -> None:
            small_disk.leave(PAGE)

    store, room, finished = Store(small_disk.path / "store"), PAGE, None
    mark(store.root)
    failed: list[str] = []
    with monkeypatch.context() as patch:  # training states are saved often enough to meet the full disk as well
        patch.setattr("cavesson.training.resume.SAVE_EVERY_SECONDS", 0.0)
        while finished is None:
            before = contents(store)
            small_disk.leave(room)
            try:
                finished = finish(file, store, display=Crowding())
            except StoreError as error:
                assert str(store.root) in error.problem and "is full" in error.problem
                assert "cavesson store gc" in error.remedy and error.exit_code == 3
                failed += getattr(error, "__notes__", ["report"])
                if "state of a training run" in str(error.__cause__):
                    failed.append("state")
                    patch.undo()
            after = contents(store)
            assert store.verify() == [] and before.items() <= after.items()
            assert not any(store.root.glob("making/*")) and not any(store.root.glob("reports/*/.*"))
            room = PAGE if after != before else 64 * room
    assert len(set(failed)) == len(contents(whole)) + 2 and {"state", "report"} < set(failed)
    assert contents(store) == contents(whole) and findings(finished.result) == findings(reference.result)


def test_a_full_disk_can_be_read_and_tidied(small_disk: SmallDisk) -> None:
    store = Store(small_disk.path)
    for value in (1, 2):
        with store.making(Number(value=value)) as folder:
            assert folder is not None
            (folder / "value.txt").write_bytes(bytes(100_000))
    store.pin(Number(value=1))
    small_disk.leave(0)
    assert len(store.ls()) == 2 and store.verify() == []
    with Lab(store) as lab, pytest.raises(StoreError, match=r"is full.\n.*cavesson store gc"):
        lab.make([Number(value=3)])
    assert [entry.title for entry in store.gc().removed] == ["number 2"]
    with Lab(store) as lab:
        assert value_of(lab.path(Number(value=3))) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_sent_to_a_full_disk_ends_without_a_traceback(tmp_path: Path, stream: str) -> None:
    command = [sys.executable, "-m", "cavesson.cli.main", "store", "ls", "--store", str(tmp_path)]
    with Lab(Store(tmp_path)) as lab, Path("/dev/full").open("w") as full:
        lab.make([Number(value=1)])
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: full}
        done = subprocess.run(command, **pipes, text=True, check=False)
    assert done.returncode == 3 and "Traceback" not in (done.stderr or "")
    assert stream == "stderr" or "error: Nothing more can be written: No space left on device." in done.stderr


READS = ("ls", "verify", "verify --quick", "reports", "gc --dry-run", "show {name}", "path {name}")
WRITES = ("gc", "pin {name}", "rm {name}", "drop {report}")


@pytest.fixture
def cavesson(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[int, str]]:
    """The command line; gives its exit code and all that it said."""

    def call(words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["cavesson", *words.split()])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out + said.err

    return call


def test_a_read_only_store_shows_what_it_holds_and_refuses_the_rest(
    small_disk: SmallDisk, file: Path, whole: Store, reference: Finished, cavesson: Callable[[str], tuple[int, str]]
) -> None:
    store = Store(Path(shutil.copytree(whole.root, small_disk.path / "store")))
    (store.root / "index.sqlite").unlink(missing_ok=True)
    small_disk.remount("ro")
    names = {"name": store.ls()[0].fingerprint[:12], "report": store.reports()[0].name}
    for words in READS:
        code, said = cavesson(f"store {words.format(**names)} --store {store.root}")
        assert code == 0, (words, said)
    code, said = cavesson(f"run {file} --store {store.root}")
    assert code == 0 and reference.result.headline[0][:20] in said
    assert "note: the report is that of an earlier run" in said and "read-only" in said
    for words in (*(f"store {words.format(**names)}" for words in WRITES), f"run {file} --set seeds=[5]"):
        code, said = cavesson(f"{words} --store {store.root}")
        assert code == 3 and "lies on a read-only file system" in said and "CAVESSON_HOME" in said, (words, said)
    assert contents(store) == contents(whole)
