"""The store: artifacts are whole or absent, however processes end."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cavesson.errors import ConfigError, StoreError
from cavesson.lab.lab import Lab
from cavesson.lab.locks import FileLock
from cavesson.lab.recipe import Recipe
from cavesson.lab.store import Store
from toys import Failing, Number, Sum, View, value_of

TESTS = Path(__file__).parent


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def put(store: Store, recipe: Recipe, text: str = "7") -> Path:
    with store.making(recipe) as folder:
        assert folder is not None
        (folder / "value.txt").write_text(text)
    return store.path(recipe)


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python process that can import the toys; talks through its pipes."""
    program = f"import sys; sys.path.insert(0, {str(TESTS)!r})\n" + textwrap.dedent(code)
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def flip(path: Path, *, keep_time: bool = False) -> None:
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_an_artifact_is_its_files_and_a_manifest(store: Store) -> None:
    recipe = Sum(of=(Number(value=3), View(base=Number(value=4))), seed=5)
    folder = put(store, recipe)
    manifest = store.manifest(recipe)
    assert folder == store.root / "artifacts" / recipe.fingerprint[:2] / recipe.fingerprint
    assert Recipe.parse(manifest.recipe) == recipe
    assert manifest.inputs == (Number(value=3).fingerprint, Number(value=4).fingerprint)  # seen through the view
    assert (manifest.seed, manifest.kind, set(manifest.files)) == (5, "toys:Sum", {"value.txt"})
    assert {"python", "cavesson", "torch", "transformers"} <= set(manifest.versions)
    assert manifest.wall_seconds >= 0 and manifest.created.endswith("+00:00")


def test_nothing_shows_until_the_block_ends_well(store: Store) -> None:
    recipe = Number(value=1)
    with pytest.raises(ZeroDivisionError), store.making(recipe) as folder:
        assert folder is not None
        (folder / "value.txt").write_text("1")
        (store.scratch(recipe) / "state").write_text("half")
        assert not store.has(recipe)
        raise ZeroDivisionError
    assert not store.has(recipe) and store.ls() == []
    assert list((store.root / "making").iterdir()) == []
    assert (store.scratch(recipe) / "state").read_text() == "half"
    put(store, recipe)
    assert not (store.root / "scratch" / recipe.fingerprint).exists()


def test_what_is_there_is_not_made_again(store: Store) -> None:
    put(store, Number(value=1))
    with store.making(Number(value=1)) as folder:
        assert folder is None


def test_a_missing_artifact_has_no_path(store: Store) -> None:
    with pytest.raises(StoreError, match=r"number 1 .* is not there"):
        store.path(Number(value=1))
    with pytest.raises(StoreError, match="makes no artifact of its own"):
        store.path(View(base=Number()))


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_flipped_byte_is_seen_on_use_and_the_artifact_made_again(store: Store, size: int) -> None:
    recipe = Number(value=1)
    folder = put(store, recipe, "x" * size)
    assert store.has(recipe) and store.verify(recipe) == []
    flip(folder / "value.txt")
    assert not store.has(recipe) and not Store(store.root).has(recipe)
    assert "changed content" in str(store.verify()[0])
    with pytest.raises(StoreError, match="is damaged"):
        store.path(recipe)
    put(store, recipe, "x" * size)
    assert store.has(recipe) and store.verify() == []


def test_silent_decay_is_seen_on_use_in_small_files_and_by_verify_in_all(store: Store) -> None:
    for value, size in enumerate((10, 3_000_000)):
        folder = put(store, Number(value=value), "x" * size)
        flip(folder / "value.txt", keep_time=True)
    assert not Store(store.root).has(Number(value=0))
    assert {damage.fingerprint for damage in store.verify()} == {Number(value=value).fingerprint for value in (0, 1)}


def test_verify_names_missing_cut_and_foreign_files_and_a_broken_manifest(store: Store) -> None:
    folders = [put(store, Number(value=value), "x" * 100) for value in range(5)]
    (folders[0] / "value.txt").unlink()
    (folders[1] / "value.txt").write_text("x" * 99)
    (folders[2] / "stray.bin").write_text("")
    flip(folders[3] / "manifest.json")
    found = {damage.fingerprint: damage.problem for damage in store.verify()}
    assert found == {
        Number(value=0).fingerprint: "is missing",
        Number(value=1).fingerprint: "has 99 bytes instead of 100",
        Number(value=2).fingerprint: "does not belong there",
        Number(value=3).fingerprint: found[Number(value=3).fingerprint],
    }
    assert [store.has(Number(value=value)) for value in range(5)] == [False, False, True, False, True]


def test_every_byte_of_a_manifest_counts(store: Store) -> None:
    folder = put(store, Number(value=1))
    whole = (folder / "manifest.json").read_bytes()
    for position in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[position] ^= 1
        (folder / "manifest.json").write_bytes(changed)
        try:
            known = store.has(Number(value=1))
        except StoreError as newer:  # the format's number itself was hit
            assert "manifest format" in str(newer)
            continue
        # White space between values may change without changing what is said.
        assert not known or json.loads(changed) == json.loads(whole)


def test_a_newer_cavessons_artifact_is_neither_read_nor_overwritten(store: Store) -> None:
    folder = put(store, Number(value=1))
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**content, "format": 99, "files": "in some new form"}))
    for attempt in (store.has, store.path, store.manifest):
        with pytest.raises(StoreError, match=r"format 99.*\n.*Upgrade Cavesson"):
            attempt(Number(value=1))
    with pytest.raises(StoreError, match="format 99"):
        Lab(store).make([Number(value=1)])
    assert store.ls()[0].title == "made by a newer Cavesson"
    assert "cannot be judged" in store.verify()[0].problem


def test_the_index_only_mirrors_the_folders(store: Store) -> None:
    for value in range(3):
        put(store, Number(value=value))
    listed = store.ls()
    assert [entry.title for entry in store.ls()] == [entry.title for entry in listed]
    index = store.root / "index.sqlite"
    with sqlite3.connect(index) as database:
        database.execute("UPDATE artifacts SET fingerprint = 'ffff' WHERE title = 'number 1'")
    assert store.ls() == listed
    index.write_bytes(b"not a database at all" * 100)
    assert store.ls() == listed
    index.unlink()
    assert store.ls() == listed
    store.rm(Number(value=2))
    assert {entry.title for entry in store.ls()} == {"number 0", "number 1"}


def test_find_takes_an_unambiguous_prefix(store: Store) -> None:
    for value in range(20):
        put(store, Number(value=value))
    name = Number(value=3).fingerprint
    assert store.find(name[:12]) == name
    with pytest.raises(ConfigError, match="artifacts have"):
        store.find(
            next(digit for digit in "0123456789abcdef" if sum(e.fingerprint[0] == digit for e in store.ls()) > 1)
        )
    for wrong in ("zz", "", "../.."):
        with pytest.raises(ConfigError, match="No artifact"):
            store.find(wrong)


def test_gc_keeps_what_reports_and_pins_need_and_removes_the_rest(store: Store) -> None:
    kept, pinned = Sum(of=(Number(value=1), Number(value=2))), Sum(of=(Number(value=3),))
    with Lab(store) as lab:
        lab.make([kept, pinned, Number(value=4), Sum(of=(Number(value=1),))])
    store.keep("study", [kept])
    store.pin(pinned)
    (store.scratch(Number(value=9)) / "state").touch()
    would = store.gc(dry_run=True)
    assert {entry.title for entry in would.removed} == {"number 4", "sum of 1"} and len(store.ls()) == 7
    done = store.gc()
    assert done == would and done.kept == 5 and done.freed > 0
    assert store.has(kept) and store.has(Number(value=3)) and not store.has(Number(value=4))
    assert not (store.root / "scratch" / Number(value=9).fingerprint).exists()
    store.unpin(pinned)
    assert {entry.title for entry in store.gc().removed} == {"sum of 1", "number 3"}


def test_a_dry_run_writes_nothing(store: Store, tmp_path: Path) -> None:
    put(store, Number(value=1))
    (store.root / "index.sqlite").unlink(missing_ok=True)
    (store.root / "uses").mkdir(exist_ok=True)
    (store.root / "uses" / "1-dead.json").write_text(f'["{Number(value=1).fingerprint}"]')

    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}

    before = state()
    assert len(store.gc(dry_run=True).removed) == 1 and state() == before
    assert Store(tmp_path / "new").gc(dry_run=True).kept == 0 and not (tmp_path / "new").exists()


def test_a_dry_run_sees_what_live_processes_use(store: Store) -> None:
    put(store, Number(value=1))
    use = store.use()
    use.add([Number(value=1).fingerprint])
    assert store.gc(dry_run=True).removed == ()
    use.close()
    assert len(store.gc(dry_run=True).removed) == 1


def test_a_dropped_report_keeps_nothing(store: Store) -> None:
    total = Sum(of=(Number(value=1),))
    with Lab(store) as lab:
        lab.make([total])
        folder = store.keep("study", [total])
        with pytest.raises(StoreError, match="in use by process"):
            store.drop("study")
    [report] = store.reports()
    assert report.name == "study" and set(report.needs) == {total.fingerprint, Number(value=1).fingerprint}
    for wrong in ("studi", "", "..", "../artifacts"):
        with pytest.raises(ConfigError, match="no report"):
            store.drop(wrong)
    assert store.gc().removed == ()
    store.drop("study")
    assert not folder.exists() and store.reports() == [] and len(store.gc().removed) == 2


def test_gc_leaves_alone_what_a_live_process_uses(store: Store) -> None:
    recipe = Sum(of=(Number(value=1),))
    other = child(
        """
        from pathlib import Path
        from toys import Number, Sum
        from cavesson.lab.lab import Lab
        from cavesson.lab.store import Store
        with Lab(Store(Path(sys.argv[1]))) as lab:
            lab.make([Sum(of=(Number(value=1),))])
            print("made", flush=True)
            sys.stdin.read()
        """,
        store.root,
    )
    assert other.stdout is not None and other.stdout.readline() == "made\n"
    assert store.gc().removed == ()
    with pytest.raises(StoreError, match=f"in use by process {other.pid}"):
        store.rm(recipe)
    other.kill()  # not even a dead process's claim stays
    other.wait()
    assert len(store.gc().removed) == 2 and list((store.root / "uses").iterdir()) == []


def test_a_lab_works_undisturbed_while_another_process_collects_garbage(store: Store) -> None:
    sweeper = child(
        """
        import time
        from pathlib import Path
        from cavesson.lab.store import Store
        while True:
            Store(Path(sys.argv[1])).gc()
            print("swept", flush=True)
            time.sleep(0.02)
        """,
        store.root,
    )
    assert sweeper.stdout is not None and sweeper.stdout.readline() == "swept\n"
    try:
        for value in range(8):
            with Lab(store) as lab:
                total = Sum(of=(Sum(of=(Number(value=1), Number(value=value))), Number(value=2)))
                lab.make([total])
                assert value_of(lab.path(total)) == value + 3
        sweeper.stdout.readline()  # it lives
    finally:
        sweeper.kill()
        sweeper.wait()
    store.gc()
    assert store.ls() == []


def test_gc_refuses_to_guess_what_a_damaged_report_needs(store: Store) -> None:
    put(store, Number(value=1))
    folder = store.keep("study", [Number(value=1)])
    (folder / "roots.json").write_text("[")
    with pytest.raises(StoreError, match=r"roots.json is not a list"):
        store.gc()
    assert store.has(Number(value=1))


def test_a_pinned_artifact_is_not_removed(store: Store) -> None:
    put(store, Number(value=1))
    store.pin(Number(value=1))
    with pytest.raises(StoreError, match="is pinned"):
        store.rm(Number(value=1))
    store.unpin(Number(value=1))
    store.rm(Number(value=1))
    assert store.ls() == []


def test_of_two_processes_one_makes_and_the_other_waits_and_uses_it(store: Store, tmp_path: Path) -> None:
    code = """
        from pathlib import Path
        from toys import Number, Sum
        from cavesson.lab.lab import Lab
        from cavesson.lab.store import Store
        recipe = Sum(of=(Number(value=1), Number(value=2)), seconds=0.5, log=Path(sys.argv[2]))
        Lab(Store(Path(sys.argv[1]))).make([recipe])
    """
    log = tmp_path / "log"
    processes = [child(code, store.root, log) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(log.read_text().splitlines()) == 1
    assert value_of(store.path(Sum(of=(Number(value=1), Number(value=2)), seconds=0.5))) == 3


def test_a_killed_makers_lock_and_remains_are_swept_aside(store: Store) -> None:
    recipe = Number(value=1)
    maker = child(
        """
        from pathlib import Path
        from toys import Number
        from cavesson.lab.store import Store
        with Store(Path(sys.argv[1])).making(Number(value=1)) as folder:
            (folder / "rubbish").write_text("half")
            print("making", flush=True)
            sys.stdin.read()
        """,
        store.root,
    )
    assert maker.stdout is not None and maker.stdout.readline() == "making\n"
    holders: list[str] = []

    def waiting(holder: str) -> None:
        holders.append(holder)
        maker.send_signal(signal.SIGKILL)

    with store.making(recipe, waiting) as folder:
        assert folder is not None and list(folder.iterdir()) == []
        (folder / "value.txt").write_text("1")
    assert holders[0].startswith(f"process {maker.pid} on ")
    assert store.verify(recipe) == [] and set(store.manifest(recipe).files) == {"value.txt"}
    maker.wait()


def test_gc_sweeps_a_killed_makers_remains_but_not_a_live_ones(store: Store) -> None:
    dead = store.root / "making" / Number(value=8).fingerprint
    dead.mkdir(parents=True)
    with store.making(Number(value=1)) as folder:
        assert folder is not None
        (folder / "value.txt").write_text("1")
        store.gc()
        assert folder.exists() and not dead.exists()
    assert store.has(Number(value=1))


def test_a_lock_excludes_threads_and_passes_on_though_its_file_is_deleted(tmp_path: Path) -> None:
    inside: list[int] = []

    def work() -> None:
        for _ in range(50):
            with FileLock(tmp_path / "lock", remove=True):
                inside.append(1)
                assert len(inside) == 1
                time.sleep(0)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside == [] and not (tmp_path / "lock").exists()


def test_a_full_disk_is_named_and_leaves_nothing_half_made(store: Store) -> None:
    with pytest.raises(StoreError, match=r"disk of the store .* is full.\n.*cavesson store gc"):
        Lab(store).make([Failing(how="full")])
    assert store.ls() == [] and list((store.root / "making").iterdir()) == []


def test_a_library_that_wraps_a_full_disk_is_understood(store: Store) -> None:
    with pytest.raises(StoreError, match="is full"), store.making(Number(value=1)):
        raise ValueError("Error while serializing: I/O error: No space left on device (os error 28)")


def test_a_database_on_a_full_disk_is_understood(store: Store) -> None:
    with (
        pytest.raises(StoreError, match="is full"),
        store.making(Number(value=1)),
        closing(sqlite3.connect(":memory:")) as database,
    ):
        database.execute("PRAGMA max_page_count = 1")
        database.execute("CREATE TABLE two (pages)")


def test_an_unwritable_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "store")
    assert not store.has(Number()) and store.ls() == []
    for attempt in (lambda: Lab(store).make([Number()]), lambda: store.pin(Number()), lambda: store.keep("s", [])):
        with pytest.raises(StoreError, match=r"cannot be written: Not a directory.\n.*--store"):
            attempt()


@pytest.fixture
def as_a_user() -> Iterator[None]:
    """Root may write anywhere; if the tests run as root, be nobody for a while."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield
    if was == 0:
        os.seteuid(was)


def test_a_read_only_store_can_be_read(request: pytest.FixtureRequest) -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        store = Store(Path(place) / "store")
        put(store, Number(value=1))
        folders = [store.root, *(path for path in store.root.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        request.getfixturevalue("as_a_user")
        again = Store(store.root)
        with Lab(again) as lab:
            lab.make([Number(value=1)])
            assert value_of(lab.path(Number(value=1))) == 7
        assert len(again.ls()) == 1 and again.verify() == []
        with pytest.raises(StoreError, match="cannot be written: Permission denied"):
            again.check_writable()
        with pytest.raises(StoreError, match="cannot be written: Permission denied"):
            Lab(again).make([Number(value=2)])
        if os.getuid() == 0:
            os.seteuid(0)
        for folder in folders:
            folder.chmod(0o755)


def test_the_store_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CAVESSON_HOME", str(tmp_path / "elsewhere"))
    assert Store().root == tmp_path / "elsewhere"
    monkeypatch.delenv("CAVESSON_HOME")
    assert Store().root.name == "cavesson"
    assert not (tmp_path / "elsewhere").exists()
