"""Writing unified diffs, and applying unified diffs that hostile hands wrote.

A patch may change, add and remove regular files of the workspace, and nothing else. Every file is worked out before
the first is written, and what was written goes again if the system refuses a file: a patch is applied wholly or not at
all. Hunks must match exactly, but their line numbers may be off, as usual in patches that models and people write by
hand. Sizes and numbers are bounded, so that no patch takes more than seconds.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cavesson.audit.workspace import LEFT_OUT, inside
from cavesson.errors import ConfigError, quoted
from cavesson.lines import one_line, text_lines

MAX_BYTES = 1 << 20
"""Size of a patch: fixes are small, and a larger patch is an attack on its readers."""

MAX_HUNKS = 200
MAX_FILE = 2 << 20
"""Hunks of a patch, and bytes of a file that a patch changes."""

_HUNK = re.compile(r"@@ -([0-9]{1,9})(?:,([0-9]{1,9}))? \+([0-9]{1,9})(?:,([0-9]{1,9}))? @@")
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
    _write(folder, _encoded(contents))
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


def _encoded(contents: Mapping[str, str | None]) -> dict[str, bytes | None]:
    """The bytes of the files.

    Raises:
        ConfigError: a file would stand where a folder stands, or its text cannot be stored.
    """
    kept = {name for name, content in contents.items() if content is not None}
    for name in kept:
        if above := kept.intersection(str(parent) for parent in PurePosixPath(name).parents):
            raise ConfigError(f"The patch makes {min(above)!r} a file and a folder.", _REMEDY)
    try:
        return {name: None if content is None else content.encode() for name, content in contents.items()}
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"The patch holds half a character (U+{ord(error.object[error.start]):04X}).", _REMEDY
        ) from error


def _write(folder: Path, contents: Mapping[str, bytes | None]) -> None:
    """Write and remove all files, or leave all as they were."""
    with ExitStack() as undo:
        try:
            for name, content in contents.items():
                target = folder / name
                before = target.read_bytes() if target.is_file() else None
                made = [parent for parent in target.parents if not parent.exists()]
                undo.callback(_restore, target, before, made)
                if content is None:
                    target.unlink()
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content)
        except OSError as error:
            raise ConfigError(f"The patch cannot be written: {error.strerror}.", _REMEDY) from error
        undo.pop_all()


def _restore(target: Path, before: bytes | None, made: Sequence[Path]) -> None:
    with suppress(OSError):
        target.unlink(missing_ok=True) if before is None else target.write_bytes(before)
        for folder in made:
            folder.rmdir()


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
    if (folder / name).stat().st_size > MAX_FILE:
        raise ConfigError(f"The patch changes {name!r}, which is larger than {MAX_FILE:,} bytes.", _REMEDY)
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
    bare = [line.rstrip("\r\n") for line in lines]
    if expected >= 0 and bare[expected : expected + len(hunk.old)] == hunk.old:
        return expected
    places = [at for at in (_before(bare, hunk.old, expected), _from(bare, hunk.old, expected)) if at is not None]
    if not places:
        first = next((line for line in hunk.old if line.strip()), "")
        raise ConfigError(f"The patch does not fit {name!r} near line {hunk.start}: {first.strip()[:80]!r}", _REMEDY)
    return min(places, key=lambda at: abs(at - expected))


def _from(lines: list[str], wanted: list[str], start: int) -> int | None:
    """The first place of some lines, from a line on."""
    text = "".join(f"{line}\n" for line in lines)
    start = sum(len(line) + 1 for line in lines[: max(start, 0)])
    at = f"\n{text}".find("".join(["\n", *(f"{line}\n" for line in wanted)]), start)
    return None if at < 0 else text.count("\n", 0, at)


def _before(lines: list[str], wanted: list[str], end: int) -> int | None:
    """The last place of some lines that begins before a line."""
    turned = _from(lines[::-1], wanted[::-1], len(lines) - end - len(wanted) + 1)
    return None if turned is None else len(lines) - turned - len(wanted)


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
    at = hunks = 0
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
            hunks += 1
        if hunks > MAX_HUNKS:
            raise ConfigError(f"The patch has more than {MAX_HUNKS} hunks.", _REMEDY)
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
    return _file_name(parts[1] if parts[0] in ("a", "b") and len(parts) == 2 else name)


def _file_name(name: str) -> str:
    """The plain form of a path below the workspace.

    Raises:
        ConfigError: the path leads out of the workspace, or no file of a workspace has such a name.
    """
    plain = inside(name)
    parts = PurePosixPath(plain).parts
    odd = "\\" in plain or one_line(plain) != plain or not parts or LEFT_OUT & set(parts)
    if odd or len(plain.encode()) > 1000 or any(len(part.encode()) > 255 for part in parts):
        raise ConfigError(f"The patch names {quoted(name)}, which is no name of a file of the workspace.", _REMEDY)
    return plain
