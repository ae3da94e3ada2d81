"""The mirror: a copy of the store on object storage, through which machines without a common file system share artifacts.

    URL/blobs/ab/ab12…            the content of a file, named by its SHA-256
    URL/made/ab12….json           the manifest of an artifact, named by its fingerprint; written last

An artifact is in the mirror if its manifest is. A manifest names the hashes of its files, so two machines that push one
artifact at the same time cannot mix their files, and a push that is cut short leaves nothing but blobs. What is pulled is
compared with the manifest's hashes. Nothing is ever deleted but objects whose content is found to be damaged.

`CAVESSON_MIRROR` names the place: any address that fsspec knows (`s3://bucket/path`, `gs://…`, `file:///…`).
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from cavesson.errors import ConfigError, MissingExtra, StoreError, optional
from cavesson.lab import disk, place
from cavesson.lab import manifest as manifests
from cavesson.lab.manifest import Damaged, Manifest

VARIABLE = "CAVESSON_MIRROR"

AT_ONCE = ("s3", "s3a", "gs", "gcs", "az", "abfs", "adl")
"""Protocols of object stores, in which an object shows when all of it was sent. Elsewhere a file is moved into place."""
_EXTRAS = {"s3": ("s3fs", "s3"), "s3a": ("s3fs", "s3")}
"""Protocols whose package is an extra: package and extra."""


def from_environment() -> Mirror | None:
    """The mirror that the environment names, if it names one."""
    url = os.environ.get(VARIABLE, "").strip()
    return Mirror(url) if url else None


class Mirror:
    """Artifacts on object storage.

    Args:
        url: the place, for fsspec.

    Raises:
        ConfigError: there is no such kind of place, or its package is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        protocol = self.url.partition("://")[0]
        if "://" not in self.url or not self.url.partition("://")[2]:
            raise ConfigError(
                f"{VARIABLE}={url} is no address of a mirror.", "Write it like s3://bucket/path or file:///shared/path."
            )
        with optional("fsspec", "s3"):
            import fsspec
        try:
            folders = {"auto_mkdir": True} if protocol in ("file", "local") else {}
            self._files, self._root = fsspec.core.url_to_fs(self.url, **folders)
        except ImportError as error:
            if protocol in _EXTRAS:
                raise MissingExtra(*_EXTRAS[protocol]) from error
            raise ConfigError(f"The mirror {self.url} cannot be used: {error}.", "Install that package.") from error
        except ValueError as error:
            raise ConfigError(f"The mirror {self.url} cannot be used: {error}.", f"Correct {VARIABLE}.") from error
        self._at_once = protocol in AT_ONCE
        self._there: set[str] | None = None

    def has(self, name: str) -> bool:
        """Whether the mirror has an artifact. What was there once counts as there."""
        if self._there is None:
            self._there = set(self.names())
        if name not in self._there and self._exists(self._marker(name)):
            self._there.add(name)
        return name in self._there

    def names(self) -> list[str]:
        """The fingerprints of all artifacts in the mirror."""
        with self._speaking():
            self._files.invalidate_cache()
            try:
                found = self._files.ls(f"{self._root}/made", detail=False)
            except FileNotFoundError:
                return []
        stems = (str(path).rpartition("/")[2].removesuffix(".json") for path in found)
        return [stem for stem in stems if place.FINGERPRINT.fullmatch(stem)]

    def manifest(self, name: str) -> Manifest | None:
        """The manifest of an artifact in the mirror; None if the mirror does not have the artifact.

        Raises:
            StoreError: the mirror cannot be read, or a newer Cavesson wrote the manifest.
        """
        with self._speaking():
            try:
                content = self._files.cat_file(self._marker(name))
            except FileNotFoundError:
                return None
        try:
            return manifests.parse(content, name)
        except Damaged:
            self._forget(name)
            return None

    def push(self, folder: Path, manifest: Manifest) -> None:
        """Copy a finished artifact to the mirror: the files that the mirror lacks, then the manifest."""
        with self._speaking():
            for name, record in sorted(manifest.files.items()):
                blob = self._blob(record.sha256)
                if self._size(blob) != record.size:
                    self._write(blob, partial(self._files.put_file, str(folder / name)))
            text = manifest.dumps().encode()
            self._write(self._marker(manifest.fingerprint), lambda path: self._files.pipe_file(path, text))
        if self._there is not None:
            self._there.add(manifest.fingerprint)

    def pull(self, name: str, folder: Path) -> bool:
        """Copy an artifact into an empty folder, its manifest included.

        Returns:
            False: the artifact is not in the mirror, or an object of it is damaged or gone. What is damaged has been deleted from the mirror, so that the
            artifact is made and pushed anew.
        """
        manifest = self.manifest(name)
        if manifest is None:
            return False
        for relative, record in manifest.files.items():
            home = folder / relative
            home.parent.mkdir(parents=True, exist_ok=True)
            with self._speaking():
                try:
                    self._files.get_file(self._blob(record.sha256), str(home))
                except FileNotFoundError:
                    self._forget(name)
                    return False
            if disk.sha256(home) != record.sha256:
                self._forget(name, self._blob(record.sha256))
                return False
            os.utime(home, ns=(record.modified, record.modified))
        (folder / manifests.NAME).write_text(manifest.dumps())
        return True

    def _write(self, path: str, write: Callable[[str], Any]) -> None:
        """Let an object show only when all of it is there, whoever writes or reads it at the same time."""
        if self._at_once:
            write(path)
            return
        aside = f"{path}.{secrets.token_hex(8)}"
        write(aside)
        self._files.mv(aside, path)

    def _forget(self, name: str, *blobs: str) -> None:
        """Delete the manifest of an artifact that is not whole, and its damaged blobs."""
        with self._speaking():
            for path in (self._marker(name), *blobs):
                if self._files.exists(path):
                    self._files.rm_file(path)
        if self._there is not None:
            self._there.discard(name)

    def _exists(self, path: str) -> bool:
        return self._size(path) is not None

    def _size(self, path: str) -> int | None:
        """Bytes of an object; None if there is none."""
        with self._speaking():
            self._files.invalidate_cache(path)
            try:
                return int(self._files.info(path)["size"])
            except FileNotFoundError:
                return None

    def _marker(self, name: str) -> str:
        return f"{self._root}/made/{name}.json"

    def _blob(self, sha256: str) -> str:
        return f"{self._root}/blobs/{sha256[:2]}/{sha256}"

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn whatever a file system's client raises into one message; `FileNotFoundError` inside is the caller's."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # each client has errors of its own
            said = re.sub(r"\s+", " ", str(error))[:300] or type(error).__name__
            raise StoreError(
                f"The mirror {self.url} does not answer as it should: {said}.",
                f"Check {VARIABLE}, the credentials and the network; the same command goes on where it was.",
            ) from error
