"""Manifests: what an artifact is, how it was made, and the hashes that tell a whole artifact from a damaged one."""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import json
import os
import platform
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cavesson.errors import StoreError
from cavesson.lab import disk, numerics
from cavesson.lab.processors import THREADS
from cavesson.lab.recipe import Recipe, canonical
from cavesson.lines import parse_json

FORMAT = 1
"""Version of the manifest's format; a manifest with a newer format is refused, never overwritten."""
NAME = "manifest.json"
COUNTS = "counts.json"
"""A file that a recipe may write: what it counted while it made the artifact, such as answers that were cut."""
MOST = 1 << 26
"""Bytes of the largest manifest that is read."""
SMALL = 1 << 20
"""Files of up to this many bytes are hashed at first use; larger files are hashed when their time stamp has changed."""
FLUSHED_TOGETHER = 8
"""Files of an artifact that are flushed to disk at the same time."""
PACKAGES = ("cavesson", "torch", "transformers", "tokenizers", "peft", "pytorch-optimizer", "numpy", "ctranslate2")


class Damaged(Exception):
    """The manifest cannot be read or does not fit its folder."""


class FileRecord(BaseModel):
    """One file of an artifact: content hash, size in bytes, and time stamp at the end of making (nanoseconds)."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    size: int
    modified: int


class Manifest(BaseModel):
    """The content of `manifest.json`. The key `digest` in the file covers all other keys."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    fingerprint: str
    kind: str
    title: str
    recipe: dict[str, Any]
    inputs: tuple[str, ...]
    """Fingerprints of the artifacts that the artifact was made from; a virtual recipe is replaced by its own inputs."""
    versions: dict[str, str]
    seed: int | None
    machine: dict[str, str] = {}
    """What decides the last bits: processor, instruction set, threads and, of a training, numerics ({} in old manifests)."""
    wall_seconds: float
    created: str
    """UTC, ISO 8601."""
    counts: dict[str, int] = {}
    """What the recipe counted (`COUNTS`)."""
    files: dict[str, FileRecord]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(record.size for record in self.files.values())

    def dumps(self) -> str:
        """The file's text."""
        content = self.model_dump(mode="json")
        return json.dumps({**content, "digest": _digest(content)}, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Damage:
    """Something wrong with an artifact."""

    fingerprint: str
    file: str
    problem: str

    def __str__(self) -> str:
        return f"{self.fingerprint[:12]}: {self.file} {self.problem}"


def describe(recipe: Recipe, folder: Path, *, wall_seconds: float, created: str) -> Manifest:
    """The manifest of a finished folder; every file is also hashed and flushed to disk."""
    seed = getattr(recipe, "seed", None)
    return Manifest(
        fingerprint=recipe.fingerprint,
        kind=recipe.kind,
        title=recipe.describe(),
        recipe=recipe.model_dump(mode="json"),
        inputs=tuple(below.fingerprint for below in artifacts_below(recipe)),
        versions=dict(versions()),
        seed=seed if isinstance(seed, int) else None,
        machine={**machine(), **({} if recipe.numerics is None else {"numerics": recipe.numerics})},
        wall_seconds=round(wall_seconds, 3),
        created=created,
        counts=_counts(folder),
        files=_records(folder),
    )


def read(folder: Path) -> Manifest:
    """The manifest of an artifact's folder.

    Raises:
        FileNotFoundError: there is no manifest, and so no artifact.
        Damaged: the manifest cannot be read, or belongs to another fingerprint.
        StoreError: a newer Cavesson wrote the manifest.
        OSError: the manifest may not be read, or the disk fails.
    """
    return parse(_content(folder / NAME), folder.name)


def parse(text: bytes, name: str) -> Manifest:
    """The manifest of an artifact from the bytes of its file.

    Args:
        name: the artifact's fingerprint.

    Raises:
        Damaged: the manifest cannot be read, or belongs to another fingerprint.
        StoreError: a newer Cavesson wrote the manifest.
    """
    try:
        content = parse_json(text)
        version, digest = content["format"], content.pop("digest", None)
        if isinstance(version, int) and version > FORMAT:
            raise StoreError(
                f"The artifact {name} has manifest format {version}; this Cavesson knows {FORMAT} at most.",
                "Upgrade Cavesson, or use another store (--store or CAVESSON_HOME).",
            )
        if digest != _digest(content):
            raise Damaged("does not fit its own digest")
        manifest = Manifest.model_validate(content)
        f"{manifest.kind}{manifest.title}{manifest.created}".encode()  # a lone surrogate is no text
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError, RecursionError) as error:
        raise Damaged("cannot be read") from error
    if manifest.fingerprint != name:
        raise Damaged(f"belongs to {manifest.fingerprint}")
    if any(PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts for file in manifest.files):
        raise Damaged("names files outside its folder")
    return manifest


def _content(path: Path) -> bytes:
    """The bytes of a manifest.

    Raises:
        FileNotFoundError: there is none.
        Damaged: something that is no file stands in its place.
        OSError: the file may not be read, or the disk fails.
    """
    try:
        return disk.read_plain(path, MOST)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EFBIG, errno.ELOOP, errno.EISDIR):
            raise Damaged("is no plain file") from error
        raise


def damages(folder: Path, manifest: Manifest, *, deep: bool) -> Iterator[Damage]:
    """What differs between the folder and its manifest.

    Args:
        deep: hash every file, and also name files that the manifest does not list. Otherwise only small files are hashed,
            and large files whose time stamp has changed.
    """
    for name, record in manifest.files.items():
        path = folder / name
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                yield Damage(manifest.fingerprint, name, "is no plain file")
            elif status.st_size != record.size:
                yield Damage(manifest.fingerprint, name, f"has {status.st_size} bytes instead of {record.size}")
            elif (deep or record.size <= SMALL or status.st_mtime_ns != record.modified) and (
                disk.sha256(path) != record.sha256
            ):
                yield Damage(manifest.fingerprint, name, "has changed content")
        except FileNotFoundError:
            yield Damage(manifest.fingerprint, name, "is missing")
        except OSError as error:
            yield Damage(manifest.fingerprint, name, f"cannot be read: {error.strerror}")
    if deep:
        for name in sorted(set(files_in(folder)) - set(manifest.files)):
            yield Damage(manifest.fingerprint, name, "does not belong there")


def files_in(folder: Path) -> Iterator[str]:
    """Relative names of all files below a folder, except its manifest."""
    for place, _, names in os.walk(folder):
        for name in names:
            relative = (Path(place) / name).relative_to(folder).as_posix()
            if relative != NAME:
                yield relative


def artifacts_below(recipe: Recipe) -> tuple[Recipe, ...]:
    """The artifacts that a recipe is made from, each once; a virtual recipe is replaced by its own inputs."""
    found: dict[Recipe, None] = {}
    for below in recipe.inputs():
        found.update(dict.fromkeys(artifacts_below(below) if below.virtual else (below,)))
    return tuple(found)


@cache
def versions() -> Mapping[str, str]:
    """Versions of Python and of the packages that decide results; the packages are not imported."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> Mapping[str, str]:
    """What decides the last bits of an artifact made on this machine; `stage.THREADS` says why one thread is enough."""
    return {
        "processor": numerics.machine_model(),
        "instructions": numerics.instructions(),
        "threads": str(THREADS),
    }


def flush_folder(folder: Path) -> None:
    """Flush a folder's own entries to disk (file names, renames)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _counts(folder: Path) -> dict[str, int]:
    path = folder / COUNTS
    return json.loads(path.read_bytes()) if path.is_file() else {}


def _records(folder: Path) -> dict[str, FileRecord]:
    """Every file of a folder, flushed and hashed; files that are flushed at the same time share the waiting for the disk."""
    names = sorted(files_in(folder))
    with ThreadPoolExecutor(FLUSHED_TOGETHER) as pool:
        return dict(zip(names, pool.map(lambda name: _record(folder / name), names), strict=True))


def _record(path: Path) -> FileRecord:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        status = os.fstat(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRecord(sha256=digest, size=status.st_size, modified=status.st_mtime_ns)


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(content).encode()).hexdigest()[:32]
