"""What a store no longer needs: a folder is moved aside in one step, and deleted later.

Only folders of a store's own form are touched, and no link is followed (`place.py`).
"""

from __future__ import annotations

import re
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from cavesson.lab import place
from cavesson.lab.locks import FileLock

_ASIDE = re.compile(r"([0-9a-f]{32}|cache)\.[0-9a-f]{8}")
"""The name in `making/` of what only waits to be deleted."""
_DELETERS = 8
"""Threads that delete: many file systems take milliseconds for a folder, and take many folders at once."""


class Rubbish:
    """The rubbish of the store at `root`, in `root/making`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, folder: Path) -> Path:
        """Move a folder aside; returns its new place."""
        aside = self.root / "making" / f"{folder.name}.{secrets.token_hex(4)}"
        aside.parent.mkdir(exist_ok=True)
        return folder.rename(aside)

    def collect(self, needed: set[str]) -> None:
        """Put half-made folders and locks of dead processes there, and scratch that nothing needs."""
        for folder in place.folders_in(self.root / "making", place.FINGERPRINT):
            self._put_unlocked(folder)
        for folder in place.folders_in(self.root / "scratch", place.FINGERPRINT):
            if folder.name not in needed:
                self._put_unlocked(folder)
        for lock in (self.root / "locks").glob("[0-9a-f]" * 32):
            if (left := FileLock(lock, remove=True)).try_acquire():
                left.release()

    def empty(self) -> None:
        """Delete all that was moved aside, also by processes that have ended."""
        with ThreadPoolExecutor(_DELETERS) as pool:
            for folder in place.folders_in(self.root / "making", _ASIDE):
                pool.submit(shutil.rmtree, folder, ignore_errors=True)

    def _put_unlocked(self, folder: Path) -> None:
        """Move a folder aside if no process works in it, and if it is this user's."""
        lock = FileLock(self.root / "locks" / folder.name, remove=True)
        if lock.try_acquire():
            with lock, suppress(PermissionError):
                self.put(folder)
