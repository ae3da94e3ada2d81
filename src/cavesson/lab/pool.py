"""A pool of worker processes: starts workers as needed, keeps them from stage to stage, survives their deaths."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass, field
from multiprocessing.connection import wait

from cavesson.errors import CavessonError, Stopped
from cavesson.lab.child import Child
from cavesson.lab.locks import FileLock
from cavesson.lab.memory import REMEDY, ShortOfMemory, largest_child
from cavesson.lab.plan import Stage
from cavesson.lab.processors import free_core, gpus
from cavesson.lab.stage import ONE_THREAD, Message
from cavesson.lab.store import Store
from cavesson.lab.work import Work

LISTEN_SECONDS = 0.2
"""Seconds after which the user's wish to stop is noticed at the latest."""


@dataclass
class _Worker:
    child: Child
    core: FileLock | None
    stage: Stage | None = None
    told_to_stop: bool = False
    short: ShortOfMemory | None = None
    """Why the worker gave up its stage, if memory was too small."""

    def close(self) -> str:
        """End the process; returns the last line that the process printed."""
        last_words = self.child.close()
        if self.core is not None:
            self.core.release()
        return last_words


@dataclass
class Pool:
    """Up to `workers` worker processes on a store: an executor (see `cavesson.lab.executors`)."""

    store: Store
    workers: int
    elsewhere: bool = False
    _started: list[_Worker] = field(default_factory=list)

    def run(self, work: Work) -> None:
        """Run all stages of the work; when a stage fails, the running stages end first."""
        killed: dict[str, int] = {}
        again: list[Stage] = []  # stages that were killed or short of memory: each runs once more, alone
        try:
            while True:
                self._assign(work, killed, again)
                busy = {worker.child.connection: worker for worker in self._started if worker.stage is not None}
                if not busy:
                    break
                for connection in wait(list(busy), timeout=LISTEN_SECONDS):
                    worker = busy[connection]  # type: ignore[index]
                    if (stage := worker.stage) is not None and not self._receive(worker, stage, work):
                        self._remove_worker(worker, stage, work, killed, again)
                if work.stop.is_set():
                    self._pass_on_stop()
        finally:
            for worker in [worker for worker in self._started if worker.stage is not None]:
                self._started.remove(worker)
                worker.close()

    def close(self) -> None:
        """End all workers."""
        while self._started:
            self._started.pop().close()

    def _assign(self, work: Work, killed: dict[str, int], again: list[Stage]) -> None:
        """Give stages to idle workers; start workers if there are too few."""
        running = [worker.stage for worker in self._started if worker.stage is not None]
        if again and work.error is None and not work.stop.is_set():
            if not running:
                self.close()  # idle workers hold memory too
                stage = again.pop(0)
                work.display.started(stage)
                self._give(stage)
            return
        if any(stage.fingerprint in killed for stage in running):
            return
        for _ in range(self.workers - len(running)):
            stage_or_none = work.take()
            if stage_or_none is None:
                return
            self._give(stage_or_none)

    def _give(self, stage: Stage) -> None:
        idle = [worker for worker in self._started if worker.stage is None]
        worker = idle[0] if idle else self._start()
        worker.stage, worker.told_to_stop = stage, False
        with contextlib.suppress(OSError):  # the worker died while idle: the next `wait` finds its connection closed
            worker.child.connection.send(("run", stage.fingerprint, stage.recipe.model_dump(mode="json")))

    def _receive(self, worker: _Worker, stage: Stage, work: Work) -> bool:
        """Act on one message; False if the worker is dead, or has to be ended for lack of memory."""
        try:
            message: Message = worker.child.connection.recv()
        except (EOFError, OSError):
            return False
        if message[0] == "error" and isinstance(message[1], ShortOfMemory):
            worker.short = message[1]
            return False
        if work.receive(stage, message):
            worker.stage = None
        return True

    def _remove_worker(
        self, worker: _Worker, stage: Stage, work: Work, killed: dict[str, int], again: list[Stage]
    ) -> None:
        """Remove a worker that died or was short of memory; its stage is tried once more in a new worker."""
        self._started.remove(worker)
        last_words = worker.close()
        if work.stop.is_set():
            work.failed(stage, Stopped())
            return
        killed[stage.fingerprint] = times = killed.get(stage.fingerprint, 0) + 1
        if times == 1 and work.error is None:
            what = "its worker was killed" if worker.short is None else "its worker ran out of memory"
            work.display.halted(stage, f"{what}; once more, alone")
            again.append(stage)
            return
        work.failed(stage, worker.short or _death(stage, worker.child.process.returncode, last_words, times))

    def _pass_on_stop(self) -> None:
        for worker in self._started:
            if worker.stage is not None and not worker.told_to_stop:
                worker.told_to_stop = True
                with contextlib.suppress(OSError):  # the worker is dead already
                    worker.child.connection.send(("stop",))

    def _start(self) -> _Worker:
        """Start a worker on a core of its own."""
        core, lock = free_core()
        variables = {**ONE_THREAD, **self._gpu()}
        child = Child.start("cavesson.lab.worker", str(self.store.root), str(core), variables=variables)
        self._started.append(_Worker(child, lock))
        return self._started[-1]

    def _gpu(self) -> dict[str, str]:
        """The environment of the next worker: with several GPUs, each worker sees one of them."""
        visible = gpus()
        return {"CUDA_VISIBLE_DEVICES": visible[len(self._started) % len(visible)]} if len(visible) > 1 else {}


def _death(stage: Stage, code: int | None, last_words: str, times: int) -> CavessonError:
    """The error for a stage whose worker died, usually for the second time."""
    often = {1: "once", 2: "twice"}.get(times, f"{times} times")
    worker = f"The worker process that made {stage.recipe.describe()}"
    said = f" It printed last: {last_words}" if last_words else ""
    if code == -signal.SIGKILL:
        return ShortOfMemory(
            f"{worker} was killed {often} (signal 9), as the system does when memory runs out; "
            f"the largest worker held {largest_child():.2g} GB.{said}",
            f"{REMEDY} The same command goes on where it was.",
        )
    end = f"crashed {often} (signal {-code})" if code is not None and code < 0 else f"ended {often} (exit code {code})"
    return CavessonError(f"{worker} {end}.{said}", "Run the stage in this process to see why: --workers 1.")
