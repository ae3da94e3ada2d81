"""An executor is one function or class and its line in the registry; whoever makes artifacts, the artifacts are the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cavesson.cli.main import app
from cavesson.errors import CavessonError, ConfigError, Stopped, TrainingError
from cavesson.lab.cluster.far import Needs, needs_of
from cavesson.lab.effort import Effort
from cavesson.lab.executors import EXECUTORS
from cavesson.lab.lab import Lab
from cavesson.lab.plan import Stage
from cavesson.lab.progress import Silent
from cavesson.lab.recipe import Recipe
from cavesson.lab.stage import Progress
from cavesson.lab.store import Store
from cavesson.lab.work import Work
from miniature import contents
from toys import Counting, Deep, Doubled, Failing, Number, Sum, Threads, View, make_far_away, value_of

ONE, TWO = Number(value=1), Number(value=2)
SUMS: tuple[Recipe, ...] = tuple(Sum(of=(Number(value=n), ONE)) for n in range(3))
GRAPH = [Sum(of=SUMS), Doubled(view=View(base=SUMS[0])), Counting(steps=3, after=SUMS[1])]


class Cluster:
    """Submits every stage as a job of its own, as a client of SLURM or Ray does; each job is a fresh process."""

    def __init__(self, store: Store, workers: int) -> None:
        self.workers = workers
        spawn = multiprocessing.get_context("spawn")
        self.jobs = ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1)
        self.submitted: list[str] = []

    def run(self, work: Work) -> None:
        while (stage := work.take()) is not None:
            self.submitted.append(stage.recipe.describe())
            recipe = stage.recipe.model_dump(mode="json")
            job = self.jobs.submit(make_far_away, work.store.root, stage.fingerprint, recipe)
            work.receive(stage, job.result())

    def close(self) -> None:
        self.jobs.shutdown()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(EXECUTORS, "cluster", Cluster)
    return "cluster"


def made_by(executor: str, root: Path, workers: int = 1) -> dict[str, dict[str, str]]:
    with Lab(Store(root), workers, executor=executor) as lab:
        lab.make(GRAPH)
    return contents(Store(root))


def test_every_executor_makes_the_same_bits(tmp_path: Path, cluster: str) -> None:
    reference = made_by("local", tmp_path / "local")
    assert len(reference) == 9
    for executor in ("pool", "cluster"):  # Ray and SLURM: test_cluster_ray.py, test_cluster_slurm.py
        assert made_by(executor, tmp_path / executor) == reference, executor


def test_a_users_own_executor_is_named_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "class InOrder:\n"
        "    workers = 1\n"
        "    def __init__(self, store, workers): pass\n"
        "    def run(self, work):\n"
        "        while (stage := work.take()) is not None:\n"
        "            work.run(stage)\n"
        "    def close(self): pass\n"
    )
    assert made_by(f"{file}:InOrder", tmp_path / "mine") == made_by("local", tmp_path / "local")


def test_each_stage_of_a_cluster_is_a_job_and_inputs_come_first(tmp_path: Path, cluster: str) -> None:
    with Lab(Store(tmp_path / "store"), executor=cluster) as lab:
        lab.make([Sum(of=(ONE, TWO))])
        executor = lab._executor
        assert isinstance(executor, Cluster)
        assert executor.submitted == ["number 1", "number 2", "sum of 2"]
        lab.make([Threads(number=n) for n in range(2)])
        processes = {(lab.path(Threads(number=n)) / "seen.json").read_text() for n in range(2)}
    assert len(processes) == 2


def test_what_goes_wrong_far_away_comes_back_as_what_it_is(tmp_path: Path, cluster: str) -> None:
    store = Store(tmp_path / "store")
    with Lab(store, executor=cluster) as lab:
        with pytest.raises(TrainingError, match="not a number"):
            lab.make([Failing(how="cavesson"), Sum(of=(Failing(how="cavesson"),))])
        with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug"):
            lab.make([Failing(how="bug")])
        over = Sum(of=(ONE, TWO))
        lab.make([over])
        (store.path(ONE) / "value.txt").write_text("9")
        lab.make([Deep(over=over)])  # asks for the damaged input of its input, which is made on the way
        assert value_of(store.path(ONE)) == 1


@pytest.mark.parametrize("executor", ["local", "pool", "cluster"])
def test_nothing_is_started_once_the_user_asked_to_stop(executor: str, tmp_path: Path, cluster: str) -> None:
    class Impatient(Silent):
        def finished(self, stage: Stage, made: bool) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    store = Store(tmp_path / "store")
    with Lab(store, display=Impatient(), executor=executor) as lab, pytest.raises(Stopped):
        lab.make([Sum(of=(ONE, TWO))])
    assert [entry.title for entry in store.ls()] == ["number 1"]
    with Lab(store, executor=executor) as lab:
        lab.make([Sum(of=(ONE, TWO))])


def test_a_pool_of_one_is_another_process_and_reports_progress(tmp_path: Path) -> None:
    heard: list[float] = []

    class Ear(Silent):
        def progress(self, stage: Stage, progress: Progress) -> None:
            heard.append(progress.done)

    with Lab(Store(tmp_path / "store"), display=Ear(), executor="pool") as lab:
        lab.make([Counting(steps=3), Threads()])
        seen = (lab.path(Threads()) / "seen.json").read_text()
    assert heard[-1] == 3 and f'"process": {os.getpid()}' not in seen


def test_an_unknown_executor_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no executor 'loacl'") as raised:
        Lab(Store(tmp_path), executor="loacl")
    assert raised.value.remedy == "Did you mean 'local'?"


def test_a_lab_runs_as_many_stages_at_once_as_its_executor(tmp_path: Path, cluster: str) -> None:
    for name in ("local", "pool", "cluster"):
        with Lab(Store(tmp_path), 3, executor=name) as lab:
            assert lab.workers == 3


class Raising:
    workers = 1

    def __init__(self, store: Store, workers: int) -> None: ...

    def run(self, work: Work) -> None:
        raise KeyError("queue")

    def close(self) -> None: ...


class Lazy(Raising):
    def run(self, work: Work) -> None:
        work.take()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Raising", "KeyError: 'queue' (test_executors.py, line "),
        ("Lazy", "it came back, and 1 artifacts are not made"),
    ],
)
def test_an_own_executor_that_fails_is_one_message(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(CavessonError) as caught, Lab(Store(tmp_path), executor=f"{__file__}:{name}") as lab:
        lab.make([ONE])
    assert said in caught.value.problem and "all that was made is in the store" in caught.value.remedy


@pytest.mark.parametrize("name", ["ONE", "Stopped", "made_by", "Number"])
def test_what_makes_no_executor_is_refused_before_the_start(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing was started"):
        Lab(Store(tmp_path / "store"), executor=f"{__file__}:{name}")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("weights", "trained", "numerics", "asked"),
    [
        (1_000_000, 0.0, None, Needs()),
        (1_000_000, 9.0, "bf16-cuda-sm90", Needs(gpu=True)),
        (7_000_000_000, 9.0, "bf16-cuda-sm90", Needs(gpu=True, memory=112_000_000_000)),
        (7_000_000_000, 0.0, None, Needs(large=True, memory=28_000_000_000)),
        (7_000_000_000, 9.0, "fp32-avx512", Needs(memory=112_000_000_000)),
    ],
)
def test_a_stage_asks_for_what_its_recipe_needs(
    weights: int, trained: float, numerics: str | None, asked: Needs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Number, "effort", lambda self: Effort(weights, trained=trained))
    monkeypatch.setattr(Number, "numerics", property(lambda self: numerics))
    assert needs_of(ONE) == asked
    assert needs_of(Sum(of=(ONE,))).gpu == asked.gpu  # what reads a GPU's training runs on one too


def test_every_command_with_an_executor_takes_the_options_of_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "CAVESSON_SLURM"):
        monkeypatch.setenv(name, "")
    told = CliRunner().invoke(app, ["make", "--help"], env={"COLUMNS": "200"}).output
    assert "--ray-address" in told and "--slurm" in told
    assert "--slurm" not in CliRunner().invoke(app, ["chat", "--help"], env={"COLUMNS": "200"}).output
    words = ["make", "abc", "--from", "nowhere.json", "--slurm", "partition=gpu", "--slurm", "time=9"]
    CliRunner().invoke(app, [*words, "--ray-address", "head:6379"])
    assert os.environ["RAY_ADDRESS"] == "head:6379" and os.environ["CAVESSON_SLURM"] == "partition=gpu time=9"
