"""The store's mirror on object storage: in memory, in a folder, and on a local S3 server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from cavesson.errors import ConfigError, MissingExtra, StoreError
from cavesson.lab.lab import Lab
from cavesson.lab.mirror import VARIABLE, Mirror
from cavesson.lab.store import Store
from toys import Deep, Failing, Number, Sum, value_of

ONE, TWO = Number(value=1), Number(value=2)
TOP = Sum(of=(ONE, TWO))


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mirror in this process's memory."""
    url = "memory://bucket/cavesson"
    monkeypatch.setenv(VARIABLE, url)
    yield url
    fsspec.filesystem("memory").store.clear()


def is_local(store: Store, name: str) -> bool:
    return (store.root / "artifacts" / name[:2] / name).exists()


def made(root: Path, *recipes: Sum | Number | Deep) -> list[str]:
    """What one more machine has to make itself."""
    titles: list[str] = []
    with Lab(Store(root)) as lab:
        titles += [stage.title for stage in lab.plan(recipes).to_make]
        lab.make(recipes)
    return titles


def test_what_one_machine_made_no_other_makes_again(memory: str, tmp_path: Path) -> None:
    assert made(tmp_path / "a", TOP) == ["number 1", "number 2", "sum of 2"]
    assert made(tmp_path / "b", TOP, Deep(over=TOP)) == ["toys:Deep"]
    second = Store(tmp_path / "b")
    assert is_local(second, TOP.fingerprint) and is_local(second, ONE.fingerprint)  # `Deep` read both
    first = Store(tmp_path / "a")
    assert first.manifest(TOP) == second.manifest(TOP) and not second.verify()


def test_artifacts_come_when_they_are_read_and_not_before(memory: str, tmp_path: Path) -> None:
    made(tmp_path / "a", TOP)
    store = Store(tmp_path / "b")
    assert store.has(TOP) and store.manifest(TOP).title == "sum of 2" and store.find(TOP.fingerprint[:9])
    assert not store.root.exists()
    assert value_of(store.path(TOP)) == 3 and (store.path(TOP) / "inner" / "terms.json").read_text() == "2"
    assert not list((store.root / "making").iterdir()) and not is_local(store, ONE.fingerprint)


def test_an_artifact_shows_only_when_all_of_it_is_there(memory: str, tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VARIABLE)
        made(tmp_path / "a", TOP)
        store = Store(tmp_path / "a")
        folder, manifest = store.path(TOP), store.manifest(TOP)
    seen: list[bool] = []

    class Watched(Mirror):
        def _size(self, path: str) -> int | None:
            if "/blobs/" in path:
                seen.append(Mirror(memory).has(TOP.fingerprint))
            return super()._size(path)

    Watched(memory).push(folder, manifest)
    assert seen == [False, False] and Mirror(memory).has(TOP.fingerprint)


def test_equal_files_are_stored_once(memory: str, tmp_path: Path) -> None:
    made(tmp_path / "a", *(Number(value=5, note=None), Sum(of=(Number(value=5),))))  # two artifacts, each of them "5"
    files = fsspec.filesystem("memory")
    assert len(files.find("/bucket/cavesson/made")) == 2
    assert len(files.find("/bucket/cavesson/blobs")) == 2  # "5" and the number of terms


def test_what_is_damaged_in_the_mirror_is_deleted_and_made_anew(memory: str, tmp_path: Path) -> None:
    made(tmp_path / "a", TOP)
    files = fsspec.filesystem("memory")
    [marker] = [path for path in files.find("/bucket/cavesson/made") if TOP.fingerprint in path]
    for path in files.find("/bucket/cavesson/blobs"):
        if files.cat_file(path) == b"3":
            files.pipe_file(path, b"4")
    second = Store(tmp_path / "b")
    with pytest.raises(StoreError, match="is not there"):
        second.path(TOP)
    assert not files.exists(marker) and not is_local(second, TOP.fingerprint)
    assert made(tmp_path / "b", TOP) == ["sum of 2"]
    assert value_of(Store(tmp_path / "c").path(TOP)) == 3
    files.pipe_file(marker, b"{}")
    assert not Store(tmp_path / "d").here(TOP) and not files.exists(marker)


def test_a_damaged_input_is_fetched_from_the_mirror(memory: str, tmp_path: Path) -> None:
    made(tmp_path / "a", TOP)
    store = Store(tmp_path / "a")
    (store.path(ONE) / "value.txt").write_text("9")
    assert made(tmp_path / "a", Deep(over=TOP)) == ["toys:Deep"]
    assert value_of(store.path(ONE)) == 1


def test_an_input_that_the_mirror_has_lost_is_made_on_the_way(memory: str, tmp_path: Path) -> None:
    made(tmp_path / "a", TOP)
    files = fsspec.filesystem("memory")
    for path in files.find("/bucket/cavesson/blobs"):
        if files.cat_file(path) == b"1":
            files.rm_file(path)
    made(tmp_path / "b", Deep(over=TOP))  # plans without `ONE`, which the mirror claims to have
    assert value_of(Store(tmp_path / "b").path(ONE)) == 1


def test_machines_that_make_one_artifact_at_the_same_time_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        VARIABLE, f"file://{tmp_path}/mirror"
    )  # threads that read one file of memory:// share a position
    recipes = [Sum(of=(Number(value=n), TWO)) for n in range(12)]

    def machine(number: int) -> list[int]:
        store = Store(tmp_path / str(number))
        with Lab(store) as lab:
            lab.make(recipes[number:] + recipes[:number])
            return [value_of(lab.path(recipe)) for recipe in recipes]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(machine, range(4)))
    assert found == [[n + 2 for n in range(12)]] * 4
    assert not [path for path in (tmp_path / "mirror").rglob("*") if path.is_file() and "." in path.stem]
    late = Store(tmp_path / "late")
    assert [value_of(late.path(recipe)) for recipe in recipes] == found[0] and not late.verify()


def test_a_failed_stage_pushes_nothing(memory: str, tmp_path: Path) -> None:
    with Lab(Store(tmp_path / "a")) as lab, pytest.raises(Exception, match="a bug"):
        lab.make([Failing(how="bug")])
    assert not fsspec.filesystem("memory").find("/bucket")


def test_a_push_that_fails_leaves_the_stage_to_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "mirror"
    place.write_text("a file where a folder should be")
    monkeypatch.setenv(VARIABLE, f"file://{place}")
    with Lab(Store(tmp_path / "a")) as lab, pytest.raises(StoreError, match="does not answer as it should") as raised:
        lab.make([ONE])
    assert VARIABLE in str(raised.value) and not Store(tmp_path / "a").ls()
    place.unlink()
    assert made(tmp_path / "a", ONE) == ["number 1"] and (place / "made").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [("bucket/path", "is no address of a mirror"), ("nonsense://bucket", "Protocol not known: nonsense")],
)
def test_an_address_that_cannot_be_is_refused(
    url: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, url)
    with pytest.raises(ConfigError, match=said):
        Store(tmp_path)


def test_without_s3fs_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setattr(sys.modules["fsspec.registry"], "_registry", {})
    monkeypatch.setenv(VARIABLE, "s3://bucket/path")
    with pytest.raises(MissingExtra, match="'s3fs' of the extra 's3'"):
        Store(tmp_path)


def test_processes_share_a_mirror_on_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs")
    pytest.importorskip("moto")
    boto3 = pytest.importorskip("boto3")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        boto3.client("s3").create_bucket(Bucket="lab")
        monkeypatch.setenv(VARIABLE, "s3://lab/cavesson")
        script = (
            "import sys, toys; from pathlib import Path; from cavesson.lab.lab import Lab; from cavesson.lab.store import Store\n"
            "with Lab(Store(Path(sys.argv[1]))) as lab: lab.make([toys.Sum(of=(toys.Number(value=1), toys.Number(value=2)))])"
        )
        subprocess.run([sys.executable, "-c", script, str(tmp_path / "a")], check=True)
        assert made(tmp_path / "b", TOP, Deep(over=TOP)) == ["toys:Deep"]
        assert not Store(tmp_path / "b").verify()
        monkeypatch.setenv(VARIABLE, "s3://no-such-bucket/cavesson")
        with pytest.raises(StoreError, match="s3://no-such-bucket/cavesson does not answer"):
            made(tmp_path / "c", TOP)
    finally:
        server.stop()
