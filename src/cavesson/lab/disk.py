"""What the system's refusals to write mean for a store."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cavesson.errors import StoreError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_TEXTS = (*map(os.strerror, _FULL), "database or disk is full")
"""What the system and SQLite call it."""
_SQLITE_FAILS = "disk I/O error"
"""What SQLite says of many things, a full disk among them (where it cannot lay out its shared memory)."""
CROWDED = 1 << 20
"""Free bytes below which a disk counts as full if SQLite fails on it."""


def refusal(error: Exception, root: Path) -> StoreError | None:
    """The error to raise if the disk of the store refused a write.

    Libraries report that in exceptions of their own too, so their texts count as well. A disk is full, or has become
    read-only: with a fault that is what the system makes of it.
    """
    elsewhere = "put the store elsewhere: --store FOLDER or CAVESSON_HOME."
    if _is(error, _FULL, _FULL_TEXTS) or (_is(error, (), (_SQLITE_FAILS,)) and _free(root) < CROWDED):
        return StoreError(
            f"The disk of the store {root} is full.", f"Free some space (cavesson store gc --cache), or {elsewhere}"
        )
    if _is(error, (errno.EROFS,), (os.strerror(errno.EROFS),)):
        return StoreError(f"The store {root} lies on a read-only file system.", f"To write, {elsewhere}")
    return None


def write_whole(path: Path, text: str) -> None:
    """Write a small file whole or not at all, whoever else writes it meanwhile."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    finally:
        with suppress(OSError):  # the first error says more
            aside.unlink(missing_ok=True)


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turns the system's refusals to write the store at `root` into a `StoreError`."""
    try:
        yield
    except OSError as error:
        if (refused := refusal(error, root)) is not None:
            raise refused from error
        raise StoreError(
            f"The store {root} cannot be written: {error.strerror or error}.",
            "Use a folder of your own: --store FOLDER, or the environment variable CAVESSON_HOME.",
        ) from error


def _free(root: Path) -> int:
    try:
        return shutil.disk_usage(root).free
    except OSError:
        return CROWDED


def _is(error: Exception, numbers: tuple[int, ...], texts: tuple[str, ...]) -> bool:
    return getattr(error, "errno", None) in numbers or any(text in str(error) for text in texts)
