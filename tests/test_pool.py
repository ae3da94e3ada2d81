"""Many processes make what one makes; workers may die, the user may stop, the parent may be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from cavesson.errors import CavessonError, Stopped, StoreError, TrainingError
from cavesson.lab.lab import Lab
from cavesson.lab.plan import Stage
from cavesson.lab.progress import Silent
from cavesson.lab.recipe import Recipe
from cavesson.lab.stage import Progress
from cavesson.lab.store import Store
from toys import Counting, Deep, Doubled, Failing, Number, Sum, Threads, View, value_of

TESTS = Path(__file__).parent
ONE, TWO = Number(value=1), Number(value=2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def contents(store: Store) -> dict[str, dict[str, str]]:
    """Every artifact's file hashes."""
    manifests = [store.manifest(entry.fingerprint) for entry in store.ls()]
    return {m.fingerprint: {name: record.sha256 for name, record in m.files.items()} for m in manifests}


def test_many_processes_make_the_same_artifacts_as_one(tmp_path: Path) -> None:
    sums: tuple[Recipe, ...] = tuple(Sum(of=(Number(value=n), ONE)) for n in range(4))
    recipes = [Sum(of=sums), Doubled(view=View(base=sums[0])), Counting(steps=3, after=sums[1])]
    one, many = Store(tmp_path / "one"), Store(tmp_path / "many")
    with Lab(one) as lab:
        lab.make(recipes)
    with Lab(many, workers=3) as lab:
        lab.make(recipes)
    assert contents(one) == contents(many) and len(contents(one)) == 11


def test_workers_have_one_thread_and_a_core_each_and_are_reused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # cores that other labs hold would be left to them
    with Lab(store, workers=2) as lab:
        recipes = [Threads(seconds=0.4, number=n) for n in range(2)]
        lab.make(recipes)
        seen = [json.loads((lab.path(recipe) / "seen.json").read_text()) for recipe in recipes]
        lab.make([Threads(number=9), Threads(number=10)])
        given = [psutil.Process(one["process"]).cmdline()[-1] for one in seen]
        later = json.loads((lab.path(Threads(number=9)) / "seen.json").read_text())
    assert all(one["job"] == 1 and one["environment"] == "1" for one in seen)
    assert seen[0]["process"] != seen[1]["process"] and os.getpid() not in {one["process"] for one in seen}
    assert later["process"] in {one["process"] for one in seen}
    assert len(set(given)) == 2
    assert all(len(one["cores"]) == 1 for one, core in zip(seen, given, strict=True) if core != "-1")
    assert not any(psutil.pid_exists(one["process"]) for one in seen)


def test_errors_come_back_as_what_they_are(store: Store) -> None:
    with Lab(store, workers=2) as lab:
        with pytest.raises(TrainingError, match="not a number") as raised:
            lab.make([Failing(how="cavesson"), ONE])
        assert raised.value.remedy == "Lower lr." and raised.value.__notes__[0].startswith(
            "In the stage: failing (cavesson)"
        )
        with pytest.raises(StoreError, match="is full"):
            lab.make([Failing(how="full"), TWO])
        with pytest.raises(RuntimeError, match=r"ZeroDivisionError: a bug\n.*Traceback(.|\n)*toys.py"):
            lab.make([Failing(how="bug"), Number(value=3)])


def test_a_failure_lets_running_stages_finish_and_starts_no_others(store: Store) -> None:
    slow = Sum(of=(ONE,), seconds=2)
    with Lab(store, workers=2) as lab:
        lab.make([Threads(seconds=0.5, number=n) for n in range(2)])  # both workers are up
        with pytest.raises(TrainingError):
            lab.make([slow, Failing(how="cavesson", input=ONE), Sum(of=(slow,))])
    assert store.has(slow) and not store.has(Sum(of=(slow,)))


def test_a_killed_worker_is_replaced_and_its_stage_tried_once_more(store: Store) -> None:
    with Lab(store, workers=2) as lab:
        lab.make([Failing(how="killed once"), Sum(of=(ONE, TWO), seconds=0.3)])
        assert value_of(lab.path(Failing(how="killed once"))) == 1


def test_a_stage_that_kills_its_worker_twice_is_named(store: Store) -> None:
    other = Sum(of=(ONE, TWO), seconds=0.3)
    with (
        Lab(store, workers=2) as lab,
        pytest.raises(
            CavessonError, match=r"failing \(killed\) was killed twice \(signal 9\).*\n.*[Mm]emory"
        ) as raised,
    ):
        lab.make([Failing(how="killed"), other])
    assert raised.value.exit_code == 1
    assert store.verify() == []
    with Lab(store, workers=2) as lab:
        lab.make([other, Number(value=5)])


def test_a_missing_input_of_an_input_is_made_on_the_way(store: Store) -> None:
    over = Sum(of=(ONE, TWO))
    Lab(store).make([over])
    (store.path(ONE) / "value.txt").write_text("9")
    with Lab(store, workers=2) as lab:
        lab.make([Deep(over=over), Number(value=5)])
        assert (lab.path(Deep(over=over)) / "value.txt").read_text() == "[3, 1, 2]"


def test_stopping_asks_the_workers_and_keeps_scratch(store: Store, tmp_path: Path) -> None:
    recipes = [Counting(steps=40 + n, seconds=2, log=tmp_path / f"log{n}") for n in range(2)]

    class Impatient(Silent):
        def progress(self, stage: Stage, progress: Progress) -> None:
            if progress.done >= 5:
                os.kill(os.getpid(), signal.SIGINT)
                self.progress = lambda stage, progress: None  # type: ignore[method-assign]

    with Lab(store, workers=2, display=Impatient()) as lab, pytest.raises(Stopped):
        lab.make(recipes)
    assert store.ls() == []
    with Lab(store, workers=2) as lab:
        lab.make(recipes)
    for n in range(2):
        assert (tmp_path / f"log{n}").read_text().split() == [str(step) for step in range(1, 41 + n)]


@pytest.mark.parametrize(
    "state",
    [
        "at work",
        pytest.param("stuck", marks=pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's death signal")),
        pytest.param("stopped", marks=pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's death signal")),
    ],
)
def test_workers_die_with_their_parent(store: Store, state: str) -> None:
    code = """
        import sys
        sys.path.insert(0, sys.argv[2])
        from pathlib import Path
        from toys import Failing, Sum, Number
        from cavesson.lab.lab import Lab
        from cavesson.lab.store import Store
        stuck = sys.argv[3] == "stuck"
        lab = Lab(Store(Path(sys.argv[1])), workers=1 + (not stuck), executor="pool")
        lab.make([Failing(how="stuck")] if stuck else [Sum(of=(Number(value=n),), seconds=60) for n in range(2)])
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(store.root), str(TESTS), state])
    count = 1 if state == "stuck" else 2
    children: list[psutil.Process] = []
    while len(children) < count or not any(store.root.glob("making/*")):
        assert parent.poll() is None
        children = psutil.Process(parent.pid).children()
        time.sleep(0.05)
    while state == "stuck" and not any(store.root.glob("scratch/*/tried")):
        time.sleep(0.05)
    if state == "stopped":
        for child in children:
            child.suspend()
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs(children, timeout=30)
    for child in alive:
        child.kill()
    assert len(gone) == count


def test_a_terminals_ctrl_c_stops_cleanly(store: Store, tmp_path: Path) -> None:
    code = """
        import sys
        sys.path.insert(0, sys.argv[2])
        from pathlib import Path
        from toys import Counting
        from cavesson.errors import Stopped
        from cavesson.lab.lab import Lab
        from cavesson.lab.store import Store
        with Lab(Store(Path(sys.argv[1])), workers=2) as lab:
            try:
                lab.make([Counting(steps=500 + n, seconds=60, log=Path(sys.argv[3])) for n in range(2)])
            except Stopped:
                print("stopped")
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(store.root), str(TESTS), str(tmp_path / "log")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0)
    while not (tmp_path / "log").exists():
        assert parent.poll() is None
        time.sleep(0.05)
    os.killpg(parent.pid, signal.SIGINT)  # what a terminal does: everyone in the group gets it
    assert parent.communicate() == ("stopped\n", "")
    assert parent.returncode == 0 and list((store.root / "making").iterdir()) == []
    assert any(store.root.glob("scratch/*/state"))
