"""Reading what a process writes into several pipes, with a cap on each and a deadline."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Mapping

Chunks = dict[int, bytearray]


def capture(
    process: subprocess.Popen[bytes], caps: Mapping[int, int], deadline: float
) -> tuple[Chunks, int | None, bool]:
    """Read until every pipe is closed; kill the process when one overflows or time is up.

    Args:
        process: the process that writes; `process.kill()` must end every process that holds the pipes.
        caps: bytes allowed, by file descriptor of the reading end. The descriptors are closed here.
        deadline: on the clock of `time.monotonic`.

    Returns:
        The bytes of each pipe (never more than its cap), the pipe that overflowed or None, and whether time ran out.
    """
    read: Chunks = {pipe: bytearray() for pipe in caps}
    overflowed, late = None, False
    with selectors.DefaultSelector() as selector:
        for pipe in caps:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready and time.monotonic() >= deadline:
                late = True
                break
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 16)
                if not chunk:
                    selector.unregister(key.fd)
                    continue
                read[key.fd] += chunk[: caps[key.fd] - len(read[key.fd])]
                if len(read[key.fd]) == caps[key.fd]:
                    overflowed = key.fd
            if overflowed is not None:
                break
    if overflowed is not None or late:
        process.kill()
    for pipe in caps:
        os.close(pipe)
    process.wait()
    return read, overflowed, late
