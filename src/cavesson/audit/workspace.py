"""The folder of a workspace: which paths lie inside, which files count, and how every file is made to look alike."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from cavesson.errors import ConfigError

PAPER = "PAPER.md"

MODIFIED = 1_735_732_800
"""The time stamp of every file that an auditor is shown (1 January 2025): real time stamps would tell which file was
edited last."""

TEXTS = (".py", ".md", ".txt", ".rst", ".csv", ".json", ".jsonl", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".sh")
"""Endings of files that are text."""

_CODING = re.compile(r"^([ \t]*#.*?coding[:=][ \t]*)[-\w.]+")

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


def published_files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The files of a published folder by relative path, and the links and special files that are left out.

    A link to a file of the same folder stands for this file. Every other link could lead to an answer key.
    """
    files: dict[str, Path] = {}
    odd: list[str] = []
    ground = folder.resolve()
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if LEFT_OUT & set(relative.parts) or (path.is_dir() and not path.is_symlink()):
            continue
        target = path.resolve()
        stays = target.is_relative_to(ground) and not LEFT_OUT & set(target.relative_to(ground).parts)
        if stays and target.is_file():
            files[relative.as_posix()] = target
        else:
            odd.append(relative.as_posix())
    return files, odd


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


def in_utf8(path: Path) -> bytes | None:
    """The bytes in UTF-8 of a text in Latin-1; None for a text in UTF-8 and for every file that is no text.

    Auditors, patches and people then read one encoding. A line that declares the old encoding declares the new one.
    """
    if path.suffix not in TEXTS:
        return None
    raw = path.read_bytes()
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        head, *rest = raw.decode("latin-1").split("\n", 2)
        lines = [_CODING.sub(r"\1utf-8", line) for line in (head, *rest[:1])]
        return "\n".join([*lines, *rest[1:]]).encode()
    return None


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
