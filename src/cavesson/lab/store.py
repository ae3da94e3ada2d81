"""The store: one folder per artifact, named by the recipe's fingerprint.

    root/artifacts/ab/ab12…/      finished artifacts, each with its manifest
    root/making/ab12…/            artifacts under way; a complete folder is moved into place in one step
    root/scratch/ab12…/           state to resume from; survives a kill, is removed when the artifact is complete
    root/cache/                   files that jobs share to save time; no result depends on them
    root/locks/ab12…              held by the process that makes the artifact
    root/pins/, reports/, uses/   what must be kept (`roots.py`)
    root/index.sqlite             a cache for listings (`index.py`)
    root/times.jsonl              what each stage took, for estimates (`times.py`)
    root/cavesson-store.txt       marks the folder as a store (`place.py`)

An artifact counts as there only if its manifest verifies; an existing folder is not enough. Any number of processes may
share a store; machines without a common file system share one through a mirror (`mirror.py`).
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cavesson.errors import ConfigError, StoreError
from cavesson.lab import disk, mirror, place, times
from cavesson.lab import manifest as manifests
from cavesson.lab.artifacts import NEWER, Artifacts
from cavesson.lab.index import Entry
from cavesson.lab.locks import FileLock, Waiting
from cavesson.lab.manifest import Damage, Damaged, Manifest
from cavesson.lab.recipe import Recipe
from cavesson.lab.roots import Report, Roots, Use
from cavesson.lab.rubbish import Rubbish
from cavesson.lab.times import Times

Ref = Recipe | str
"""A recipe, or a whole fingerprint."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What the garbage collector removed (or would remove).

    Attributes:
        removed: the artifacts.
        freed: bytes of the removed artifacts, and of the cache if the cache was removed.
        kept: number of artifacts that stay.
        newer: number of artifacts that stay only because a newer Cavesson made them: this version cannot read their inputs.
        cached: bytes of the cache that stay.
    """

    removed: tuple[Entry, ...]
    freed: int
    kept: int
    newer: int = 0
    cached: int = 0


class Store:
    """Artifacts in a folder.

    Args:
        root: the folder; None: `CAVESSON_HOME`, else `cavesson` in the user's data directory. The first write makes the folder.

    Raises:
        ConfigError: the folder holds something else than a store.
        StoreError: the folder cannot be read, or has the layout of a newer Cavesson.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = place.opened(root)
        self.cache = self.root / "cache"
        self._artifacts = Artifacts(self.root)
        self._roots = Roots(self.root)
        self._rubbish = Rubbish(self.root)
        self._mirror = mirror.from_environment()

    def check_writable(self) -> None:
        """Refuse a folder that cannot be written, before anything is.

        Raises:
            StoreError: it cannot.
        """
        with disk.writing(self.root):
            disk.check_writable(self.root)

    # --- reading

    def has(self, ref: Ref) -> bool:
        """Whether the artifact is there and whole, or in the mirror. A damaged artifact counts as missing, so it is made again.

        All sizes are compared. Small files are hashed, and large files whose time stamp has changed; one `Store` object
        hashes an unchanged file once.
        """
        name = _name(ref)
        return self._artifacts.sound(name) is not None or (self._mirror is not None and self._mirror.has(name))

    def here(self, ref: Ref) -> bool:
        """`has`, and an artifact that only the mirror has is copied from there."""
        name = _name(ref)
        return self._artifacts.sound(name) is not None or (
            self._mirror is not None and self._mirror.has(name) and self._pull(name, self._mirror)
        )

    def path(self, ref: Ref) -> Path:
        """Folder of a finished artifact.

        Raises:
            StoreError: the artifact is missing or damaged.
        """
        if isinstance(ref, Recipe) and ref.virtual:
            raise StoreError(f"{ref.describe()} makes no artifact of its own.", "Ask for one of its inputs.")
        if not self.here(ref):
            state = "damaged" if self._artifacts.folder(_name(ref)).exists() else "not there"
            what = f"{ref.describe()} ({ref.fingerprint[:12]})" if isinstance(ref, Recipe) else ref
            raise StoreError(
                f"The artifact {what} is {state} in the store {self.root}.",
                "Make it again with the command that made it.",
            )
        return self._artifacts.folder(_name(ref))

    def manifest(self, ref: Ref) -> Manifest:
        """The manifest of an artifact.

        Raises:
            StoreError: the manifest is missing or damaged.
        """
        folder = self._artifacts.folder(_name(ref))
        try:
            return manifests.read(folder)
        except FileNotFoundError:
            if self._mirror is not None and (found := self._mirror.manifest(_name(ref))) is not None:
                return found
            raise StoreError(
                f"There is no artifact {_name(ref)} in {self.root}.", "List them: cavesson store ls"
            ) from None
        except Damaged as damaged:
            raise StoreError(
                f"{folder / manifests.NAME} {damaged}.", f"Remove the artifact: cavesson store rm {_name(ref)[:12]}"
            ) from damaged
        except OSError as error:
            raise self._artifacts.unreadable(error) from error

    def ls(self) -> list[Entry]:
        """All artifacts, the oldest first, those with a damaged manifest and those of a newer Cavesson included."""
        return self._artifacts.entries()

    def find(self, prefix: str) -> str:
        """The one fingerprint that begins with `prefix`.

        Raises:
            ConfigError: no fingerprint begins so, or several do.
        """
        mirrored = self._mirror.names() if self._mirror is not None else []
        found = [name for name in {*self._artifacts.names(), *mirrored} if prefix and name.startswith(prefix)]
        if len(found) != 1:
            problem = "No artifact has" if not found else f"{len(found)} artifacts have"
            raise ConfigError(
                f"{problem} a fingerprint that begins with {prefix!r} in {self.root}.",
                "Give more digits; `cavesson store ls` lists them." if found else "List them: cavesson store ls",
            )
        return found[0]

    def times(self) -> Times:
        """What stages took on this machine, those of removed artifacts included."""
        return times.read(self.root)

    def learn_times(self, other: Store) -> None:
        """Take over what stages took in another store on this machine."""
        known = set(self.times().past)
        with disk.writing(self.root):
            place.mark(self.root)
        times.add(self.root, [one for one in other.times().past if one not in known])

    def verify(self, ref: Ref | None = None, *, deep: bool = True) -> list[Damage]:
        """What is damaged in one artifact, or in all artifacts.

        Damaged files get a new time stamp, so that `has` sees the damage too and the artifact is made again when needed.

        Args:
            deep: read every byte; otherwise hash the files that `has` would hash.
        """
        names = [_name(ref)] if ref is not None else self._artifacts.names()
        found = {name: list(self._artifacts.damages(name, deep)) for name in names}
        # An artifact that another process removed meanwhile is not damaged.
        damages = [
            item for name in names if ref is not None or self._artifacts.folder(name).exists() for item in found[name]
        ]
        for damage in damages:
            with suppress(OSError):  # the file is missing, or the file system is read-only
                os.utime(self._artifacts.folder(damage.fingerprint) / damage.file, follow_symlinks=False)
        return damages

    # --- making

    def is_being_made(self, name: str) -> bool:
        """Whether a process makes the artifact of this fingerprint now."""
        return FileLock(self.root / "locks" / name).is_held()

    @contextmanager
    def making(self, recipe: Recipe, waiting: Waiting | None = None) -> Iterator[Path | None]:
        """Gives an empty folder to make the artifact in, or None if the artifact is there by now.

        One process makes an artifact at a time: other processes wait here (`waiting` is called with the maker's name) and then
        find the artifact. When the block ends well, the manifest is written last and the folder moved into place in one step.
        When the block raises, the folder is removed and scratch is kept.

        Raises:
            StoreError: the store cannot be written, or its disk is full or has become read-only.
        """
        if recipe.virtual:
            raise TypeError(f"{recipe.kind} is virtual: it makes no artifact")
        if self.has(recipe):
            yield None
            return
        name = recipe.fingerprint
        lock = FileLock(self.root / "locks" / name, remove=True)
        with disk.writing(self.root):
            place.mark(self.root)
            lock.acquire(waiting=waiting)
        try:
            if self.has(recipe):
                yield None
                return
            folder = self.root / "making" / name
            with disk.writing(self.root):
                place.mark(self.root)
                shutil.rmtree(folder, ignore_errors=True)  # the half-made folder of a killed process
                folder.mkdir(parents=True)
            started = time.monotonic()
            try:
                yield folder
                with disk.writing(self.root):
                    self._finish(recipe, folder, time.monotonic() - started)
            except Exception as error:
                if (refused := disk.refusal(error, self.root)) is not None:
                    raise refused from error
                raise
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            lock.release()

    def share(self, refs: Iterable[Ref]) -> None:
        """Copy those of the artifacts that are here to the mirror, if there is a mirror and it lacks them."""
        for name in map(_name, refs) if self._mirror is not None else ():
            assert self._mirror is not None
            if (manifest := self._artifacts.sound(name)) is not None and not self._mirror.has(name):
                self._mirror.push(self._artifacts.folder(name), manifest)

    def scratch(self, ref: Ref) -> Path:
        """Folder for state to resume from; it survives kills and is removed when the artifact is complete."""
        folder = self.root / "scratch" / _name(ref)
        with disk.writing(self.root):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    # --- keeping and removing

    def pins(self) -> list[str]:
        """The pinned fingerprints."""
        return self._roots.pins()

    def pin(self, ref: Ref) -> None:
        """Keep an artifact, with all its inputs, until the artifact is unpinned."""
        with disk.writing(self.root):
            self._roots.pin(_name(ref))

    def unpin(self, ref: Ref) -> None:
        """Forget a pin."""
        with disk.writing(self.root):
            self._roots.unpin(_name(ref))

    def report(self, name: str) -> Path:
        """The folder of a report of that name; the folder need not exist."""
        return self.root / "reports" / name

    def keep(self, report: str, recipes: Iterable[Recipe]) -> Path:
        """The folder `reports/<report>`; writes down there that the report needs the recipes and all their inputs."""
        with disk.writing(self.root):
            return self._roots.keep(report, recipes)

    def reports(self) -> list[Report]:
        """All reports, by name, with the fingerprints that each of them needs."""
        return self._roots.reports()

    def drop(self, report: str) -> None:
        """Delete a report; the next `gc` removes the artifacts that only this report needed.

        Raises:
            ConfigError: there is no such report.
            StoreError: a live process uses an artifact that the report needs, so it may be about to write the report.
        """
        known = {found.name: found for found in self.reports()}
        if report not in known:
            raise ConfigError(f"There is no report {report!r} in {self.root}.", "List them: cavesson store reports")
        with disk.writing(self.root), self._roots.sweeping():
            in_use = self._roots.in_use()
            holder = next((in_use[name] for name in known[report].needs if name in in_use), None)
            if holder is not None:
                raise StoreError(
                    f"The report {report!r} rests on artifacts in use by {holder}.", "Wait until that process ends."
                )
            self._roots.drop(report)

    def use(self) -> Use:
        """A new claim of this process; artifacts that are added to the claim are kept while the process lives."""
        return Use(self._roots)

    def rm(self, ref: Ref) -> None:
        """Remove an artifact and its scratch. The artifact can be made again.

        Raises:
            StoreError: the artifact is pinned, or a live process uses it.
        """
        name = _name(ref)
        with disk.writing(self.root), self._roots.sweeping():
            if name in self.pins():
                raise StoreError(
                    f"The artifact {name[:12]} is pinned.", f"Unpin it first: cavesson store unpin {name[:12]}"
                )
            holder = self._roots.in_use().get(name)
            if holder is not None or not self._remove(name):
                raise StoreError(
                    f"The artifact {name[:12]} is in use by {holder or 'its maker'}.", "Wait until that process ends."
                )
            self._artifacts.forget([name])
            if (scratch := self.root / "scratch" / name).exists():
                self._rubbish.put(scratch)
            self._rubbish.empty()

    def gc(self, *, cache: bool = False, dry_run: bool = False) -> Collected:
        """Remove the artifacts that no report, pin or live process needs, directly or as an input.

        The half-made folders of killed processes are removed too. Artifacts of a newer Cavesson stay.

        Args:
            cache: remove the cache too; running stages go on without the cache.
            dry_run: only say what would be removed. Nothing is written, not even a lock, so changes that other processes
                make meanwhile are not seen.

        Raises:
            StoreError: a report's list cannot be read, or a needed artifact was made by a newer Cavesson. Nothing is removed.
        """
        if dry_run:
            needed, entries = self._needed(self._roots.in_use(tidy=False)), self._artifacts.entries(remember=False)
            return _collected(entries, _unneeded(entries, needed), needed, self.cached(), cache)
        with disk.writing(self.root), self._roots.sweeping():
            needed, entries = self._needed(self._roots.in_use()), self.ls()
            removed = [entry for entry in _unneeded(entries, needed) if self._collect(entry.fingerprint)]
            self._artifacts.forget([entry.fingerprint for entry in removed])
            cached = self.cached()
            if cache and self.cache.exists():
                self._rubbish.put(self.cache)
            self._rubbish.collect({name for name in needed if not self._artifacts.folder(name).exists()})
            self._rubbish.empty()
            return _collected(entries, removed, needed, cached, cache)

    def cached(self) -> int:
        """Size of the cache in bytes."""
        return sum(_size(path) for path in self.cache.rglob("*"))

    # --- inside

    def _finish(self, recipe: Recipe, folder: Path, seconds: float) -> None:
        """Seal a complete folder and move it into place."""
        created = datetime.now(UTC).isoformat(timespec="milliseconds")
        manifest = manifests.describe(recipe, folder, wall_seconds=seconds, created=created)
        with (folder / manifests.NAME).open("w") as file:
            file.write(manifest.dumps())
            file.flush()
            os.fsync(file.fileno())
        for inner, _, _ in os.walk(folder):
            manifests.flush_folder(Path(inner))
        if self._mirror is not None:
            self._mirror.push(folder, manifest)
        self._move_home(folder, recipe.fingerprint)
        shutil.rmtree(self.root / "scratch" / recipe.fingerprint, ignore_errors=True)
        times.note(self.root, recipe.task, recipe.effort(), seconds, manifest.size)

    def _move_home(self, folder: Path, name: str) -> None:
        """Move a sealed folder into place, and what lies there aside."""
        home = self._artifacts.folder(name)
        home.parent.mkdir(parents=True, exist_ok=True)
        damaged = self._rubbish.put(home) if home.exists() else None  # a whole artifact is never made again
        folder.rename(home)
        manifests.flush_folder(home.parent)
        if damaged is not None:
            shutil.rmtree(damaged, ignore_errors=True)

    def _pull(self, name: str, source: mirror.Mirror) -> bool:
        """Copy an artifact from the mirror; False if the mirror's copy is not whole. One process copies it at a time."""
        folder = self.root / "making" / name
        with disk.writing(self.root):
            place.mark(self.root)
            with FileLock(self.root / "locks" / name, remove=True):
                if self._artifacts.sound(name) is not None:
                    return True
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                try:
                    if whole := source.pull(name, folder):
                        self._move_home(folder, name)
                    return whole
                finally:
                    shutil.rmtree(folder, ignore_errors=True)

    def _remove(self, name: str) -> bool:
        """Move an artifact aside; False if a process is making the artifact. Nobody begins to, for the caller holds `sweeping()`."""
        if self.is_being_made(name):
            return False
        if self._artifacts.folder(name).exists():
            self._rubbish.put(self._artifacts.folder(name))
        return True

    def _collect(self, name: str) -> bool:
        """Move an artifact aside if nobody is making it, and if it is this user's."""
        try:
            return self._remove(name)
        except PermissionError:
            return False

    def _needed(self, in_use: Iterable[str]) -> set[str]:
        """The fingerprints that pins, reports and live processes need, with all inputs of the artifacts in the store."""
        kept = {*self.pins(), *in_use, *(name for report in self.reports() for name in report.needs)}
        return self._artifacts.with_inputs(kept)


def _unneeded(entries: list[Entry], needed: set[str]) -> list[Entry]:
    return [entry for entry in entries if entry.fingerprint not in needed and entry.kind != NEWER]


def _collected(entries: list[Entry], removed: list[Entry], needed: set[str], cached: int, emptied: bool) -> Collected:
    newer = sum(entry.kind == NEWER and entry.fingerprint not in needed for entry in entries)
    freed = sum(entry.size for entry in removed) + (cached if emptied else 0)
    return Collected(tuple(removed), freed, len(entries) - len(removed), newer, 0 if emptied else cached)


def _size(path: Path) -> int:
    """Bytes of a file; 0 for anything else, and for a file that has just been deleted."""
    try:
        status = path.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _name(ref: Ref) -> str:
    """The fingerprint.

    Raises:
        ConfigError: the text is no whole fingerprint.
    """
    name = ref.fingerprint if isinstance(ref, Recipe) else ref
    if not place.FINGERPRINT.fullmatch(name):
        raise ConfigError(f"{name!r} is no fingerprint.", "A fingerprint has 32 digits, 0 to f.")
    return name
