"""The lab: makes whatever is missing, inputs first, in this process or in several."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Literal

from cavesson.errors import ConfigError, Stopped, StoreError
from cavesson.lab import plan as plans
from cavesson.lab.plan import Plan, Schedule, Stage
from cavesson.lab.progress import Display, Silent
from cavesson.lab.recipe import Recipe, lineage
from cavesson.lab.stage import InputMissing, Listener, explained, one_thread, run_stage
from cavesson.lab.store import Store

if TYPE_CHECKING:
    from cavesson.lab.pool import Pool


class Lab:
    """Makes artifacts in a store.

    Args:
        store: where they are and go.
        workers: 1: stages run one after another in this process. More: that many processes, each on a core of its
            own, kept from one `make` to the next. "auto": one for each core this process may use, or for each GPU.
        display: shows what happens; None shows nothing.

    Each stage runs on one thread either way, so the artifacts are the same. While the lab is open (it is a context
    manager) the garbage collector leaves alone whatever it was asked for.
    """

    def __init__(self, store: Store, workers: int | Literal["auto"] = 1, display: Display | None = None) -> None:
        self.store = store
        self.workers = _workers(workers)
        self.display: Display = display if display is not None else Silent()
        self._use = store.use()
        self._pool: Pool | None = None

    def plan(self, recipes: Sequence[Recipe]) -> Plan:
        """What `make` would do: stages in order, each there or to be made. Writes nothing."""
        return plans.plan(self.store, recipes)

    def make(self, recipes: Sequence[Recipe]) -> None:
        """Make all that is missing or damaged, inputs first.

        When a stage fails, those under way are finished and the first error is raised, with a note on the stage.

        Raises:
            Stopped: the user asked to stop (Ctrl-C); what was finished stays, what was under way resumes next time.
        """
        self._use.add(recipe.fingerprint for recipe in lineage(*recipes) if not recipe.virtual)
        plan = self.plan(recipes)
        if not plan.to_make:
            return
        work = Work(self.store, plan, self.display)
        self.display.begin(plan, min(self.workers, len(plan.to_make)))
        try:
            with _interruptible(work):
                if self.workers == 1:
                    _run_here(work)
                else:
                    self._started_pool().run(work)
        finally:
            self.display.end()

    def path(self, recipe: Recipe) -> Path:
        """Folder of a finished artifact; it is made first if it is missing or damaged."""
        if not recipe.virtual and not self.store.has(recipe):
            self.make([recipe])
        return self.store.path(recipe)

    def close(self) -> None:
        """End the workers and give up the claim on artifacts."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        self._use.close()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _started_pool(self) -> Pool:
        if self._pool is None:
            from cavesson.lab.pool import Pool

            self._pool = Pool(self.store.root, self.workers)
        return self._pool


class Work:
    """One `make` under way: the schedule, what the display is told, the wish to stop, the first error."""

    def __init__(self, store: Store, plan: Plan, display: Display) -> None:
        self.store = store
        self.display = display
        self.schedule = Schedule(plan)
        self.stop = threading.Event()
        self.error: Exception | None = None
        self._asked: set[tuple[str, str]] = set()

    def take(self) -> Stage | None:
        """The next stage to run, if one can run now and nothing has failed."""
        if self.error is not None or self.stop.is_set():
            return None
        stage = self.schedule.take()
        if stage is not None:
            self.display.started(stage)
        return stage

    def finished(self, stage: Stage, made: bool) -> None:
        """A stage's artifact is there."""
        self.schedule.finish(stage)
        self.display.finished(stage, made)

    def failed(self, stage: Stage, error: Exception) -> None:
        """A stage ended with an error (or because it was asked to stop); nothing new is started."""
        if isinstance(error, Stopped):
            self.stop.set()
            self.display.halted(stage, "stopped")
            return
        self.display.halted(stage, str(error).partition("\n")[0] or type(error).__name__)
        if self.error is None:
            self.error = explained(error, stage.recipe)

    def lacks(self, stage: Stage, missing: Recipe) -> None:
        """A stage needs an artifact that is not there (any more): plan it, and run the stage again after it."""
        if (asked := (stage.fingerprint, missing.fingerprint)) in self._asked:
            self.failed(stage, StoreError(f"The artifact {missing.describe()} was made again, and is damaged again."))
            return
        self._asked.add(asked)
        self.display.halted(stage, f"waits for {missing.describe()}")
        self.display.added(self.schedule.add(plans.plan(self.store, [missing])))
        self.schedule.put_back(stage, [missing.fingerprint])

    def close(self) -> None:
        """Raise what there is to raise once nothing runs any more."""
        if self.error is not None:
            raise self.error
        if self.stop.is_set() and len(self.schedule):
            raise Stopped
        if len(self.schedule):
            raise RuntimeError("the stages that are left wait for each other")


def _run_here(work: Work) -> None:
    """The serial executor: the reference for all others."""
    with one_thread():
        while (stage := work.take()) is not None:
            listener = _listener(work, stage)
            try:
                work.finished(stage, made=run_stage(work.store, stage.recipe, listener))
            except InputMissing as missing:
                work.lacks(stage, missing.recipe)
            except Exception as error:  # whatever a recipe raises ends this stage; `close` raises it
                work.failed(stage, error)
    work.close()


def _listener(work: Work, stage: Stage) -> Listener:
    return Listener(
        progress=lambda progress: work.display.progress(stage, progress),
        waiting=lambda holder: work.display.waiting(stage, holder),
        stopping=work.stop.is_set,
    )


@contextmanager
def _interruptible(work: Work) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) asks to stop at the next good moment, the second one stops at once."""

    def ask(number: int, frame: FrameType | None) -> None:
        if work.stop.is_set():
            raise KeyboardInterrupt
        work.stop.set()
        work.display.stopping()

    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _workers(wanted: int | str) -> int:
    """The number of workers to use."""
    if wanted == "auto":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(cores, len(gpus()) or cores)
    if not isinstance(wanted, int) or wanted < 1:
        raise ConfigError(f"The number of workers is {wanted!r}.", "Give a number from 1, or 'auto'.")
    return wanted


def gpus() -> list[str]:
    """NVIDIA GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them, found without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]
