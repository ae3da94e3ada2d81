"""A store tidies its own folder and nothing else, whatever lies there; locks are no way to other people's files."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cavesson.cli.main import app
from cavesson.errors import CavessonError, ConfigError, StoreError
from cavesson.lab import manifest as manifests
from cavesson.lab import place
from cavesson.lab.lab import Lab
from cavesson.lab.locks import FileLock
from cavesson.lab.processors import free_core
from cavesson.lab.store import Store
from toys import Number, Sum


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    with Lab(made) as lab:
        lab.make([Sum(of=(Number(value=1), Number(value=2)))])
    return made


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- what is a store


@pytest.mark.parametrize(
    "names", [["notes.txt"], ["Documents/", ".bashrc"], ["cache/"], ["artifacts/", "reports/", "README.md"]]
)
def test_a_folder_of_somebody_is_no_store(tmp_path: Path, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in names:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    before = everything_in(tmp_path)
    with pytest.raises(ConfigError, match=r"is not a store: it holds '.*\n.*new or an empty folder"):
        Store(tmp_path)
    monkeypatch.chdir(tmp_path)
    for command in (["gc", "--cache"], ["gc", "--dry-run"], ["ls"], ["rm", "ab"], ["drop", "x"]):
        for where in ("", " ", ".", str(tmp_path)):
            result = CliRunner().invoke(app, ["store", *command, "--store", where])
            assert isinstance(result.exception, ConfigError), (command, where)
    assert everything_in(tmp_path) == before


def test_a_home_and_the_root_are_no_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in (tmp_path, Path("~"), Path("/")):
        with pytest.raises(ConfigError, match="is not a store"):
            Store(folder)
    with pytest.raises(StoreError, match="cannot be read"):
        Store(Path("~nobody-of-that-name/store"))


def test_a_store_is_marked_when_it_is_first_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "new")
    assert store.ls() == [] and not store.root.exists()
    store.pin(Number())
    assert "format 1" in (store.root / place.MARK).read_text()
    (store.root / "notes of mine.txt").touch()
    assert Store(store.root).pins() == [Number().fingerprint]


def test_a_store_of_03_is_known_by_its_form_and_marked_at_the_next_write(store: Store) -> None:
    (store.root / place.MARK).unlink()
    again = Store(store.root)
    assert len(again.ls()) == 3 and not (store.root / place.MARK).exists()
    with Lab(again) as lab:
        lab.make([Number(value=3)])
    assert (store.root / place.MARK).exists()
    (store.root / place.MARK).unlink()
    assert len(Store(store.root).gc().removed) == 4


def test_a_store_with_files_of_ones_own_is_marked_by_hand(store: Store) -> None:
    (store.root / place.MARK).unlink()
    (store.root / "notes.txt").touch()
    with pytest.raises(ConfigError, match=f"touch .*{place.MARK}"):
        Store(store.root)
    (store.root / place.MARK).touch()
    assert len(Store(store.root).ls()) == 3


def test_a_newer_layout_is_left_alone(store: Store) -> None:
    (store.root / place.MARK).write_text("An artifact store of Cavesson, format 2\n")
    with pytest.raises(StoreError, match="has format 2; this Cavesson knows 1 at most"):
        Store(store.root)


def test_a_folder_in_which_another_process_writes_the_mark_is_no_strange_folder(tmp_path: Path) -> None:
    (tmp_path / f".{place.MARK}.0123abcd").touch()
    assert Store(tmp_path).ls() == []


# --- what is removed


def test_gc_touches_only_names_of_the_stores_form(store: Store) -> None:
    strange = [
        "artifacts/zz/junk/file", "artifacts/ab/photos/one.jpg", "artifacts/file", "making/mine/file", "scratch/mine/file",
        "making/0123.abc/file", "uses/.bashrc", "uses/mine.json", "uses/7-abcd.lock", "pins/mine", "locks/mine", "reports/mine/file",
    ]  # fmt: skip
    for name in strange:
        (store.root / name).parent.mkdir(parents=True, exist_ok=True)
        (store.root / name).write_text("[]")
    killed = [f"making/{'a' * 32}", f"making/{'a' * 32}.0123abcd", f"scratch/{'b' * 32}"]
    for name in killed:
        (store.root / name).mkdir(parents=True)
    (store.root / "locks" / ("c" * 32)).write_text("process 1 on elsewhere")
    (store.root / "uses" / "12-0123abcd.json").write_text("[]")
    assert len(Store(store.root).gc().removed) == 3
    assert all((store.root / name).read_text() == "[]" for name in strange)
    assert not any((store.root / name).exists() for name in (*killed, f"locks/{'c' * 32}", "uses/12-0123abcd.json"))


@pytest.mark.parametrize("name", ["artifacts", "making", "scratch", "cache", "locks", "uses", "pins", "reports"])
def test_a_stores_folder_that_is_a_link_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / ("d" * 32)).mkdir()
    if (store.root / name).exists():
        (store.root / name).rename(tmp_path / "moved")
    (store.root / name).symlink_to(tmp_path / "precious")
    with pytest.raises(ConfigError, match=f"{name} is a link"):
        Store(store.root)
    assert everything_in(tmp_path / "precious") == ["d" * 32]


def test_links_inside_a_store_are_not_followed_when_deleting(store: Store, tmp_path: Path) -> None:
    precious = tmp_path / "precious" / ("d" * 32)
    precious.mkdir(parents=True)
    (precious / "letter").touch()
    (store.path(Number(value=1)) / "link").symlink_to(tmp_path / "precious")
    (store.root / "artifacts" / "dd").symlink_to(tmp_path / "precious")
    (store.root / "making" / ("d" * 32)).symlink_to(precious)
    (store.root / "making" / f"{'d' * 32}.0123abcd").symlink_to(precious)
    (store.root / "scratch").mkdir(exist_ok=True)
    (store.root / "scratch" / ("d" * 32)).symlink_to(precious)
    store.cache.mkdir()
    (store.cache / "link").symlink_to(tmp_path / "precious")
    assert len(Store(store.root).gc(cache=True).removed) == 3
    assert everything_in(tmp_path / "precious") == ["d" * 32, "d" * 32 + "/letter"]


def test_a_store_may_itself_be_reached_by_a_link(store: Store, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(store.root)
    assert len(Store(tmp_path / "link").gc().removed) == 3


def test_only_a_fingerprint_names_an_artifact(store: Store) -> None:
    for name in ("..", "", "*", "a" * 31, "/" + "a" * 31):
        with pytest.raises(ConfigError, match="is no fingerprint"):
            store.rm(name)


# --- what cannot be read


def _deep(path: Path) -> None:
    path.write_text("[" * 100_000)


def _bytes(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _sealed(**changes: object) -> Callable[[Path], None]:
    """A manifest with other values, which fits its own digest."""

    def write(path: Path) -> None:
        content = {**json.loads(path.read_text()), **changes}
        del content["digest"]
        path.write_text(json.dumps({**content, "digest": manifests._digest(content)}))

    return write


OUTSIDE = {"../../../../etc/passwd": {"sha256": "", "size": 0, "modified": 0}}
ENDLESS = {"value.txt": {"sha256": "", "size": 1 << 70, "modified": 0}}


@pytest.mark.parametrize(
    "spoil",
    [
        _deep,
        _bytes,
        _folder,
        _pipe,
        _link,
        _sealed(title="\ud800"),
        _sealed(files=OUTSIDE),
        _sealed(fingerprint="a" * 32),
    ],
)
def test_a_manifest_that_is_none_is_a_damaged_artifact(store: Store, spoil: Callable[[Path], None]) -> None:
    spoil(store.path(Number(value=1)) / manifests.NAME)
    again = Store(store.root)
    assert not again.has(Number(value=1))
    assert [entry.kind for entry in again.ls()].count("(damaged)") == 1
    assert {damage.fingerprint for damage in again.verify()} == {Number(value=1).fingerprint}
    for command in (["ls"], ["gc", "--dry-run"]):
        assert CliRunner().invoke(app, ["store", *command, "--store", str(store.root)]).exit_code == 0
    for command in (["verify"], ["show", Number(value=1).fingerprint]):
        assert isinstance(
            CliRunner().invoke(app, ["store", *command, "--store", str(store.root)]).exception, StoreError
        )
    with Lab(again) as lab:
        lab.make([Number(value=1)])
    assert again.verify() == [] and again.has(Number(value=1))


def test_a_size_beyond_the_indexs_numbers_is_listed(store: Store) -> None:
    _sealed(files=ENDLESS)(store.path(Number(value=1)) / manifests.NAME)
    for _ in range(2):
        assert len(Store(store.root).ls()) == 3
    assert len(Store(store.root).gc().removed) == 3


@pytest.mark.parametrize("spoil", [_folder, _pipe, _link])
def test_a_file_that_is_none_is_damage_and_does_not_hang(store: Store, spoil: Callable[[Path], None]) -> None:
    spoil(store.path(Number(value=1)) / "value.txt")
    again = Store(store.root)
    assert not again.has(Number(value=1))
    assert any("is no plain file" in str(damage) for damage in again.verify())


@pytest.mark.parametrize("text", ["[" * 100_000, '["../../../etc"]', '{"a": 1}', ""])
def test_gc_removes_nothing_if_a_reports_list_is_none(store: Store, text: str) -> None:
    (store.keep("study", [Number(value=1)]) / "roots.json").write_text(text)
    with pytest.raises(StoreError, match="is not a list of fingerprints"):
        store.gc()
    assert len(store.ls()) == 3


@pytest.mark.skipif(os.getuid() != 0, reason="gives a file to another user")
def test_what_another_user_keeps_to_himself_is_listed_as_damaged_and_left(
    store: Store, request: pytest.FixtureRequest
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = store.root.rename(Path(folder) / "store")
        Path(folder).chmod(0o755)
        for path in (root, *root.rglob("*")):
            os.chown(path, 65534, 65534)
        private = Store(root).path(Number(value=1))
        os.chown(private, 0, 0)
        private.chmod(0o700)
        os.seteuid(65534)
        try:
            again = Store(root)
            assert [entry.kind for entry in again.ls()].count("(damaged)") == 1
            assert "Permission denied" in str(again.verify()[0])
            assert len(again.gc().removed) == 2 and private.exists()
        finally:
            os.seteuid(0)


# --- locks


@pytest.mark.parametrize("how", ["link", "dangling link", "hard link", "pipe"])
def test_a_lock_is_no_way_to_somebodys_file(tmp_path: Path, how: str) -> None:
    victim, path = tmp_path / "authorized_keys", tmp_path / "lock"
    victim.write_text("my only key")
    match how:
        case "link":
            path.symlink_to(victim)
        case "dangling link":
            path.symlink_to(tmp_path / "new")
        case "hard link":
            path.hardlink_to(victim)
        case _:
            os.mkfifo(path)
    with pytest.raises(OSError, match=r"symbolic|lock file"):
        FileLock(path, remove=True).acquire()
    if how != "hard link":
        assert FileLock(path).holder() == "another process"
    assert victim.read_text() == "my only key" and not (tmp_path / "new").exists() and os.path.lexists(path)


def test_a_holders_name_is_one_short_line_without_escapes(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("\x1b]52;c;ZXZpbA==\x07" + "x" * 5000)
    assert "\x1b" not in (name := FileLock(tmp_path / "lock").holder()) and len(name) <= 200


@pytest.mark.parametrize("whose", ["somebody's link", "open to all", "another user's"])
def test_cores_are_locked_in_a_private_folder_or_not_at_all(
    tmp_path: Path, whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    core, lock = free_core()
    if lock is None:
        pytest.skip("this system pins no workers")
    folder = lock.path.parent
    assert folder.stat().st_mode & 0o777 == 0o700 and core >= 0
    lock.release()
    match whose:
        case "somebody's link":
            folder.rename(tmp_path / "other")
            folder.symlink_to(tmp_path / "other")
        case "open to all":
            folder.chmod(0o777)
        case _:
            if os.getuid() != 0:
                pytest.skip("gives a folder to another user")
            os.chown(folder, 65534, 65534)
    assert free_core() == (-1, None)


def test_a_link_in_place_of_a_stores_lock_is_one_message(store: Store, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (store.root / "locks" / "sweep").unlink(missing_ok=True)
    (store.root / "locks" / "sweep").symlink_to(tmp_path / "victim")
    with pytest.raises(CavessonError, match="cannot be written"):
        store.gc()
    assert (tmp_path / "victim").read_text() == "mine"
