"""Executors: they make the artifacts of a plan, in this process or in others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Literal, Protocol

from cavesson.errors import entry_of
from cavesson.lab import processors
from cavesson.lab.cluster.on_ray import Ray
from cavesson.lab.cluster.on_slurm import Slurm
from cavesson.lab.own import calling, is_own, made_by
from cavesson.lab.pool import Pool
from cavesson.lab.stage import one_thread
from cavesson.lab.store import Store
from cavesson.lab.work import Work

Wanted = int | Literal["auto"]
"""The wanted number of workers; "auto": what the machine or the cluster has room for."""


class Executor(Protocol):
    """Makes the artifacts of a work, in this process or anywhere that reaches the store.

    An executor decides nothing about science: every executor makes the same artifacts, bit by bit. An executor that makes
    each artifact in some other process takes six lines:

        def run(self, work):
            while (stage := work.take()) is not None:
                recipe = stage.recipe.model_dump(mode="json")
                message = elsewhere(run_reported, work.store, stage.fingerprint, recipe, listener)  # cavesson.lab.stage
                work.receive(stage, message)
    """

    @property
    def workers(self) -> int:
        """Stages that run at the same time."""
        ...

    @property
    def elsewhere(self) -> bool:
        """Whether stages may run on other machines than this one; an executor that does not say is taken to do so."""
        ...

    def run(self, work: Work) -> None:
        """Run stages until `work.take` gives none and no stage is running.

        Once `work.stop` is set, the executor asks running stages to stop. An executor whose worker dies runs the stage again,
        or calls `work.failed` with an error that says why.
        """

    def close(self) -> None:
        """End the workers that were kept from one work to the next."""


class InProcess:
    """Runs stages one after another in this process: the reference for all other executors."""

    workers = 1
    elsewhere = False

    def run(self, work: Work) -> None:
        with one_thread():
            while (stage := work.take()) is not None:
                work.run(stage)

    def close(self) -> None:
        """Do nothing: no worker was kept."""


def local(store: Store, workers: Wanted) -> Executor:
    """For one worker, this process; for more workers, a pool of processes."""
    return InProcess() if processors.workers(workers) == 1 else pool(store, workers)


def pool(store: Store, workers: Wanted) -> Executor:
    """Other processes of this machine, even for one worker."""
    return Pool(store, processors.workers(workers))


class Own:
    """A user's own executor: whatever goes wrong in the executor is one message."""

    def __init__(self, name: str, store: Store, workers: Wanted) -> None:
        self._name = name
        number = processors.workers(workers)
        self._own: Executor = made_by(name, "executor", ("workers", "run", "close"), store, number)
        self.workers = self._own.workers
        self.elsewhere = getattr(self._own, "elsewhere", True)

    def run(self, work: Work) -> None:
        with self._calling():
            self._own.run(work)
            if len(work.schedule) and work.error is None and not work.stop.is_set():
                raise RuntimeError(f"it came back, and {len(work.schedule)} artifacts are not made")

    def close(self) -> None:
        with self._calling():
            self._own.close()

    def _calling(self) -> AbstractContextManager[None]:
        remedy = "Correct the executor, or leave it out, and run again: all that was made is in the store."
        return calling(f"The executor {self._name!r}", remedy)


EXECUTORS: dict[str, Callable[[Store, Wanted], Executor]] = {"local": local, "pool": pool, "ray": Ray, "slurm": Slurm}
"""Every executor by its name: a function of a store and the wanted number of workers."""


def executor_named(name: str) -> Callable[[Store, Wanted], Executor]:
    """The function that makes an executor, by its name or from a user's own code (`path/to/file.py:NAME`).

    Raises:
        ConfigError: there is no such executor.
    """
    if is_own(name):
        return partial(Own, name)
    return entry_of(EXECUTORS, name, "executor")
