"""The lab makes what is missing, in one process: order, reuse, repair, errors, stopping, resuming."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from cavesson.errors import ConfigError, Stopped, StoreError, TrainingError
from cavesson.lab.lab import Lab
from cavesson.lab.plan import Plan, Schedule, Stage
from cavesson.lab.progress import Silent
from cavesson.lab.recipe import Recipe
from cavesson.lab.stage import Progress
from cavesson.lab.store import Store
from cavesson.lab.work import Work
from toys import Counting, Deep, Doubled, Failing, Number, Sum, Threads, View, value_of

TESTS = Path(__file__).parent
ONE, TWO = Number(value=1), Number(value=2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


class Diary(Silent):
    """Writes down what a display is told."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def added(self, stages: Sequence[Stage]) -> None:
        self.events.append("added " + ", ".join(stage.recipe.describe() for stage in stages))

    def started(self, stage: Stage) -> None:
        self.events.append(f"started {stage.recipe.describe()}")

    def progress(self, stage: Stage, progress: Progress) -> None:
        self.events.append(f"{progress.done:g}/{progress.total:g} {dict(progress.figures)}")

    def finished(self, stage: Stage, made: bool) -> None:
        self.events.append(f"{'finished' if made else 'found'} {stage.recipe.describe()}")

    def halted(self, stage: Stage, reason: str) -> None:
        self.events.append(f"halted {stage.recipe.describe()}: {reason}")


def test_inputs_are_made_first_and_each_thing_once(store: Store) -> None:
    diary = Diary()
    total = Sum(of=(Sum(of=(ONE, TWO)), Sum(of=(ONE,)), ONE))
    with Lab(store, display=diary) as lab:
        lab.make([total, ONE])
        assert value_of(lab.path(total)) == 5
    started = [event.removeprefix("started ") for event in diary.events if event.startswith("started")]
    assert sorted(started) == ["number 1", "number 2", "sum of 1", "sum of 2", "sum of 3"]
    assert started[-1] == "sum of 3" and started.index("sum of 2") > max(started.index(f"number {n}") for n in (1, 2))
    assert "1/10 {'loss': 1.0}" in diary.events
    diary.events.clear()
    with Lab(store, display=diary) as lab:
        lab.make([total])
    assert diary.events == []


def test_the_plan_says_what_is_there_and_what_is_to_be_made(store: Store) -> None:
    with Lab(store) as lab:
        lab.make([Sum(of=(ONE,))])
    store.rm(ONE)  # not needed any more by what is there
    plan = lab.plan([Doubled(view=View(base=Sum(of=(ONE,)))), Sum(of=(Sum(of=(ONE,)), TWO))])
    assert [(stage.recipe.describe(), stage.there) for stage in plan.stages] == [
        ("sum of 1", True),
        ("toys:Doubled", False),
        ("number 2", False),
        ("sum of 2", False),
    ]
    lines = plan.text().splitlines()
    assert lines[0].startswith("there") and lines[1].startswith("make") and "toys:Doubled" in lines[1]
    assert lines[-1] == "3 to make, 1 there"
    assert len(store.ls()) == 1


def test_virtual_recipes_make_nothing_but_what_they_read(store: Store) -> None:
    with Lab(store) as lab:
        lab.make([View(base=View(base=ONE))])
        assert [entry.title for entry in store.ls()] == ["number 1"]
        assert value_of(lab.path(Doubled(view=View(base=TWO)))) == 4
        with pytest.raises(StoreError, match="makes no artifact of its own"):
            lab.path(View(base=ONE))


def test_a_damaged_input_is_made_again_before_use(store: Store) -> None:
    with Lab(store) as lab:
        lab.make([Sum(of=(ONE, TWO))])
        (store.path(ONE) / "value.txt").write_text("9")
        lab.make([Sum(of=(ONE,))])
        assert value_of(lab.path(Sum(of=(ONE,)))) == 1
        (store.path(TWO) / "value.txt").unlink()
        assert value_of(lab.path(TWO)) == 2
    assert store.verify() == []


def test_an_input_of_an_input_is_made_again_when_a_stage_asks_for_it(store: Store) -> None:
    diary = Diary()
    over = Sum(of=(ONE, TWO))
    with Lab(store, display=diary) as lab:
        lab.make([over])
    for lost in (ONE, TWO):
        store.rm(lost)
    diary.events.clear()
    with Lab(store, display=diary) as lab:
        lab.make([Deep(over=over)])
        assert (lab.path(Deep(over=over)) / "value.txt").read_text() == "[3, 1, 2]"
    assert diary.events[:4] == [
        "started toys:Deep",
        "halted toys:Deep: waits for number 1",
        "added number 1",
        "started number 1",
    ]


def test_an_error_names_its_stage_and_what_was_made_stays(store: Store) -> None:
    with pytest.raises(TrainingError, match="not a number") as raised:
        Lab(store).make([Sum(of=(ONE, Failing(how="cavesson", input=ONE))), TWO])
    assert raised.value.__notes__ == [
        f"In the stage: failing (cavesson) ({Failing(how='cavesson', input=ONE).fingerprint[:12]})"
    ]
    assert store.has(ONE) and list((store.root / "making").iterdir()) == []
    lab, failing = Lab(store), Failing(how="cavesson", input=ONE)
    lab.called[failing.fingerprint] = "curt.py:curt · seed 0"
    with pytest.raises(TrainingError) as named:
        lab.make([failing])
    assert named.value.__notes__[0].startswith("In the stage: curt.py:curt · seed 0: failing (cavesson) (")
    with pytest.raises(ZeroDivisionError):
        Lab(store).make([Failing(how="bug")])


def test_stopping_keeps_scratch_and_the_next_run_goes_on(store: Store, tmp_path: Path) -> None:
    recipe = Counting(steps=10, log=tmp_path / "log")

    class Impatient(Silent):
        def progress(self, stage: Stage, progress: Progress) -> None:
            if progress.done == 4:
                os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped):
        Lab(store, display=Impatient()).make([recipe])
    assert signal.getsignal(signal.SIGINT) is handler
    assert not store.has(recipe)
    Lab(store).make([recipe])
    assert (tmp_path / "log").read_text().split() == [str(n) for n in range(1, 11)]
    assert not (store.root / "scratch" / recipe.fingerprint).exists()


def test_a_lab_outside_the_main_thread_works(store: Store) -> None:
    thread = threading.Thread(target=lambda: Lab(store).make([ONE]))
    thread.start()
    thread.join()
    assert store.has(ONE)


def test_a_stage_runs_on_one_thread_and_the_setting_is_put_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with Lab(store) as lab:
        seen = (lab.path(Threads()) / "seen.json").read_text()
    assert '"environment": "1"' in seen and '"job": 1' in seen
    assert os.environ["OMP_NUM_THREADS"] == "7"


@pytest.mark.parametrize("workers", [0, -1, "many", 1.5])
def test_a_wrong_number_of_workers_is_refused(store: Store, workers: int) -> None:
    with pytest.raises(ConfigError, match="number of workers"):
        Lab(store, workers=workers)


def test_long_chains_start_first(store: Store) -> None:
    short = [Number(value=value) for value in range(3, 6)]
    chain = Sum(of=(Sum(of=(Sum(of=(ONE,)),)),))
    plan = Lab(store).plan([*short, chain])
    schedule = Schedule(plan)
    first = schedule.take()
    assert first is not None and first.recipe == ONE
    schedule.finish(first)
    second = schedule.take()
    assert second is not None and second.recipe == Sum(of=(ONE,))


def test_a_schedule_hands_out_nothing_before_its_inputs(store: Store) -> None:
    schedule = Schedule(Lab(store).plan([Sum(of=(ONE, TWO))]))
    taken = [schedule.take(), schedule.take()]
    assert schedule.take() is None and len(schedule) == 3
    for stage in taken:
        assert stage is not None
        schedule.finish(stage)
    last = schedule.take()
    assert last is not None and last.recipe == Sum(of=(ONE, TWO))


def test_what_another_process_makes_comes_after_what_nobody_makes(store: Store) -> None:
    numbers = [Number(value=value) for value in range(4)]
    work = Work(store, Lab(store).plan(numbers), Diary())
    with store.making(numbers[0]), store.making(numbers[2]):
        taken = [work.take() for _ in numbers]
    assert [stage and stage.recipe for stage in taken] == [numbers[1], numbers[3], numbers[0], numbers[2]]
    assert work.take() is None


@pytest.mark.parametrize("seed", range(20))
def test_of_the_stages_that_can_run_the_one_with_the_longest_chain_behind_it_comes_first(
    store: Store, seed: int
) -> None:
    rng = random.Random(seed)
    made: list[Recipe] = [Number(value=value) for value in range(4)]
    for _ in range(12):
        made.append(Sum(of=tuple(rng.sample(made, rng.randint(1, 3)))))
    plan = Lab(store).plan(made)
    needs = {stage.fingerprint: set(stage.needs) for stage in plan.stages}

    def chain(name: str) -> int:
        return 1 + max((chain(later) for later, inputs in needs.items() if name in inputs), default=0)

    schedule, running, finished, taken = Schedule(plan), list[Stage](), set[str](), list[str]()
    while len(schedule):
        while len(running) < 3 and (stage := schedule.take()) is not None:
            ready = [name for name in needs if name not in taken and needs[name] <= finished]
            assert stage.fingerprint == max(ready, key=chain)  # of several, the first in the plan
            running.append(stage)
            taken.append(stage.fingerprint)
        assert len(running) == 3 or not [name for name in needs if name not in taken and needs[name] <= finished]
        stage = running.pop(rng.randrange(len(running)))
        schedule.finish(stage)
        finished.add(stage.fingerprint)
    assert sorted(taken) == sorted(needs)


GRAPH = """
    import sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from toys import Counting, Number, Sum
    from cavesson.lab.lab import Lab
    from cavesson.lab.store import Store

    root, log, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    counts = [Counting(steps=20 + n, seconds=0.2, after=Number(value=n), log=log) for n in range(4)]
    total = Sum(of=(Sum(of=(*counts[:2], Number(value=7)), seconds=0.1), Sum(of=tuple(counts[2:]))))
    if __name__ == "__main__":
        print("begin", flush=True)
        with Lab(Store(root), workers=workers) as lab:
            lab.make([total])
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_kills_at_random_moments_lose_at_most_the_stage_under_way(tmp_path: Path, workers: int) -> None:
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    command = [sys.executable, "-c", textwrap.dedent(GRAPH.format(tests=str(TESTS))), store.root, log, str(workers)]
    chance = random.Random(workers)
    made: set[str] = set()
    for _ in range(4):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"begin\n"
        time.sleep(chance.uniform(0, 0.3 * workers))
        process.kill()
        process.wait()
        there = {entry.fingerprint for entry in store.ls()}
        assert made <= there and store.verify() == []  # nothing that was made is lost or harmed
        made = there
    subprocess.run(command, check=True, stdout=subprocess.PIPE)
    assert store.verify() == []
    values = {entry.title: value_of(store.path(entry.fingerprint)) for entry in store.ls()}
    assert values["sum of 3"] == 20 + 21 + 7 and len(store.ls()) == 12
    # Each step of the counting was saved, so none was taken again, but for one per kill at most.
    steps = log.read_text().split()
    assert 86 <= len(steps) <= 86 + 4 * workers
    store.gc()
    assert not any(store.root.glob("making/*")) and not any(store.root.glob("scratch/*"))


def test_the_lab_is_light_to_import() -> None:
    code = "import sys, cavesson.lab.lab, cavesson.lab.pool, cavesson.lab.store; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    )
    assert loaded.isdisjoint({"torch", "transformers", "rich", "numpy", "pandas"})


def test_a_plan_of_nothing_is_empty(store: Store) -> None:
    assert Lab(store).plan([]) == Plan(())
    Lab(store).make([])
    assert not store.root.exists()


def test_every_artifact_can_be_made_again_from_its_manifest(store: Store, tmp_path: Path) -> None:
    Lab(store).make([Sum(of=(ONE, Doubled(view=View(base=TWO))))])
    again = Store(tmp_path / "again")
    Lab(again).make([Recipe.parse(store.manifest(entry.fingerprint).recipe) for entry in store.ls()])
    assert len(store.ls()) == len(again.ls()) == 4
    for entry in store.ls():
        ours, theirs = store.manifest(entry.fingerprint).files, again.manifest(entry.fingerprint).files
        assert {name: file.sha256 for name, file in ours.items()} == {
            name: file.sha256 for name, file in theirs.items()
        }
