"""The folder of a workspace: which paths lie inside, which files count, and how every file is made to look alike."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from cavesson.errors import ConfigError

MODIFIED = 1_735_732_800
"""The time stamp of every file that an auditor is shown (1 January 2025): real time stamps would tell which file was
edited last."""

LEFT_OUT = {"__pycache__", ".git", ".DS_Store", ".ipynb_checkpoints"}


def inside(path: str) -> str:
    """The path in its plain form (`./out/` is `out`).

    Raises:
        ConfigError: the path is absolute, or leads upwards.
    """
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise ConfigError(
            f"The path {path!r} leads out of the workspace.", "Give a path below the workspace, without '..'."
        )
    return str(pure)


def files_of(folder: Path) -> dict[str, Path]:
    """The regular files of a folder by relative path (with `/`); caches and version control are left out.

    Raises:
        ConfigError: the folder holds a link or another special file.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if LEFT_OUT & set(relative.parts):
            continue
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise ConfigError(f"{path} is a link or a special file; a workspace holds regular files only.",
                              "Put the file itself in its place.")  # fmt: skip
        if path.is_file():
            files[relative.as_posix()] = path
    return files


def read_text(path: Path) -> str:
    r"""A file's text, in which `\n` and nothing else ends a line, as in a patch and an editor; `\r\n` is read as `\n`.

    Auditors, people, answer keys and reports count lines of this text, so that all mean the same line. Bytes that are no text
    become replacement characters.
    """
    return path.read_bytes().decode("utf-8-sig", "replace").replace("\r\n", "\n")


def check_lines(path: Path) -> None:
    r"""Refuse Python code whose lines Python counts otherwise than editors and patches do: a lone `\r` ends a line there.

    Raises:
        ConfigError: the code holds a carriage return that is no part of a line end.
    """
    if path.suffix == ".py" and "\r" in (text := read_text(path)):
        line = text[: text.index("\r")].count("\n") + 1
        raise ConfigError(
            f"{path} has a carriage return inside line {line}, which ends a line for Python and not for editors and patches.",
            "Write line ends as \\n or \\r\\n.",
        )


def make_alike(folder: Path) -> None:
    """Give every file and folder the same time stamp and the usual permissions."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (MODIFIED, MODIFIED), follow_symlinks=False)
