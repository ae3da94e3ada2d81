"""What the system's refusals to write mean for a store."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bridle.errors import StoreError

_FULL = (errno.ENOSPC, errno.EDQUOT)

_FULL_TEXTS = (*map(os.strerror, _FULL), "database or disk is full")
"""What the system and SQLite call it."""


def full_disk(error: Exception, root: Path) -> StoreError | None:
    """The error to raise if the cause is a full disk, which libraries report in exceptions of their own too."""
    if getattr(error, "errno", None) in _FULL or any(text in str(error) for text in _FULL_TEXTS):
        return StoreError(
            f"The disk of the store {root} is full.",
            "Free some space (bridle store gc), or put the store elsewhere: --store FOLDER or BRIDLE_HOME.",
        )
    return None


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turns the system's refusals to write the store at `root` into a `StoreError`."""
    try:
        yield
    except OSError as error:
        if (full := full_disk(error, root)) is not None:
            raise full from error
        raise StoreError(
            f"The store {root} cannot be written: {error.strerror or error}.",
            "Use a folder of your own: --store FOLDER, or the environment variable BRIDLE_HOME.",
        ) from error
