"""SLURM, through submitit: each stage is a job. The store lies on the cluster's shared file system.

A job that is preempted or reaches its time limit is queued again and goes on from the state that its stage has saved. A job takes
the scheduler seconds, so this suits stages of minutes and more; for many small stages start Ray inside one allocation.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cavesson.errors import CavessonError, ConfigError, nearest, optional, quoted
from cavesson.lab import disk, place
from cavesson.lab.cluster.far import LOST, NO_GPU, Needs, Order, as_numbers, carry_out, environment, keep_under_way
from cavesson.lab.stage import Listener, Message, Progress, variables
from cavesson.lab.store import Store
from cavesson.lab.work import Work

VARIABLE = "CAVESSON_SLURM"
"""Environment variable with the settings of the jobs, as `--slurm` gives them: `partition=gpu time=4:00:00`."""
USUAL_JOBS = 32
"""Jobs at once for `--workers auto`."""
USUAL_MINUTES = 60
REPORT_SECONDS = 2.0
"""A job reports its progress, and asks whether to stop, at most this often."""
POLL_SECONDS = 1.0
"""Pause between two looks at all jobs: each look reads the shared file system."""
FOR_GPUS = ("gres", "gpus_per_node", "gpus_per_task", "cpus_per_gpu", "mem_per_gpu")
"""Settings that only the jobs of stages on a GPU get."""
OWN = (
    "nodes",
    "ntasks_per_node",
    "num_gpus",
    "array_parallelism",
    "additional_parameters",
    "setup",
    "teardown",
    "srun_args",
)
"""Settings of submitit that a stage, which is one process, has no use for."""
REQUEUED = 144
"""The exit code with which a job tells submitit's local executor to start the job again (submitit/local/local.py)."""


class Slurm:
    """Runs each stage as a job of SLURM: an executor (see `cavesson.lab.executors`).

    Args:
        store: on a file system that all nodes share.
        workers: jobs at once; "auto": `USUAL_JOBS`.

    Raises:
        MissingExtra: submitit is not installed.
        ConfigError: a setting does not fit, or this machine does not submit jobs.
    """

    elsewhere = True

    def __init__(self, store: Store, workers: int | Literal["auto"]) -> None:
        with optional("submitit", "slurm"):
            import submitit
        self.workers = workers if isinstance(workers, int) else USUAL_JOBS
        self._settings = settings(os.environ.get(VARIABLE, ""), submitit.SlurmExecutor._valid_parameters())
        self._is_local = self._settings.pop("cluster", "slurm") == "local"
        if not self._is_local and shutil.which("srun") is None:
            raise ConfigError(
                "There is no SLURM on this machine: srun is not found.",
                "Log in to the cluster's submit node; to try the way on this machine alone: --slurm cluster=local.",
            )

    def run(self, work: Work) -> None:
        folder = work.store.root / "jobs" / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S-%f}"
        with disk.writing(work.store.root):
            place.mark(work.store.root)
            folder.mkdir(parents=True)
        with variables(environment()):  # sbatch hands the environment on
            keep_under_way(work, _Submitted(folder, self._settings, self._is_local), self.workers, work.store.root)
        if work.error is None:  # else the logs may say more
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Do nothing: no job outlives its stage."""


def settings(text: str, known: set[str]) -> dict[str, Any]:
    """The settings of jobs from a text such as `partition=gpu time=4:00:00 mem=64GB`.

    Args:
        text: pairs of name and value, named as in sbatch, with `_` or `-`.
        known: names that submitit takes.

    Raises:
        ConfigError: a pair does not fit.
    """
    found: dict[str, Any] = {}
    allowed = {"cluster", *known} - {*OWN}
    for word in text.split():
        name, is_pair, value = word.partition("=")
        name = name.replace("-", "_")
        if not is_pair or not value:
            raise ConfigError(f"--slurm {quoted(word)} is no setting.", "Write NAME=VALUE, such as partition=gpu.")
        if name not in allowed:
            raise ConfigError(f"--slurm has no setting {name!r}.", nearest(name, allowed))
        found[name] = _value(name, value)
    return found


def _value(name: str, value: str) -> Any:
    """The value of a setting as submitit takes it: minutes, numbers, or texts for sbatch."""
    if name == "time":
        parts = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+)(?::(\d\d))?", value)
        if parts is None:
            raise ConfigError(f"--slurm time={value} is no time.", "Write minutes, or hours as in 4:00:00.")
        days, hours, minutes, seconds = (int(part or 0) for part in parts.groups())
        if parts[2] and not parts[4]:  # sbatch reads 4:00 as four minutes
            hours, minutes, seconds = 0, hours, minutes
        return max(1, 60 * (24 * days + hours) + minutes + math.ceil(seconds / 60))
    return int(value) if value.isdecimal() else value


class _Submitted:
    """Stages as jobs, under way together.

    Args:
        folder: on the shared file system, for what jobs are told and say.
        chosen: settings of the jobs.
        is_local: run the jobs on this machine, with submitit's local executor.
    """

    def __init__(self, folder: Path, chosen: dict[str, Any], is_local: bool) -> None:
        import submitit

        self._folder, self._is_local = folder, is_local
        self._chosen = chosen
        self._class = submitit.LocalExecutor if is_local else submitit.SlurmExecutor
        self._jobs: dict[str, Any] = {}
        self._heard: dict[str, float] = {}
        self._lost = submitit.core.utils.UncompletedJobError

    def submit(self, order: Order, needs: Needs) -> None:
        executor = self._class(self._folder / "submitit")
        executor.update_parameters(**self._asked(order, needs))
        try:
            self._jobs[order.fingerprint] = executor.submit(StageJob(order, self._folder, self._on_gpu(needs)))
        except Exception as error:  # sbatch refuses: submitit hands its words on
            said = " ".join(str(error).split())[-300:]
            raise ConfigError(f"SLURM refuses a job: {said}", "Correct the settings (--slurm).") from error

    def news(self, seconds: float) -> Iterator[tuple[str, Message]]:
        heard = False
        for name, job in list(self._jobs.items()):
            if (said := self._progress(name)) is not None:
                heard = True
                yield name, said
            if job.done():
                heard = True
                del self._jobs[name]
                yield name, self._end(job)
        if not heard:
            time.sleep(seconds if self._is_local else POLL_SECONDS)

    def stop(self) -> None:
        (self._folder / "stop").touch()
        for job in self._jobs.values():
            if not self._is_local and job.get_info(mode="standard").get("State") == "PENDING":
                job.cancel(check=False)

    def cancel(self) -> None:
        for job in self._jobs.values():
            with suppress(OSError):
                job.cancel(check=False)

    def _asked(self, order: Order, needs: Needs) -> dict[str, Any]:
        """The settings of one job."""
        if self._is_local:
            return {"timeout_min": self._chosen.get("time", USUAL_MINUTES)}
        on_gpu = self._on_gpu(needs)
        asked = {name: value for name, value in self._chosen.items() if on_gpu or name not in FOR_GPUS}
        asked = {
            "job_name": f"cavesson-{order.fingerprint[:8]}",
            "time": USUAL_MINUTES,
            "cpus_per_task": needs.ranks,
            **asked,
        }
        if needs.gpu and not any(name in asked for name in FOR_GPUS[:3]):
            asked["gpus_per_node"] = needs.ranks
        if needs.memory and not any(name.startswith("mem") for name in asked):
            asked["mem"] = f"{math.ceil(1.5 * needs.memory / 1e9) + 4}GB"
        return asked

    def _on_gpu(self, needs: Needs) -> bool:
        """Whether a stage gets a GPU: it has to have one, or would like one and the user's settings name GPUs."""
        return needs.gpu or (needs.large and not {*FOR_GPUS}.isdisjoint(self._chosen))

    def _progress(self, name: str) -> Message | None:
        """What a job wrote since the last look."""
        path = self._folder / f"{name}.json"
        try:
            when = path.stat().st_mtime
            if when == self._heard.get(name):
                return None
            self._heard[name] = when
            return tuple(json.loads(path.read_bytes()))
        except (OSError, ValueError):
            return None

    def _end(self, job: Any) -> Message:
        try:
            message: Message = job.result()
            return message
        except self._lost:
            last = next((line for line in reversed((job.stderr() or "").splitlines()) if line.strip()), "")
            return LOST, f"its job ended without a result{f' ({last.strip()[:200]})' if last else ''}"
        except Exception as error:
            said = str(error).strip().rpartition("\n")[2][:300]
            return "error", CavessonError(
                f"A job cannot run a stage: {said}.", "Install the same Cavesson where the jobs run."
            )


@dataclass
class StageJob:
    """What a job runs.

    Attributes:
        order: the stage.
        folder: for progress, and for the wish to stop.
        on_gpu: the job was given a GPU.
    """

    order: Order
    folder: Path
    on_gpu: bool = False
    _queued_again: bool = field(default=False, init=False)

    def __call__(self) -> Message:
        os.environ.update({} if self.on_gpu else NO_GPU)
        reports = _Reports(self.order.fingerprint, self.folder)
        if reports.stopping():
            return ("stopped",)
        message = carry_out(self.order, Listener(reports.progress, reports.waiting, reports.stopping))
        if self._queued_again and message[0] == "crash":
            if message[1].startswith("SystemExit"):
                raise SystemExit(REQUEUED)
            return "error", CavessonError(
                "A job reached its time limit again and again.", "Give jobs more time: --slurm time=8:00:00."
            )
        return message

    def checkpoint(self) -> Any:
        """Called by submitit when the job is preempted or out of time: what to run when it is started again."""
        from submitit.helpers import DelayedSubmission

        self._queued_again = True
        return DelayedSubmission(StageJob(self.order, self.folder, self.on_gpu))


class _Reports:
    """Writes down what a stage does, not too often."""

    def __init__(self, name: str, folder: Path) -> None:
        self._path, self._stop = folder / f"{name}.json", folder / "stop"
        self._last, self._stopping, self._looked = -REPORT_SECONDS, False, -REPORT_SECONDS

    def progress(self, now: Progress) -> None:
        self._write("progress", now.done, now.total, as_numbers(now.figures))

    def waiting(self, holder: str) -> None:
        self._write("waiting", holder)

    def stopping(self) -> bool:
        if time.monotonic() - self._looked >= REPORT_SECONDS:
            self._looked, self._stopping = time.monotonic(), self._stop.exists()
        return self._stopping

    def _write(self, *message: Any) -> None:
        if time.monotonic() - self._last >= REPORT_SECONDS:
            self._last = time.monotonic()
            with suppress(OSError):
                disk.write_whole(self._path, json.dumps(message))
