"""A worker process: makes the artifacts that its parent names, one at a time, on one thread and one core.

The parent starts it as `python -m cavesson.lab.worker` with one end of a socket pair and speaks first:

    parent → worker   ("run", fingerprint, recipe as JSON values) | ("stop",)
    worker → parent   a `cavesson.lab.stage.Message`

When the parent ends, for whatever reason, the socket closes and the worker ends at once. Only the running stage is lost, as
after `kill -9`. On Linux the kernel kills the worker as well, for a stage that never leaves a library's code would keep Python
from seeing the closed socket.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cavesson.lab.stage import Listener, Progress, run_reported
from cavesson.lab.store import Store

REPORT_SECONDS = 0.1
"""Progress is sent at most this often."""


PR_SET_PDEATHSIG = 1
"""Linux, prctl(2): the signal that a process gets when the thread that started the process ends."""


def main() -> None:
    """Serve until the parent closes the connection.

    Arguments: file descriptor, store, core to stay on (or -1), and the parent to die with (or 0).
    """
    descriptor, root, core, parent = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    if parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent has ended before the call
            sys.exit(1)
    if core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    _Worker(Store(root), Connection(descriptor)).serve()


class _Worker:
    def __init__(self, store: Store, connection: Connection) -> None:
        self._store = store
        self._connection = connection
        self._orders: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._stop = threading.Event()

    def serve(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            self._connection.send(run_reported(self._store, *self._orders.get(), self._listener()))

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
