"""Files that come back out of a sandbox: hostile code decides names and contents, this project decides the places."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path, PurePosixPath

from cavesson.audit.sandbox.protocol import DamagedAnswer
from cavesson.audit.workspace import inside
from cavesson.errors import ConfigError

_NAMES = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ)
"""Errors that the name of a file causes; others, such as a full disk, are this machine's."""


def bring_back(stream: bytes, wanted: list[str], folder: Path) -> None:
    """Put files from a sandbox at the wanted paths of a folder, in place of earlier files.

    Args:
        stream: for each file a line of JSON with path and size, then its bytes (see `warden.py`).
        wanted: plain relative paths of files or folders; `.` is the whole folder.

    Raises:
        DamagedAnswer: the stream is damaged, or holds a file that is not below a wanted path.
    """
    files = _parse(stream)
    if strays := [name for name in files if not any(PurePosixPath(name).is_relative_to(path) for path in wanted)]:
        raise DamagedAnswer(
            f"The sandbox sent the file {strays[0]!r}, for which nobody asked.", "Do not trust this run."
        )
    for path in wanted:
        _remove(folder, path)
    for name, content in files.items():
        target = folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        except OSError as error:
            if error.errno not in _NAMES:
                raise
            raise DamagedAnswer(f"The file {name[:80]!r} of the run cannot be written: {error.strerror}.",
                                "Do not trust this run.") from error  # fmt: skip


def _parse(stream: bytes) -> dict[str, bytes]:
    files, at = {}, 0
    while at < len(stream):
        end = stream.find(b"\n", at)
        try:
            head = json.loads(stream[at:end])
            name, size = inside(head["path"]), int(head["size"])
        except (ValueError, KeyError, TypeError, ConfigError) as error:
            raise DamagedAnswer(
                "The sandbox's answer is damaged.", "Run the command again; do not trust this run."
            ) from error
        at = end + 1 + size
        if end < 0 or size < 0 or at > len(stream):
            raise DamagedAnswer(
                "The sandbox's answer is cut short.", "Run the command again with a larger limit of disk space."
            )
        files[name] = stream[end + 1 : at]
    return files


def _remove(folder: Path, path: str) -> None:
    for target in folder.iterdir() if path == "." else [folder / path]:
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
