"""Locks between processes: the kernel's own file locks, which end when the process that holds them ends.

A lock is an `flock` on an open file, so a process that is killed, however it is killed, leaves nothing to clean up:
the next process simply takes the lock. The text in the file says who holds the lock, and serves messages only.

A lock's file is opened as it is: a link, a pipe, or a file that has another name elsewhere is refused, because somebody else
may have put it there so that we empty the file behind it.

The library `filelock` (read at 4.3.1) does not replace this module. Its `flock` locks are always exclusive and leave their files
behind (a store has a lock for each artifact); its shared locks are SQLite databases or logs with a heartbeat, which do not
exclude the `flock` of another Cavesson on the same store; none of its `flock` locks names the holder, or can be tested without
writing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

from cavesson.lines import printable

Waiting = Callable[[str], None]
"""Called again and again with the holder's name while a process waits for the lock; may raise to give up."""

POLL_SECONDS = 0.1
_AS_IT_IS = os.O_NOFOLLOW | os.O_NONBLOCK
"""Opening follows no link, and does not wait at a pipe."""
_NAME_BYTES = 200
"""Room for the holder's name."""


class FileLock:
    """One lock on one file.

    Args:
        path: the file; it is created when the lock is taken.
        remove: delete the file on release, while the lock is still held (for stores with thousands of locks).
    """

    def __init__(self, path: Path, *, remove: bool = False) -> None:
        self.path = path
        self._remove = remove
        self._descriptor: int | None = None

    def try_acquire(self, *, shared: bool = False) -> bool:
        """Take the lock if it is free; many may hold a shared lock, only one an exclusive lock."""
        return self._take((fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def acquire(self, *, shared: bool = False, waiting: Waiting | None = None) -> None:
        """Take the lock; wait for as long as another process holds it."""
        if waiting is None:
            while not self._take(fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
                pass  # the holder that we waited for has deleted the file: there is a new file now
            return
        while not self.try_acquire(shared=shared):
            waiting(self.holder())
            time.sleep(POLL_SECONDS)

    def holder(self) -> str:
        """Who holds the lock, in words."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | _AS_IT_IS)
        except OSError:
            return "another process"
        with os.fdopen(descriptor, "rb") as file:
            return printable(file.read(_NAME_BYTES).decode(errors="replace")) or "another process"

    def is_held(self) -> bool:
        """Whether somebody holds the lock now; writes nothing."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | _AS_IT_IS)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        if self._remove:
            with contextlib.suppress(OSError):  # the disk has become read-only: the file may stay, the lock counts
                self.path.unlink(missing_ok=True)
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # also if a forked child still has the descriptor
        os.close(descriptor)

    def _take(self, operation: int) -> bool:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | _AS_IT_IS, 0o666)
        try:
            _refuse_strange(descriptor, self.path)
            fcntl.flock(descriptor, operation)
            current = _same_file(descriptor, self.path)
        except BlockingIOError:
            current = False
        except BaseException:
            os.close(descriptor)
            raise
        if not current:  # another process holds the lock, or deleted the file between our opening and locking it
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        if operation & fcntl.LOCK_EX:
            with contextlib.suppress(OSError):  # a full disk: the lock holds, only the holder's name is missing
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        return True

    def __enter__(self) -> FileLock:
        if self._descriptor is None:
            self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _same_file(descriptor: int, path: Path) -> bool:
    """Whether the path still leads to the opened file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _refuse_strange(descriptor: int, path: Path) -> None:
    """Refuse to lock, and so to write, what is no plain file with this one name.

    Raises:
        OSError: the opened file is something else.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise OSError(errno.EPERM, "not a lock file of Cavesson", str(path))
