"""The processors of this machine: how many workers to use, and which core a worker runs on."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path

from cavesson.errors import ConfigError
from cavesson.lab import disk
from cavesson.lab.locks import FileLock

THREADS = 1
"""Threads of a stage, for any number of workers: a sum that is split over threads differs in its last bits."""


def collect_seldom() -> None:
    """Look for garbage after 50,000 new objects, not after 700: loading torch and transformers then takes a tenth less time."""
    gc.set_threshold(50_000, 20, 50)


def workers(wanted: int | str) -> int:
    """The number of workers to use; "auto" means one for each core that this process may use, or for each GPU.

    Raises:
        ConfigError: `wanted` is neither a number from 1 nor "auto".
    """
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


def free_core() -> tuple[int, FileLock | None]:
    """A core that no other worker of this user holds, and the lock on that core; (-1, None): the system chooses the core."""
    if not hasattr(os, "sched_getaffinity"):
        return -1, None
    try:  # a folder of this machine, and not of the user's home, which several machines may share
        folder = disk.private_folder(Path(tempfile.gettempdir()) / f"cavesson-cores-{os.getuid()}")
    except OSError:  # another user made the folder first, or there is no room: workers are not pinned
        return -1, None
    for core in sorted(os.sched_getaffinity(0)):
        lock = FileLock(folder / str(core), remove=True)
        try:
            if lock.try_acquire():
                return core, lock
        except OSError:  # locks cannot be written, so workers are not pinned
            return -1, None
    return -1, None
