"""Stages as jobs: with submitit's local executor, and through the commands of a SLURM that runs jobs at once."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from pathlib import Path

import psutil
import pytest

from cavesson.errors import ConfigError, MissingExtra, Stopped, TrainingError
from cavesson.lab.cluster import on_slurm
from cavesson.lab.cluster.far import Needs, Order
from cavesson.lab.lab import Lab
from cavesson.lab.plan import Stage
from cavesson.lab.progress import Silent
from cavesson.lab.recipe import Recipe
from cavesson.lab.stage import Progress
from cavesson.lab.store import Store
from miniature import contents
from toys import Counting, Doubled, Failing, Number, Sum, Threads, View

pytest.importorskip("submitit")

ONE = Number(value=1)
SUMS: tuple[Recipe, ...] = (Sum(of=(ONE,)), Sum(of=(ONE, ONE)))
GRAPH = [Sum(of=SUMS), Doubled(view=View(base=SUMS[0]))]


@pytest.fixture(autouse=True)
def where_jobs_find_the_toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(on_slurm.VARIABLE, "cluster=local")


class Ear(Silent):
    def __init__(self) -> None:
        self.halts: list[str] = []
        self.steps: list[float] = []

    def progress(self, stage: Stage, progress: Progress) -> None:
        self.steps.append(progress.done)

    def halted(self, stage: Stage, reason: str) -> None:
        self.halts.append(reason)


def test_jobs_make_the_bits_of_this_process_and_leave_nothing_behind(local: None, tmp_path: Path) -> None:
    for executor in ("local", "slurm"):
        with Lab(Store(tmp_path / executor), 2, executor=executor) as lab:
            lab.make(GRAPH)
    assert contents(Store(tmp_path / "slurm")) == contents(Store(tmp_path / "local"))
    assert not list((tmp_path / "slurm" / "jobs").iterdir())


def test_what_goes_wrong_in_a_job_comes_back_as_what_it_is(local: None, tmp_path: Path) -> None:
    ear = Ear()
    with Lab(Store(tmp_path / "store"), 2, ear, executor="slurm") as lab:
        with pytest.raises(TrainingError, match="not a number"):
            lab.make([Failing(how="cavesson")])
        with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug"):
            lab.make([Failing(how="bug")])
    logs = list((tmp_path / "store" / "jobs").rglob("*_log.out"))
    assert len(logs) == 2  # the logs of runs that failed are kept


def test_a_job_whose_process_dies_begins_again(local: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import submitit

    monkeypatch.setattr(submitit.core.core.Job, "_results_timeout_s", 1)
    ear = Ear()
    with Lab(Store(tmp_path / "store"), 1, ear, executor="slurm") as lab:
        lab.make([Failing(how="killed once")])
    assert len(ear.halts) == 1 and ear.halts[0].startswith("lost: its job ended without a result")


def test_ctrl_c_lets_jobs_save_what_they_have(local: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(Ear):
        def progress(self, stage: Stage, progress: Progress) -> None:
            if not self.steps:
                os.kill(os.getpid(), signal.SIGINT)
            super().progress(stage, progress)

    log, ear = tmp_path / "log", Impatient()
    with Lab(Store(tmp_path / "store"), 1, ear, executor="slurm") as lab, pytest.raises(Stopped):
        lab.make([Counting(steps=100, seconds=50, log=log)])
    assert ear.halts == ["stopped"] and 0 < len(log.read_text().split()) < 50


def test_a_preempted_job_is_queued_again_and_goes_on(local: None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    counting = Counting(steps=20, seconds=4, log=log)

    class Preempting(Ear):
        def progress(self, stage: Stage, progress: Progress) -> None:
            if not self.steps:
                os.kill(_job_process(), signal.SIGUSR2)  # as SLURM does before it takes the node away
            super().progress(stage, progress)

    ear = Preempting()
    with Lab(Store(tmp_path / "store"), 1, ear, executor="slurm") as lab:
        lab.make([counting])
    assert not ear.halts
    steps = log.read_text().split()
    assert sorted({*map(int, steps)}) == list(range(1, 21)) and len(steps) <= 21


def _job_process() -> int:
    """The process in which submitit runs the one job that is under way."""
    below = psutil.Process().children(recursive=True)
    [found] = [one.pid for one in below if "submitit.core._submit" in one.cmdline()]
    return found


SBATCH = """#!/bin/bash
# Runs the script at once, in the background, as a cluster with a free node does.
n=$(($(cat {folder}/count 2>/dev/null || echo 100) + 1)); echo $n > {folder}/count
cp "$1" {folder}/$n.sbatch
SLURM_JOB_ID=$n setsid bash "$1" >/dev/null 2>&1 &
echo "Submitted batch job $n"
"""
SRUN = """#!/bin/bash
while [[ "$1" == --* ]]; do
  case "$1" in --output|--error) shift 2;; *) shift;; esac
done
export SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0
exec "$@"
"""
SACCT = """#!/bin/bash
echo "JobID|State|NodeList"
for n in $(seq 101 $(cat {folder}/count)); do echo "$n|RUNNING|node1"; done
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The commands of a SLURM; the folder has the batch files that were submitted."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT, "scancel": "#!/bin/bash\n"}.items():
        (folder / name).write_text(text.replace("{folder}", str(folder)))
        (folder / name).chmod(0o755 | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_the_batch_file_asks_for_what_the_user_and_the_recipe_want(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(on_slurm.VARIABLE, "partition=long time=4:30:00 mem=16GB gres=gpu:a100:1")
    with Lab(Store(tmp_path / "store"), executor="slurm") as lab:
        assert lab.workers == 1
        lab.make([Threads()])
        seen = json.loads((lab.path(Threads()) / "seen.json").read_text())
    assert (seen["environment"], seen["gpus"]) == ("1", "")  # one thread, and no GPU unless a stage asks for one
    [script] = [file.read_text() for file in slurm.glob("*.sbatch")]
    asked = {line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")}
    assert {"partition=long", "time=270", "mem=16GB", "cpus-per-task=1"} <= asked
    assert not any("gpu" in line for line in asked)  # a number needs none
    assert f"job-name=cavesson-{Threads().fingerprint[:8]}" in asked


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("partiton=gpu", "no setting 'partiton'"),
        ("partition", "--slurm 'partition' is no setting"),
        ("time=soon", "--slurm time=soon is no time"),
        ("nodes=4", "no setting 'nodes'"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_before_the_start(
    given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(on_slurm.VARIABLE, given)
    with pytest.raises(ConfigError, match=said):
        Lab(Store(tmp_path / "store"), executor="slurm")
    assert not (tmp_path / "store").exists()


def test_large_stages_ask_for_a_gpu_and_memory_unless_the_user_says_which(slurm: Path, tmp_path: Path) -> None:
    large, order = Needs(gpu=True, memory=70_000_000_000), Order(None, ONE.fingerprint, {})
    usual = on_slurm._Submitted(tmp_path, {}, False)._asked(order, large)
    assert (usual["gpus_per_node"], usual["mem"]) == (1, "109GB")
    wishes = Needs(large=True, memory=70_000_000_000)  # no numerics of a GPU, so only where the user named one
    assert "gpus_per_node" not in on_slurm._Submitted(tmp_path, {}, False)._asked(order, wishes)
    assert on_slurm._Submitted(tmp_path, {"gres": "gpu:1"}, False)._asked(order, wishes)["gres"] == "gpu:1"
    chosen = on_slurm._Submitted(tmp_path, {"gres": "gpu:h100:1", "mem": "0"}, False)._asked(order, large)
    assert (chosen["gres"], chosen["mem"]) == ("gpu:h100:1", "0") and "gpus_per_node" not in chosen


def test_times_are_read_as_sbatch_reads_them() -> None:
    given = {"30": 30, "4:00": 4, "4:00:00": 240, "1-2:00:00": 1560, "0:00:30": 1}
    assert {text: on_slurm.settings(f"time={text}", {"time"})["time"] for text in given} == given


def test_where_there_is_no_slurm_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(on_slurm.VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="srun is not found"):
        Lab(Store(tmp_path / "store"), executor="slurm")


def test_without_submitit_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(MissingExtra, match="'submitit' of the extra 'slurm'"):
        Lab(Store(tmp_path), executor="slurm")
