"""Errors that say what to do.

Every error that a user can cause is a `CavessonError`: one sentence on the problem, one on the remedy. The command line prints
the error without a traceback and ends with `exit_code`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import TypeVar
from urllib.parse import unquote, urlparse

DISTRIBUTION = "cavesson"
V = TypeVar("V")


class CavessonError(Exception):
    """A failure with a remedy.

    Args:
        problem: what is wrong; names the file, key or value.
        remedy: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem = _cut(problem)
        self.remedy = remedy = _cut(remedy)
        super().__init__(f"{problem}\n  → {remedy}" if remedy else problem)

    def __reduce__(self) -> tuple[type[CavessonError], tuple[str, str]]:
        """Pickle problem and remedy, so that a worker process can send the error."""
        return type(self), (self.problem, self.remedy)


class ConfigError(CavessonError):
    """The request itself is wrong: nothing was started, nothing was written."""

    exit_code = 2


class StoreError(CavessonError):
    """The artifact store cannot be read or written, or an artifact in it is damaged."""

    exit_code = 3


class TrainingError(CavessonError):
    """A training run cannot go on (a loss that is not a number, an empty data set)."""

    exit_code = 4


class RulesError(CavessonError):
    """An intervention broke the rules of the game (it used the trigger, for example)."""

    exit_code = 5


class MissingExtra(CavessonError):
    """An optional dependency is not installed."""

    exit_code = 2

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"This needs the package {package!r}, which is not installed.", install_hint(extra))

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:  # type: ignore[override]
        return type(self), (self.package, self.extra)


class Stopped(Exception):
    """The user asked to stop (Ctrl-C). Work saved in `scratch` is resumed next time."""


def entry_of(registry: Mapping[str, V], name: str, what: str) -> V:
    """What a registry holds under a name.

    Raises:
        ConfigError: the registry does not hold the name.
    """
    if name not in registry:
        raise ConfigError(f"There is no {what} {name!r}.", nearest(name, registry))
    return registry[name]


def _cut(text: str, most: int = 2000) -> str:
    """A text of at most `most` characters: a message may quote a file, and files are long."""
    return text if len(text) <= most else text[: most - 1] + "…"


def quoted(value: object) -> str:
    """A value as the user typed it, in quotes, short enough for one line of a message."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def nearest(given: str, allowed: Iterable[str]) -> str:
    """A phrase with the closest allowed name, `did you mean 'lr'?`, or with the list of allowed names."""
    names = sorted(set(allowed))
    close = difflib.get_close_matches(given, names, n=1)
    return f"did you mean {close[0]!r}?" if close else "allowed: " + ", ".join(names)


def install_hint(extra: str) -> str:
    """The pip command that adds an extra to this installation.

    If Cavesson was installed from a checkout or from a wheel file, the command installs from the same place, whatever the
    package index holds under the name. (PEP 610 says how an installation records its place.)
    """
    try:
        origin = json.loads(metadata.distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        origin = {}
    place = urlparse(origin.get("url", ""))
    if place.scheme == "file" and "dir_info" in origin:
        editable = "-e " if origin["dir_info"].get("editable") else ""
        return f"pip install {editable}'{unquote(place.path)}[{extra}]'"
    if origin:
        return f"pip install '{DISTRIBUTION}[{extra}] @ {origin['url']}'"
    return f"pip install '{DISTRIBUTION}[{extra}]'"
