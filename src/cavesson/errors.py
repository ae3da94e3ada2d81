"""Errors that say what to do.

Every error that a user can cause is a `CavessonError`: one sentence on the problem, one on the remedy. The command line prints
the error without a traceback and ends with `exit_code`.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
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

    @property
    def sentences(self) -> str:
        """Problem and remedy one after the other, as sentences: a full stop between them, the remedy with a capital letter."""
        stop = "" if self.problem.endswith((".", "!", "?", ":")) else "."
        return f"{self.problem}{stop} {self.remedy[:1].upper()}{self.remedy[1:]}".strip()


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
        super().__init__(
            f"This needs the package {package!r} of the extra {extra!r}, which is not installed.", install_hint(extra)
        )

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:  # type: ignore[override]
        return type(self), (self.package, self.extra)


@contextmanager
def optional(package: str, name: str) -> Iterator[None]:
    """Imports of an optional package.

    Raises:
        MissingExtra: the package is not installed; the message says which extra brings it.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtra(package, name) from error


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


MOST_NAMES = 48
"""Allowed names that an error lists."""


def nearest(given: str, allowed: Iterable[str]) -> str:
    """A sentence with the closest allowed name, `Did you mean 'lr'?`, or with the list of allowed names, as far as one reads."""
    said = guess(given, allowed)
    return f"{said[0].upper()}{said[1:]}{'' if said.endswith('?') else '.'}"


def guess(given: str, allowed: Iterable[str]) -> str:
    """`nearest` as a phrase, to stand inside a sentence."""
    names = sorted(set(allowed))
    small = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(given.casefold(), small, n=1)
    if close:
        return f"did you mean {small[close[0]]!r}?"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"allowed: {', '.join(names[:MOST_NAMES])}{more}"


def install_hint(extra: str) -> str:
    """The command that adds an extra to this environment.

    The command names the place that Cavesson came from: a folder, a wheel file or a commit (PEP 610). If the place is unknown
    or gone, the command names the extra's packages. It never asks a package index for the name `cavesson`, under which the
    index may hold a stranger's package.
    """
    try:
        own = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return f"{_installer()} -e '.[{extra}]' in the folder of Cavesson"
    return f"{_installer()} {_from_origin(own.read_text('direct_url.json') or '{}', extra) or _packages(own, extra)}"


def _from_origin(recorded: str, extra: str) -> str:
    """What to install so that the extra comes from where Cavesson came from; "" if the place is unknown or gone."""
    origin = json.loads(recorded)
    url = str(origin.get("url", ""))
    place = Path(unquote(urlparse(url).path))
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return shlex.quote(f"{DISTRIBUTION}[{extra}] @ {vcs['vcs']}+{url}@{vcs['commit_id']}")
    if not url.startswith("file:") or not place.exists():
        return ""
    if "dir_info" in origin:
        return ("-e " if origin["dir_info"].get("editable") else "") + shlex.quote(f"{place}[{extra}]")
    return shlex.quote(f"{DISTRIBUTION}[{extra}] @ {url}")


def _packages(own: metadata.Distribution, extra: str) -> str:
    """The packages of an extra, as the installed Cavesson lists them."""
    lines = [line.partition(";") for line in own.requires or ()]
    return " ".join(shlex.quote(name.strip()) for name, _, when in lines if re.search(rf"extra == .{extra}\b", when))


def _installer() -> str:
    """The command that installs into this environment, which need not be the one whose `pip` is first on the path."""
    if find_spec("pip") is None:  # an environment that uv made
        return f"uv pip install --python {shlex.quote(sys.prefix)}"
    found = shutil.which("pip")
    if found is not None and Path(found).parent == Path(sys.executable).parent:
        return "pip install"
    return f"{shlex.quote(sys.executable)} -m pip install"
