"""The lab: makes missing artifacts, inputs first, through an executor."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Literal

from cavesson.lab import numerics, trust
from cavesson.lab import plan as plans
from cavesson.lab.executors import executor_named
from cavesson.lab.plan import Plan
from cavesson.lab.progress import Display, Silent
from cavesson.lab.recipe import Recipe, lineage
from cavesson.lab.store import Store
from cavesson.lab.work import Work


class Lab:
    """Makes artifacts in a store.

    Args:
        store: where the artifacts are kept.
        workers: 1: stages run one after another in this process. More: so many worker processes, each on a core of its
            own, kept from one `make` to the next. "auto": one worker for each core this process may use, or for each GPU.
        display: shows what happens; None shows nothing.
        executor: makes the artifacts: a name in `cavesson.lab.executors.EXECUTORS`, or a user's own (`file.py:NAME`).

    Each stage runs on one thread, so the artifacts do not depend on the number of workers. A lab is a context manager;
    while the lab is open, the garbage collector keeps every artifact that the lab was asked for.

    Attributes:
        until: a time by `time.monotonic` at which the lab stops making, as if the user had asked; None: no such time.
        called: what a study calls its artifacts, by fingerprint; displays show the recipes of all others.
    """

    def __init__(
        self,
        store: Store,
        workers: int | Literal["auto"] = 1,
        display: Display | None = None,
        executor: str = "local",
    ) -> None:
        self.store = store
        self.display: Display = display if display is not None else Silent()
        self._executor = executor_named(executor)(store, workers)
        self._use = store.use()
        self.until: float | None = None
        self.called: dict[str, str] = {}

    @property
    def workers(self) -> int:
        """Stages that run at the same time."""
        return self._executor.workers

    @property
    def elsewhere(self) -> bool:
        """Whether stages may run on other machines than this one."""
        return getattr(self._executor, "elsewhere", True)

    def plan(self, recipes: Sequence[Recipe]) -> Plan:
        """What `make` would do: the stages in order, and which of them have to run. Writes nothing."""
        return plans.plan(self.store, recipes, self.called)

    def check(self, plan: Plan) -> None:
        """Refuse a plan with a training that only a machine with other numerics can make.

        An executor whose workers are on other machines (`elsewhere`) is not checked here: its workers refuse such a stage.

        Raises:
            ConfigError: this machine has other numerics than a training that has to be made.
        """
        if self.elsewhere:
            return
        for stage in plan.to_make:
            if stage.recipe.numerics is not None:
                numerics.check_here(stage.recipe.numerics, f"the artifact {stage.title!r}")

    def make(self, recipes: Sequence[Recipe], ahead: Sequence[Recipe] = ()) -> None:
        """Make every artifact that is missing or damaged, inputs first.

        When a stage fails, the running stages are finished and the first error is raised, with a note on its stage.

        Args:
            recipes: of the artifacts.
            ahead: recipes of a later call, which the display counts in the time left.

        Raises:
            ConfigError: a training is named after the numerics of another machine; nothing was started.
            Stopped: the user asked to stop (Ctrl-C), or the time is up. Finished artifacts stay; interrupted stages resume next time.
        """
        self._use.add(recipe.fingerprint for recipe in lineage(*recipes) if not recipe.virtual)
        plan = self.plan(recipes)
        if not plan.to_make:
            return
        self.check(plan)
        trust.hand_on()
        work = Work(self.store, plan, self.display)
        if ahead:
            plan = plan.followed_by(self.plan(ahead))
        self.display.begin(plan, min(self.workers, len(plan.to_make)))
        try:
            with _interruptible(work), _stopped_at(self.until, work):
                self._executor.run(work)
                work.close()
        finally:
            self.display.end()

    def path(self, recipe: Recipe) -> Path:
        """Folder of a finished artifact; a missing or damaged artifact is made first."""
        if not recipe.virtual and not self.store.here(recipe):
            self.make([recipe])
        return self.store.path(recipe)

    def close(self) -> None:
        """End the workers, and let the garbage collector have the artifacts."""
        self._executor.close()
        self._use.close()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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


@contextmanager
def _stopped_at(until: float | None, work: Work) -> Iterator[None]:
    """At a time by `time.monotonic`, the work stops at the next good moment."""
    if until is None:
        yield
        return
    if until <= time.monotonic():
        work.stop.set()
    timer = threading.Timer(max(until - time.monotonic(), 0.0), work.stop.set)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
