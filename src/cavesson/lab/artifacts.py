"""The folders of finished artifacts in a store: which there are, whether each is whole, and what each was made from.

Nothing here takes a lock or knows of a mirror; `store.py` makes, copies and removes these folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from cavesson.errors import StoreError
from cavesson.lab import manifest as manifests
from cavesson.lab import place
from cavesson.lab.index import Entry, Index, Stamp
from cavesson.lab.manifest import Damage, Damaged, Manifest

DAMAGED, NEWER = _UNREAD = ("(damaged)", "(unknown)")
"""Kinds under which artifacts with a damaged manifest are listed, and those with a manifest of a newer Cavesson."""


class Artifacts:
    """The artifacts in a store's folder. Its methods raise `StoreError` if the folder cannot be read.

    Args:
        root: the store's folder; it need not exist.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._index = Index(root / "index.sqlite")
        self._sound: dict[str, tuple[object, ...]] = {}

    def folder(self, name: str) -> Path:
        """Where the artifact lies, if it is there."""
        return self._root / "artifacts" / name[:2] / name

    def names(self) -> list[str]:
        """Every artifact's fingerprint, whatever state the artifact is in."""
        return [name for name, _ in self._stamps()]

    def entries(self, *, remember: bool = True) -> list[Entry]:
        """All artifacts, the oldest first, those with a damaged manifest and those of a newer Cavesson included.

        Args:
            remember: note in the index what was read.
        """
        stamps = dict(self._stamps())
        known = self._index.entries(stamps)
        fresh = {name: self._entry(name) for name in stamps if name not in known}
        if fresh and remember:  # a manifest that this Cavesson cannot read stays out: another version may read it
            self._index.update((entry, stamps[name]) for name, entry in fresh.items() if entry.kind not in _UNREAD)
        return sorted([*known.values(), *fresh.values()], key=lambda entry: (entry.created, entry.fingerprint))

    def forget(self, names: Iterable[str]) -> None:
        """Take removed artifacts out of the index."""
        self._index.update((), gone=names)

    def sound(self, name: str) -> Manifest | None:
        """The manifest if the artifact is whole, else None.

        All sizes are compared. Small files are hashed, and large files whose time stamp has changed; an unchanged file is hashed
        once.
        """
        folder = self.folder(name)
        try:
            manifest = manifests.read(folder)
            stamp = _stamp(folder, manifest)
            if self._sound.get(name) != stamp:
                if any(manifests.damages(folder, manifest, deep=False)):
                    return None
                self._sound[name] = stamp
            return manifest
        except (FileNotFoundError, NotADirectoryError, Damaged):
            return None
        except OSError as error:
            raise self.unreadable(error) from error

    def damages(self, name: str, deep: bool) -> Iterator[Damage]:
        """What is wrong with an artifact; `deep`: read every byte."""
        try:
            yield from manifests.damages(self.folder(name), manifests.read(self.folder(name)), deep=deep)
        except Damaged as damaged:
            yield Damage(name, manifests.NAME, str(damaged))
        except FileNotFoundError:
            yield Damage(name, manifests.NAME, "is missing")
        except OSError as error:
            yield Damage(name, manifests.NAME, f"cannot be read: {error.strerror}")
        except StoreError as newer:
            yield Damage(name, manifests.NAME, f"cannot be judged: {newer.problem}")

    def with_inputs(self, names: Iterable[str]) -> set[str]:
        """Fingerprints, and those of all inputs of the artifacts that are there.

        Raises:
            StoreError: an artifact was made by a newer Cavesson, whose inputs this version cannot read.
        """
        found = set(names)
        todo = list(found)
        while todo:
            try:
                inputs = manifests.read(self.folder(todo.pop())).inputs
            except (OSError, Damaged):
                continue
            todo.extend(set(inputs) - found)
            found.update(inputs)
        return found

    def unreadable(self, error: OSError) -> StoreError:
        """The message that the store cannot be read."""
        return StoreError(
            f"The store {self._root} cannot be read: {error}.", "Use another store (--store or CAVESSON_HOME)."
        )

    def _stamps(self) -> Iterator[tuple[str, Stamp]]:
        """Every artifact's fingerprint with its manifest's stamp, from the folders."""
        try:
            shelves = place.folders_in(self._root / "artifacts", place.SHELF)
            folders = [folder for shelf in shelves for folder in place.folders_in(shelf, place.FINGERPRINT)]
        except OSError as error:
            raise self.unreadable(error) from error
        for folder in folders:
            try:
                status = (folder / manifests.NAME).lstat()
                yield folder.name, (status.st_mtime_ns, status.st_size)
            except OSError:  # missing, or not for this user to read
                yield folder.name, (0, 0)

    def _entry(self, name: str) -> Entry:
        try:
            found = manifests.read(self.folder(name))
            return Entry(name, found.kind, found.title, found.created, found.wall_seconds, found.size)
        except (OSError, Damaged):
            return Entry(name, DAMAGED, "its manifest cannot be read", "", 0.0, 0)
        except StoreError:
            return Entry(name, NEWER, "made by a newer Cavesson", "", 0.0, 0)


def _stamp(folder: Path, manifest: Manifest) -> tuple[object, ...]:
    """A value that changes whenever a file of the artifact is written, replaced or removed."""
    statuses = [(folder / name).stat() for name in manifest.files]
    return (manifest, *((s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in statuses))
