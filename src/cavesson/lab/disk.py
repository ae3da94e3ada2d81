"""Files: their hashes, whole and private writes, and errors for a disk that is full or read-only."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

from cavesson.errors import StoreError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_TEXTS = (*map(os.strerror, _FULL), "database or disk is full")
"""Texts of the system and of SQLite for a full disk."""
_SQLITE_FAILS = "disk I/O error"
"""SQLite's text for many troubles; a full disk is one of them (SQLite then has no room for its shared memory)."""
NEARLY_FULL = 1 << 20
"""Free bytes below which a disk counts as full when SQLite fails on the disk."""


def refusal(error: Exception, root: Path) -> StoreError | None:
    """The error to raise if the disk of the store refused a write; None if `error` has another cause.

    Libraries wrap the system's error in exceptions of their own, so the text of an exception counts as well as its number.
    A disk refuses a write because the disk is full or read-only; the system makes a faulty disk read-only.
    """
    elsewhere = "put the store elsewhere: --store FOLDER or CAVESSON_HOME."
    if _matches(error, _FULL, _FULL_TEXTS) or (
        _matches(error, (), (_SQLITE_FAILS,)) and _free_bytes(root) < NEARLY_FULL
    ):
        return StoreError(
            f"The disk of the store {root} is full.", f"Free some space (cavesson store gc --cache), or {elsewhere}"
        )
    if _matches(error, (errno.EROFS,), (os.strerror(errno.EROFS),)):
        return StoreError(f"The store {root} lies on a read-only file system.", f"To write, {elsewhere}")
    return None


def read_plain(path: Path, most: int) -> bytes:
    """The content of a plain file of at most `most` bytes; no link is followed, and no pipe or device is waited for.

    Raises:
        OSError: the file cannot be read, is no plain file, or is larger.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "no plain file", str(path))
        if status.st_size > most:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        return file.read()


def sha256(path: Path) -> str:
    """Hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(path: Path) -> str:
    """The same; a file whose size and time stamp have not changed is read once."""
    facts = path.stat()
    return _digest_of(path.resolve(), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest_of(path: Path, size: int, changed: int) -> str:
    return sha256(path)


def private_folder(path: Path) -> Path:
    """A folder that nobody else can write; it is made, for this user alone, if it is missing.

    Raises:
        OSError: the path is a link or no folder, or another user owns or may write the folder; or the folder cannot be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not stat.S_ISDIR((status := path.lstat()).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(path))
    _refuse_shared(status, path)
    return path


@contextmanager
def private_file(path: Path, flags: int) -> Iterator[IO[bytes]]:
    """A file that nobody else can write, opened with the given flags; no link is followed.

    Raises:
        OSError: another user owns or may write the file, the file is a link, or it cannot be opened.
    """
    mode = "rb" if flags & os.O_ACCMODE == os.O_RDONLY else "ab"
    with os.fdopen(os.open(path, flags | os.O_NOFOLLOW, 0o600), mode) as file:
        _refuse_shared(os.fstat(file.fileno()), path)
        yield file


def _refuse_shared(status: os.stat_result, path: Path) -> None:
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EPERM, "another user may write it", str(path))


def write_whole(path: Path, text: str) -> None:
    """Write a small file whole or not at all, even while other processes write the same file."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    finally:
        with suppress(OSError):  # the first error says more
            aside.unlink(missing_ok=True)


def nearest(folder: Path) -> Path:
    """The folder itself, or the nearest path above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, or made; nothing is written.

    Raises:
        OSError: it, or the nearest folder above it that exists, is no folder or refuses this user.
    """
    place = nearest(folder)
    if not place.is_dir():
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
    if not os.access(place, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(place))


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turn the system's refusal to write the store at `root` into a `StoreError`."""
    try:
        yield
    except OSError as error:
        if (refused := refusal(error, root)) is not None:
            raise refused from error
        raise StoreError(
            f"The store {root} cannot be written: {error.strerror or error}.",
            "Use a folder of your own: --store FOLDER, or the environment variable CAVESSON_HOME.",
        ) from error


def _free_bytes(root: Path) -> int:
    try:
        return shutil.disk_usage(root).free
    except OSError:
        return NEARLY_FULL


def _matches(error: Exception, numbers: tuple[int, ...], texts: tuple[str, ...]) -> bool:
    return getattr(error, "errno", None) in numbers or any(text in str(error) for text in texts)
