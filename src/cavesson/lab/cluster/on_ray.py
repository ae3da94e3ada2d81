"""Ray: each stage is a task with the cores, the GPU and the memory that its recipe asks for.

Ray carries a recipe to a node and a few words back. Artifacts travel through the store, never through Ray's object store.
A node that dies loses its stages under way alone: they begin again on other nodes (`far.py`).
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal
from urllib.parse import urlsplit

from cavesson.errors import CavessonError, ConfigError, optional
from cavesson.lab import mirror
from cavesson.lab.cluster.far import LOST, NO_GPU, Needs, Order, as_numbers, carry_out, environment, keep_under_way
from cavesson.lab.stage import Listener, Message, Progress
from cavesson.lab.store import Store
from cavesson.lab.work import Work

ADDRESS = "RAY_ADDRESS"
"""Ray's own variable: the cluster to join (`HOST:6379`, `auto`); without it Ray is started on this machine."""
REPORT_SECONDS = 0.5
"""A stage reports its progress, and asks whether to stop, at most this often."""
REACH_SECONDS = 10.0
"""Seconds within which the cluster's first machine has to answer."""
ROOM = 2
"""Stages under way for each core of the cluster: those that wait let an autoscaler see that more machines are wanted."""


class Ray:
    """Runs stages on a Ray cluster: an executor (see `cavesson.lab.executors`).

    Args:
        store: on a file system that all nodes share, or with a mirror (`cavesson.lab.mirror`).
        workers: stages under way at once; "auto": as many as the cluster has cores, and as many again that wait.

    Raises:
        MissingExtra: Ray is not installed.
    """

    elsewhere = True

    def __init__(self, store: Store, workers: int | Literal["auto"]) -> None:
        with optional("ray", "ray"):
            import ray
        self._ray: Any = ray
        self._wanted = workers
        self._joined = False
        self._tasks: _Tasks | None = None

    @property
    def workers(self) -> int:
        """Stages that run at the same time; the cluster is joined to count its cores."""
        return self._wanted if isinstance(self._wanted, int) else self._cores()

    def run(self, work: Work) -> None:
        self._join()
        most = self._wanted if isinstance(self._wanted, int) else ROOM * self._cores()
        root = None if os.environ.get(mirror.VARIABLE) else work.store.root
        self._tasks = self._tasks or _Tasks(self._ray)
        self._tasks.begin()
        keep_under_way(work, self._tasks, most, root)

    def close(self) -> None:
        """Leave the cluster, if this executor joined it; a Ray that was started for this executor ends."""
        if self._tasks is not None:
            self._tasks.close()
            self._tasks = None
        if self._joined:
            self._ray.shutdown()
            self._joined = False

    def _cores(self) -> int:
        self._join()
        return max(int(self._ray.cluster_resources().get("CPU", 1)), 1)

    def _join(self) -> None:
        """Join the cluster, unless this process is in one already.

        Raises:
            ConfigError: there is no cluster at the address.
        """
        if self._ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            _check_reach(os.environ.get(ADDRESS, ""))
            with _own_signals(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Ray tells of its plans
                self._ray.init(
                    include_dashboard=False if ADDRESS not in os.environ else None,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            said = str(error).partition("\n")[0][:200]
            where = f"at {os.environ[ADDRESS]!r} " if ADDRESS in os.environ else ""
            raise ConfigError(
                f"Ray {where}cannot be reached: {said}",
                "Start it on the first machine with `ray start --head`, then give --ray-address HOST:6379.",
            ) from error
        self._joined = True


def _check_reach(address: str) -> None:
    """Try the port of a cluster's address, if it has one: Ray itself tries for many minutes.

    Raises:
        OSError: nothing listens there.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), timeout=REACH_SECONDS).close()


class _Tasks:
    """Stages as tasks of Ray, under way together."""

    def __init__(self, ray: Any) -> None:
        from ray.util import scheduling_strategies as scheduling

        self._ray = ray
        self._task = ray.remote(_stage)
        self._names: dict[Any, str] = {}
        self._has_gpus, self._most_memory = False, 0
        here = scheduling.NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._board = (
            ray.remote(_Board)
            .options(num_cpus=0, max_restarts=-1, max_task_retries=3, scheduling_strategy=here)
            .remote()
        )

    def begin(self) -> None:
        """Look at the cluster as it is now, and forget an earlier wish to stop."""
        self._has_gpus = bool(self._ray.cluster_resources().get("GPU"))
        memories = [node["Resources"].get("memory", 0) for node in self._ray.nodes() if node["Alive"]]
        self._most_memory = int(max(memories, default=0))  # a task that asks for more would wait forever
        self._ray.get(self._board.begin.remote())

    def submit(self, order: Order, needs: Needs) -> None:
        gpus = needs.ranks if needs.gpu or (needs.large and self._has_gpus) else 0
        asked = self._task.options(
            num_cpus=needs.ranks,
            num_gpus=gpus,
            memory=min(needs.memory, self._most_memory) or None,
            max_retries=0,  # a lost stage is begun again by `far.keep_under_way`, so that the user sees it
            runtime_env={"env_vars": environment() | ({} if gpus else NO_GPU)},
            name=order.fingerprint[:12],
        )
        self._names[asked.remote(order, self._board)] = order.fingerprint

    def news(self, seconds: float) -> Iterator[tuple[str, Message]]:
        waiting = list(self._names)
        done, _ = self._ray.wait(waiting, num_returns=1, timeout=seconds, fetch_local=False)
        if done:
            done, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0, fetch_local=False)
        yield from self._progress()
        for task in done:
            yield self._names.pop(task), self._end(task)

    def stop(self) -> None:
        self._board.stop.remote()

    def cancel(self) -> None:
        while self._names:
            self._ray.cancel(self._names.popitem()[0], force=True)

    def close(self) -> None:
        """End the board."""
        self._ray.kill(self._board)

    def _progress(self) -> Iterator[tuple[str, Message]]:
        names = set(self._names.values())
        try:
            said = self._ray.get(self._board.news.remote(), timeout=5)
        except self._ray.exceptions.RayError:  # the board's node is gone: Ray starts the board again
            return
        yield from ((name, message) for name, message in said.items() if name in names)

    def _end(self, task: Any) -> Message:
        """A task's last message."""
        errors = self._ray.exceptions
        try:
            message: Message = self._ray.get(task)
            return message
        except (errors.TaskCancelledError, KeyboardInterrupt):
            return ("stopped",)
        except (errors.RayTaskError, errors.RuntimeEnvSetupError) as error:
            said = str(error).strip().rpartition("\n")[2][:300]
            return "error", CavessonError(
                f"A node of the cluster cannot run a stage: {said}.", "Install the same Cavesson on every node."
            )
        except errors.OutOfMemoryError:
            return LOST, "its node ran out of memory"
        except errors.RayError as error:
            return LOST, "its node died" if "node" in str(error).lower() else "its process died"


class _Board:
    """An actor beside the lab: stages pin their progress to it, and read whether the user asked to stop."""

    def __init__(self) -> None:
        self._said: dict[str, Message] = {}
        self._stopping = False

    def begin(self) -> None:
        """Forget what was said in an earlier run."""
        self._said, self._stopping = {}, False

    def tell(self, name: str, message: Message | None) -> bool:
        """Keep the latest message of a stage; returns whether the stage should stop."""
        if message is not None:
            self._said[name] = message
        return self._stopping

    def news(self) -> dict[str, Message]:
        """The latest message of each stage that said something since the last call."""
        said, self._said = self._said, {}
        return said

    def stop(self) -> None:
        """Tell all stages to stop from now on."""
        self._stopping = True


def _stage(order: Order, board: Any) -> Message:
    """One stage in a worker process of Ray."""
    reports = _Reports(order.fingerprint, board)
    if reports.tell(None):
        return ("stopped",)
    listener = Listener(progress=reports.progress, waiting=reports.waiting, stopping=reports.stopping)
    return carry_out(order, listener)


class _Reports:
    """Tells the board what a stage does, not too often."""

    def __init__(self, name: str, board: Any) -> None:
        self._name, self._board = name, board
        self._last, self._stop = 0.0, False

    def tell(self, message: Message | None) -> bool:
        """Tell the board; returns whether to stop. A board that does not answer is no reason to."""
        import ray

        self._last = time.monotonic()
        with suppress(ray.exceptions.RayError):
            self._stop = ray.get(self._board.tell.remote(self._name, message), timeout=5)
        return self._stop

    def progress(self, now: Progress) -> None:
        if time.monotonic() - self._last >= REPORT_SECONDS:
            self.tell(("progress", now.done, now.total, as_numbers(now.figures)))

    def waiting(self, holder: str) -> None:
        if time.monotonic() - self._last >= REPORT_SECONDS:
            self.tell(("waiting", holder))

    def stopping(self) -> bool:
        return self._stop


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's handlers of signals: Ray sets its own when it joins."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
