"""The runs on disk: where they lie, what state each is in, and how far a run under way has come."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cavesson.errors import ConfigError, StoreError
from cavesson.lab import disk, manifest, place
from cavesson.lab.locks import FileLock
from cavesson.lab.roots import REPORT_ROOTS, Roots
from cavesson.lab.show import written
from cavesson.lab.show.written import Running
from cavesson.lines import parse_json

RESULT, REPORT = "result.json", "report.html"
DEPTH = 4
"""Folders below a given folder in which runs are looked for."""
LATEST = 8
"""Artifacts that the progress of a run names, the newest."""
_MOST = 1 << 26
"""Bytes of the largest list of fingerprints that is read."""

State = Literal["under way", "finished", "stopped", "unreadable", "report only"]
STATES: tuple[State, ...] = ("under way", "finished", "stopped", "unreadable", "report only")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A folder that holds a run.

    Attributes:
        key: stands for the folder in addresses, so that no address holds a path.
        store: the folder of the store that the run belongs to; None: it was copied out of its store.
        stamp: changes when the result, the report or the list of artifacts changes.
    """

    key: str
    folder: Path
    store: Path | None
    stamp: str
    has_result: bool
    has_report: bool

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.name


@dataclass(frozen=True, slots=True)
class Making:
    """An artifact that a live process is making.

    Attributes:
        told: what the run says of it; None: nothing.
    """

    fingerprint: str
    since: datetime
    told: Running | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        made, total: artifacts that the run needs, and those of them that are there.
        making: what is being made now.
        alive: a live process works on the run.
        left: seconds to the end, as the run itself works it out; None: it does not say.
    """

    made: int
    total: int
    making: tuple[Making, ...] = ()
    alive: bool = False
    left: float | None = None


@dataclass
class StoreWatch:
    """The finished artifacts of one store; only folders that are new are looked at again.

    Attributes:
        there: every finished artifact with the time stamp of its manifest (nanoseconds).
    """

    root: Path
    there: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        """Find new artifacts, and forget those that are gone."""
        found: dict[str, int] = {}
        for shelf in place.folders_in(self.root / "artifacts", place.SHELF):
            for folder in place.folders_in(shelf, place.FINGERPRINT):
                stamp = self.there.get(folder.name) or _stamp_of(folder / manifest.NAME)
                if stamp:
                    found[folder.name] = stamp
        self.there = found

    def path(self, fingerprint: str) -> Path:
        """Folder of an artifact."""
        return self.root / "artifacts" / fingerprint[:2] / fingerprint

    def in_use(self) -> dict[str, str]:
        """Fingerprints that live processes use, each with the name of a process; nothing is written."""
        try:
            return Roots(self.root).in_use(tidy=False)
        except (OSError, StoreError):  # a claim that is being written, or that another user owns
            return {}

    def making(self, fingerprint: str) -> Making | None:
        """The artifact if a live process is making it now."""
        lock = self.root / "locks" / fingerprint
        try:
            if not lock.exists() or not FileLock(lock).is_held():
                return None
            return Making(fingerprint, datetime.fromtimestamp(lock.stat().st_mtime, UTC))
        except OSError:
            return None

    def latest(self, needs: Iterable[str], most: int = LATEST) -> list[tuple[str, datetime]]:
        """Those of some artifacts that were finished last, the newest first."""
        times = sorted(((self.there[name], name) for name in needs if name in self.there), reverse=True)
        return [(name, datetime.fromtimestamp(stamp / 1e9, UTC)) for stamp, name in times[:most]]


def find_runs(roots: Sequence[Path]) -> list[RunFolder]:
    """The runs below some folders, each once, in order of their folders; a store's runs are those in its `reports`."""
    found: dict[Path, RunFolder] = {}
    for root in roots:
        for run in _runs_below(root, DEPTH):
            found.setdefault(run.folder, run)
    return list(found.values())


def opened(folder: Path) -> Path:
    """A folder of the user's, absolute.

    Raises:
        ConfigError: there is no such folder, or it may not be read.
    """
    path = folder.expanduser().absolute()
    try:
        path.stat()
        next(os.scandir(path), None)
    except NotADirectoryError as error:
        raise ConfigError(f"{folder} is no folder.", "Give the folder that the run's report lies in.") from error
    except OSError as error:
        raise ConfigError(
            f"The folder {folder} cannot be read: {error.strerror}.", "Give a store, or a folder with runs in it."
        ) from error
    return path


def needs_of(run: RunFolder) -> tuple[str, ...]:
    """The fingerprints of all artifacts that a run needs; nothing if it does not say."""
    try:
        listed = parse_json(disk.read_plain(run.folder / REPORT_ROOTS, _MOST))
    except (OSError, ValueError):
        return ()
    whole = isinstance(listed, list) and all(
        isinstance(one, str) and place.FINGERPRINT.fullmatch(one) for one in listed
    )
    return tuple(listed) if whole else ()


def progress_of(run: RunFolder, needs: Sequence[str], watch: StoreWatch, in_use: dict[str, str]) -> Progress:
    """How far the making of the artifacts that a run needs has come."""
    missing = [name for name in needs if name not in watch.there]
    busy = [name for name in missing if name in in_use]
    state = written.read(run.folder) if busy else None
    told = state.running if state is not None else {}
    making = [replace(one, told=told.get(name)) for name in busy if (one := watch.making(name)) is not None]
    left = state.left_now() if state is not None else None
    return Progress(len(needs) - len(missing), len(needs), tuple(making), alive=bool(busy), left=left)


def state_of(run: RunFolder, progress: Progress | None, readable: bool) -> State:
    """The state of a run.

    Args:
        progress: None: the run belongs to no store.
        readable: this version of Cavesson reads the run's result.
    """
    if progress is not None and progress.alive:
        return "under way"
    if run.has_result:
        return "finished" if readable else "unreadable"
    return "report only" if run.has_report else "stopped"


def _runs_below(folder: Path, depth: int) -> Iterator[RunFolder]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    names = {entry.name for entry in entries}
    store = folder if place.MARK in names or {"artifacts", "reports"} <= names else None
    if store is not None:
        entries = [entry for entry in _scan(folder / "reports") if entry.is_dir(follow_symlinks=False)]
        yield from (run for entry in entries if (run := _run_in(Path(entry.path), store)) is not None)
        return
    if (run := _run_in(folder, None)) is not None:
        yield run
    for entry in entries if depth else ():
        if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
            yield from _runs_below(Path(entry.path), depth - 1)


def _run_in(folder: Path, store: Path | None) -> RunFolder | None:
    result, report, listed = (_stamp_of(folder / name) for name in (RESULT, REPORT, REPORT_ROOTS))
    if not (result or report or (listed and store is not None)):
        return None
    key = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return RunFolder(key, folder, store, f"{result}-{report}-{listed}", bool(result), bool(report))


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []


def _stamp_of(path: Path) -> int:
    """Time stamp of a plain file; 0: there is none."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    return status.st_mtime_ns if stat.S_ISREG(status.st_mode) else 0
