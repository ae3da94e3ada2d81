"""Shelves: things of one kind that recipes name, registered ones and a user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from cavesson.errors import ConfigError, nearest
from cavesson.lab.content import content, digest_of
from cavesson.lab.own import imported, is_own, source_digest
from cavesson.lab.recipe import canonical

Thing = TypeVar("Thing")


@dataclass(frozen=True, eq=False)
class Shelf(Generic[Thing]):
    """Things of one kind by name. A recipe that names one of them has its content in its fingerprint.

    Attributes:
        what: the kind in a word, for messages.
        kind: its class.
        known: the registered things.
        load: loads what a place `file.py:NAME` names.
        source: gives the digest of the file of a place.
    """

    what: str
    kind: type[Thing]
    known: Mapping[str, Thing]
    load: Callable[[str, str], Any] = imported
    source: Callable[[str, str], str] = source_digest

    def named(self, name: str) -> Thing:
        """A registered thing, or a user's own, `path/to/file.py:NAME` or `package.module:NAME`, with or without `@digest`.

        Raises:
            ConfigError: there is no such thing; or the file cannot be loaded, holds something else under this name, or has changed
                since the name was `pinned`.
        """
        if name in self.known:
            return self.known[name]
        if not is_own(name):
            raise ConfigError(f"There is no {self.what} {name!r}.", nearest(name, self.known))
        place, digest = _parts(name)
        if digest and digest != self._digest(place):
            raise ConfigError(
                f"The file of the {self.what} {place!r} has changed since the recipe was made.", "Make it anew."
            )
        found = self.load(place, self.what)
        if not isinstance(found, self.kind):
            raise ConfigError(
                f"The {self.what} {place!r} is not a {self.kind.__name__} but of type {type(found).__name__}.",
                f"Name a {self.kind.__module__}.{self.kind.__name__} of the file.",
            )
        return found

    def pinned(self, name: str) -> str:
        """The name for recipes; a user's own thing gets the digest of its file and content, `file.py:NAME@digest`.

        Raises:
            ConfigError: there is no such thing (see `named`); a name with a digest is returned without a look-up.
        """
        if is_own(name) and _parts(name)[1]:
            return name
        self.named(name)
        return f"{name}@{self._digest(name)}" if is_own(name) else name

    def content_of(self, name: str) -> str:
        """What a pinned name contributes to a fingerprint: the name and a digest of the thing; no path of a user's file."""
        return name.rpartition(":")[2] if is_own(name) else f"{name}@{digest_of(self.known[name])}"

    def _digest(self, place: str) -> str:
        """The digest of a user's own thing: of its file, and of what it takes from elsewhere."""
        return _own_digest(self, place, self.source(place, self.what))


@cache
def _own_digest(shelf: Shelf[Any], place: str, source: str) -> str:
    return digest_of(source, canonical(content(shelf.named(place))))


def _parts(name: str) -> tuple[str, str]:
    """Place and digest in the name of a user's own thing; the digest is "" if the name is not pinned."""
    where, _, rest = name.rpartition(":")
    variable, _, digest = rest.partition("@")
    return f"{where}:{variable}", digest
