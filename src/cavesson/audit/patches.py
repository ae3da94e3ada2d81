"""Writing unified diffs, and applying unified diffs that hostile hands wrote.

A patch may change, add and remove regular files of the workspace, and nothing else. Every file is worked out before
the first is written, so a patch is applied wholly or not at all. Hunks must match exactly, but their line numbers may
be off, as usual in patches that models and people write by hand.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cavesson.audit.workspace import inside
from cavesson.errors import ConfigError
from cavesson.lines import text_lines

MAX_BYTES = 1 << 20
"""Size of a patch: fixes are small, and a larger patch is an attack on its readers."""

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_FORBIDDEN = re.compile(
    r"(GIT binary patch|Binary files |rename (from|to) |copy (from|to) |(new|old)( file)? mode (?!100))"
)
_REMEDY = "A patch is a unified diff with paths relative to the workspace, as `diff -u` or `git diff` write it."


@dataclass(slots=True)
class _Hunk:
    start: int  # of the old lines, counted from 1
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Change:
    old: str | None  # None: the file is new
    new: str | None  # None: the file goes
    hunks: list[_Hunk] = field(default_factory=list)


def apply_patch(text: str, folder: Path) -> tuple[str, ...]:
    """Apply a unified diff to the files of a folder.

    Returns:
        The relative paths of the changed files.

    Raises:
        ConfigError: the patch is too large, is no unified diff, leads out of the folder, or does not fit its files;
            nothing was written.
    """
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise ConfigError(f"The patch is {len(text):,} characters long; the limit is {MAX_BYTES:,} bytes.", _REMEDY)
    changes = list(_parse(text))
    if not changes:
        raise ConfigError("The patch changes nothing: it has no hunk.", _REMEDY)
    contents: dict[str, str | None] = {}
    for change in changes:
        _apply(change, folder, contents)
    for name, content in contents.items():
        target = folder / name
        if content is None:
            target.unlink()
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode())
    return tuple(sorted(contents))


def diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """The patch that turns one set of files (relative path → text) into another; a file may be in one set only."""
    parts: list[str] = []
    for name in sorted({*before, *after}):
        old, new = (text_lines(files.get(name, "")) for files in (before, after))
        heads = f"a/{name}" if name in before else "/dev/null", f"b/{name}" if name in after else "/dev/null"
        for line in difflib.unified_diff(old, new, *heads):
            parts.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(parts)


def patched_files(text: str) -> tuple[str, ...]:
    """The relative paths that a patch names.

    Raises:
        ConfigError: the patch is no unified diff.
    """
    return tuple(sorted({name for change in _parse(text) for name in (change.old, change.new) if name is not None}))


def _apply(change: _Change, folder: Path, contents: dict[str, str | None]) -> None:
    name = change.old or change.new
    assert name is not None
    if change.old and change.new and change.old != change.new:
        raise ConfigError(f"The patch renames {change.old!r} to {change.new!r}.", _REMEDY)
    lines: list[str] = []
    if name in contents:
        lines = text_lines(contents[name] or "")
    elif change.old is not None:
        lines = text_lines(_read(folder, name))
    elif _is_there(folder, name):
        raise ConfigError(f"The patch adds {name!r}, which is there already.", _REMEDY)
    shift = 0
    for hunk in change.hunks:
        at = _place(lines, hunk, hunk.start - 1 + shift, name)
        lines[at : at + len(hunk.old)] = _with_ends(hunk.new, lines[at : at + len(hunk.old)])
        shift += len(hunk.new) - len(hunk.old)
    contents[name] = None if change.new is None else "".join(lines)


def _read(folder: Path, name: str) -> str:
    if not _is_there(folder, name):
        raise ConfigError(f"The patch changes {name!r}, which the workspace does not have.", _REMEDY)
    try:
        return (folder / name).read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"The patch changes {name!r}, which is no text.", _REMEDY) from error


def _is_there(folder: Path, name: str) -> bool:
    """Whether the file is there; a link on the way to the file could lead out of the folder.

    Raises:
        ConfigError: there is a link, or a folder where the file should be.
    """
    path = folder
    for part in Path(name).parts:
        path = path / part
        if path.is_symlink():
            raise ConfigError(f"The patch reaches {name!r} through a link.", _REMEDY)
    if path.is_dir() or any(parent.is_file() for parent in path.parents if parent.is_relative_to(folder)):
        raise ConfigError(f"The patch names {name!r}, which is no file here.", _REMEDY)
    return path.is_file()


def _place(lines: list[str], hunk: _Hunk, expected: int, name: str) -> int:
    """The place of the hunk's old lines that is nearest to the line in its head."""
    if not hunk.old:  # nothing to find: lines are added after the line that the head names
        return min(max(expected + 1, 0), len(lines))
    bare, size = [line.rstrip("\r\n") for line in lines], len(hunk.old)
    places = [at for at in range(len(bare) - size + 1) if bare[at] == hunk.old[0] and bare[at : at + size] == hunk.old]
    if not places:
        first = next((line for line in hunk.old if line.strip()), "")
        raise ConfigError(f"The patch does not fit {name!r} near line {hunk.start}: {first.strip()[:80]!r}", _REMEDY)
    return min(places, key=lambda at: abs(at - expected))


def _with_ends(new: list[str], replaced: list[str]) -> list[str]:
    """New lines with the line ends of the lines that they replace; the last line of a file may have none."""
    end = "\r\n" if replaced and replaced[0].endswith("\r\n") else "\n"
    lines = [line + end for line in new]
    if lines and replaced and not replaced[-1].endswith("\n"):
        lines[-1] = new[-1]
    return lines


def _parse(text: str) -> Iterator[_Change]:
    """The changes of a patch; text between them (headers, a model's explanations) is passed over."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        if _FORBIDDEN.match(lines[at]):
            raise ConfigError(f"The patch holds more than changes of text: {lines[at][:80]!r}", _REMEDY)
        if not (lines[at].startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")):
            at += 1
            continue
        change = _Change(_name(lines[at]), _name(lines[at + 1]))
        if change.old is None and change.new is None:
            raise ConfigError("The patch has a change from nothing to nothing.", _REMEDY)
        at += 2
        while at < len(lines) and (match := _HUNK.match(lines[at])):
            hunk = _Hunk(int(match[1]))
            at = _read_hunk(lines, at + 1, hunk, int(match[2] or 1), int(match[4] or 1))
            change.hunks.append(hunk)
        if not change.hunks:
            raise ConfigError(f"The patch names {change.old or change.new!r} but has no hunk for it.", _REMEDY)
        yield change


def _read_hunk(lines: list[str], at: int, hunk: _Hunk, old: int, new: int) -> int:
    """Read a hunk's lines; the numbers in its head say how many.

    Returns:
        The index of the first line after the hunk.
    """
    while at < len(lines) and (len(hunk.old) < old or len(hunk.new) < new or lines[at].startswith("\\")):
        mark, line = lines[at][:1], lines[at][1:].rstrip("\r")
        if mark in (" ", "-", ""):  # editors strip the space of an empty context line
            hunk.old.append(line)
        if mark in (" ", "+", ""):
            hunk.new.append(line)
        if mark not in (" ", "-", "+", "", "\\"):
            break
        at += 1
    if (len(hunk.old), len(hunk.new)) != (old, new):
        raise ConfigError(f"A hunk of the patch has {len(hunk.old)} old and {len(hunk.new)} new lines, "
                          f"but its head says {old} and {new}.", _REMEDY)  # fmt: skip
    return at


def _name(line: str) -> str | None:
    """The path of a `---` or `+++` line, without its a/ or b/ and time stamp.

    Raises:
        ConfigError: the path leads out of the workspace.
    """
    name = line[4:].split("\t")[0].strip().strip('"')
    if name == "/dev/null":
        return None
    parts = name.split("/", 1)
    return inside(parts[1] if parts[0] in ("a", "b") and len(parts) == 2 else name)
