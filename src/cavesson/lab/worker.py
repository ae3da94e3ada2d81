"""A worker process: makes the artifacts that its parent names, one at a time, on one thread and one core.

The parent starts it as `python -m cavesson.lab.worker` (`cavesson.lab.child`) and speaks first:

    parent → worker   ("run", fingerprint, recipe as JSON values) | ("stop",)
    worker → parent   a `cavesson.lab.stage.Message`

When the parent ends, the worker ends at once. Only the running stage is lost, as after `kill -9`.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cavesson.lab.child import to_parent
from cavesson.lab.processors import collect_seldom
from cavesson.lab.stage import Listener, Message, Progress, run_reported
from cavesson.lab.store import Store

REPORT_SECONDS = 0.1
"""Progress is sent at most this often."""

Run = Callable[[str, dict[str, Any], Listener], Message]
"""Makes the artifact of a fingerprint and of a recipe as JSON values; returns how that ended."""


def main() -> None:
    """Serve until the parent closes the connection. Arguments: the store, and the core to stay on (or -1)."""
    connection, (root, core) = to_parent()
    if int(core) >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    serve(connection, partial(run_reported, Store(Path(root))))


def serve(connection: Connection, run: Run) -> None:
    """Run what the parent orders, until the parent closes the connection."""
    collect_seldom()
    _Server(connection, run).serve()


class _Server:
    def __init__(self, connection: Connection, run: Run) -> None:
        self._run = run
        self._connection = connection
        self._orders: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._stop = threading.Event()

    def serve(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            self._connection.send(self._run(*self._orders.get(), self._listener()))

    def _listen(self) -> None:
        """Receive orders in a thread of its own, so that "stop" and the parent's end are noticed while a stage runs."""
        while True:
            try:
                order, *arguments = self._connection.recv()
            except (EOFError, OSError):
                os._exit(1)
            if order == "stop":
                self._stop.set()
            else:
                self._stop.clear()
                self._orders.put((arguments[0], arguments[1]))

    def _listener(self) -> Listener:
        last = -REPORT_SECONDS

        def progress(now: Progress) -> None:
            nonlocal last
            if now.done >= now.total or time.monotonic() - last >= REPORT_SECONDS:
                last = time.monotonic()
                self._connection.send(("progress", now.done, now.total, dict(now.figures)))

        return Listener(
            progress=progress,
            waiting=lambda holder: self._connection.send(("waiting", holder)),
            stopping=self._stop.is_set,
        )


if __name__ == "__main__":
    main()
