"""What the garbage collector must keep: pinned artifacts, artifacts of reports, and artifacts in use by live processes."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cavesson.errors import StoreError
from cavesson.lab import disk, place
from cavesson.lab.locks import FileLock
from cavesson.lab.recipe import Recipe, lineage
from cavesson.lines import parse_json

REPORT_ROOTS = "roots.json"
_MOST = 1 << 26
"""Bytes of the largest list of fingerprints that is read."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report in the store: the fingerprints that the report needs, and when they were written down (ISO 8601, UTC)."""

    name: str
    needs: tuple[str, ...]
    created: str


class Roots:
    """The roots of the store at `root`: `pins/<fingerprint>`, `reports/<name>/roots.json` and `uses/`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def sweeping(self) -> FileLock:
        """The lock of the garbage collector: exclusive for removing artifacts, shared for claiming artifacts."""
        return FileLock(self.root / "locks" / "sweep")

    def pins(self) -> list[str]:
        """The pinned fingerprints."""
        return sorted(path.name for path in _listing(self.root / "pins") if place.FINGERPRINT.fullmatch(path.name))

    def pin(self, fingerprint: str) -> None:
        """Keep an artifact, with all its inputs, until the artifact is unpinned."""
        place.mark(self.root)
        pin = self.root / "pins" / fingerprint
        pin.parent.mkdir(exist_ok=True)
        pin.touch()

    def unpin(self, fingerprint: str) -> None:
        """Forget a pin."""
        (self.root / "pins" / fingerprint).unlink(missing_ok=True)

    def keep(self, report: str, recipes: Iterable[Recipe]) -> Path:
        """Write down what a report needs (inputs included) in the report's folder; returns the folder, made if missing."""
        folder = self.root / "reports" / report
        needed = [recipe.fingerprint for recipe in lineage(*recipes) if not recipe.virtual]
        if _stored_roots(folder / REPORT_ROOTS) != needed:  # no write if nothing changed: the disk may be read-only
            place.mark(self.root)
            folder.mkdir(parents=True, exist_ok=True)
            _write_json(folder / REPORT_ROOTS, needed)
        return folder

    def reports(self) -> list[Report]:
        """All reports, by name, with the fingerprints that each of them needs.

        Raises:
            StoreError: a report's list cannot be read, so no artifact can be called unneeded.
        """
        lists = [folder / REPORT_ROOTS for folder in _listing(self.root / "reports")]
        return [
            Report(roots.parent.name, tuple(_read_fingerprints(roots)), _changed(roots))
            for roots in lists
            if roots.exists()
        ]

    def drop(self, report: str) -> None:
        """Delete a report's folder."""
        shutil.rmtree(self.root / "reports" / report)

    def in_use(self, *, tidy: bool = True) -> dict[str, str]:
        """Fingerprints that live processes use, each with the name of a process that uses it.

        Args:
            tidy: delete the claims of dead processes; the caller must hold `sweeping()`. Otherwise nothing is written.
        """
        found: dict[str, str] = {}
        for claim in _listing(self.root / "uses"):
            if not place.CLAIM.fullmatch(claim.name):
                continue
            if tidy and claim.name.startswith("."):  # half-written by a killed process: `sweeping()` blocks others
                claim.unlink(missing_ok=True)
            if claim.suffix != ".json":
                continue
            lock = FileLock(claim.with_suffix(".lock"), remove=True)
            if not tidy and not lock.is_held():
                continue
            if tidy and lock.try_acquire():
                claim.unlink(missing_ok=True)
                lock.release()
            else:
                found.update(dict.fromkeys(_read_fingerprints(claim), lock.holder()))
        return found


class Use:
    """A process's claim on artifacts: they are not collected while the claim is open and the process lives."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._place = roots.root / "uses" / f"{os.getpid()}-{secrets.token_hex(4)}.json"
        self._lock = FileLock(self._place.with_suffix(".lock"), remove=True)
        self._claimed: set[str] = set()
        self._open = False

    def add(self, fingerprints: Iterable[str]) -> None:
        """Claim further artifacts; waits while the garbage collector runs. Does nothing if the store cannot be written."""
        wanted = set(fingerprints) - self._claimed
        if not wanted:
            return
        sweeping = self._roots.sweeping()
        try:
            place.mark(self._roots.root)
            self._place.parent.mkdir(exist_ok=True)
            sweeping.acquire(shared=True)
            if not self._open:
                self._lock.acquire()
                self._open = True
            _write_json(self._place, sorted(self._claimed | wanted))
            self._claimed |= wanted
        except OSError:  # read-only or full: the first real write to the store raises the error
            return
        finally:
            sweeping.release()

    def close(self) -> None:
        """Give up all claims."""
        if self._open:
            self._open = False
            self._place.unlink(missing_ok=True)
            self._lock.release()
        self._claimed.clear()


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _changed(path: Path) -> str:
    """When a file was last written."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")


def _stored_roots(path: Path) -> list[str] | None:
    """The list of fingerprints in a file; None if the file is missing or damaged."""
    try:
        return _read_fingerprints(path) if path.exists() else None
    except StoreError:
        return None


def _read_fingerprints(path: Path) -> list[str]:
    try:
        content: Any = parse_json(disk.read_plain(path, _MOST))
    except FileNotFoundError:  # its process gave the claim up this moment
        return []
    except (ValueError, OSError):
        content = None
    if not isinstance(content, list) or not all(
        isinstance(one, str) and place.FINGERPRINT.fullmatch(one) for one in content
    ):
        raise StoreError(f"{path} is not a list of fingerprints.", "Delete that folder if the report is not needed.")
    return content


def _write_json(path: Path, content: Any) -> None:
    disk.write_whole(path, json.dumps(content, indent=1) + "\n")
