"""A user's own code, loaded by a name such as `path/to/file.py:NAME` or `package.module:NAME`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from pydantic import ValidationError

from cavesson.errors import CavessonError, ConfigError, Stopped

PACKAGE = Path(__file__).parents[1]
OWN = "own_"
"""Start of the names of modules that are loaded from a user's files."""
LIBRARIES = tuple(str(path) for path in (PACKAGE, sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")))
"""Folders of code that no user wrote."""


def is_own(name: str) -> bool:
    """Whether a name points into a user's own code."""
    return ":" in name


def imported(place: str, what: str) -> Any:
    """The object of that name in a user's file or module.

    Args:
        place: `path/to/file.py:NAME` or `package.module:NAME`.
        what: the kind of object, for the message ("intervention").

    Raises:
        ConfigError: the file or module cannot be loaded, or has no such name.
    """
    where, _, name = place.rpartition(":")
    try:
        if where.endswith(".py"):
            file = _file(where)
            module = _executed(file, file.stat().st_mtime_ns)
        else:
            module = importlib.import_module(where)
        return getattr(module, name)
    except (Exception, SystemExit) as error:  # a user's own code is executed: it may raise anything
        raise ConfigError(
            f"The {what} {place!r} cannot be loaded: {type(error).__name__}: {error}",
            "Name it as path/to/file.py:name or package.module:name; the file has to run by itself.",
        ) from error


def made_by(place: str, what: str, has: Sequence[str], *given: Any) -> Any:
    """What a user's own function or class makes of some arguments.

    Args:
        place: as of `imported`.
        what: the kind of object, for the message.
        has: attributes that the object must have.

    Raises:
        ConfigError: the function cannot be loaded, raises something, or makes an object without these attributes.
    """
    with calling(f"The {what} {place!r}", f"Correct the {what}; nothing was started.", ConfigError):
        made = imported(place, what)(*given)
        for name in has:
            if not hasattr(made, name):
                raise TypeError(f"what it makes, of type {type(made).__name__}, has no `{name}`")
    return made


@contextmanager
def calling(
    what: str,
    remedy: str,
    error: type[CavessonError] = CavessonError,
    passing: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Let whatever a user's own code raises become one message with file and line.

    Args:
        what: the code in words, as the message's subject: `The grid of the study 'capitals'`.
        remedy: what the user can do.
        error: the error to raise.
        passing: further errors that pass.

    Raises:
        CavessonError: the code raised something; errors that have a remedy of their own, and `Stopped`, pass.
    """
    try:
        yield
    except Exception as raised:
        if isinstance(raised, (CavessonError, Stopped, *passing)):
            raise
        told = f"{type(raised).__name__}: {_said(raised)}".rstrip(": ")
        raise error(f"{what} fails: {told}{_where(raised.__traceback__)}.", remedy) from raised


def fault_of(raised: Exception) -> CavessonError | None:
    """One message for an error that passed through a file of a user's own; None for every other error."""
    own = {str(getattr(module, "__file__", "")) for name, module in list(sys.modules.items()) if name.startswith(OWN)}
    calls = [one for one in traceback.extract_tb(raised.__traceback__) if one.filename in own]
    if isinstance(raised, (CavessonError, Stopped)) or not calls:
        return None
    told = f"{type(raised).__name__}: {_said(raised)}".rstrip(": ")
    return CavessonError(
        f"{calls[-1].filename}, line {calls[-1].lineno}, fails: {told}.",
        "Correct the file and run again: all that was made is in the store.",
    )


def _said(raised: Exception) -> str:
    """What an error says, in one line."""
    text = str(raised)
    if isinstance(raised, ValidationError):
        text = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}".lstrip(": ") for one in raised.errors())
    return " ".join(text.split())[:300]


def _where(trace: TracebackType | None) -> str:
    """File and line of the last call in a user's own code, or else in Cavesson, in brackets; "" without a call."""
    called = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(trace)[2:]]  # behind `calling` itself
    own = [one for one in called if not one[0].startswith(LIBRARIES)]
    shipped = [one for one in called if one[0].startswith(str(PACKAGE))]
    return next((f" ({Path(file).name}, line {line})" for file, line in reversed(own or shipped)), "")


def source_digest(place: str, what: str) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of the source file behind a name (the file alone, not its imports).

    Raises:
        ConfigError: there is no such file or module.
    """
    where = place.rpartition(":")[0]
    try:
        if where.endswith(".py"):
            source = _file(where)
        else:
            found = importlib.util.find_spec(where)
            if found is None or found.origin is None:
                raise ImportError(f"no source file of {where!r}")
            source = Path(found.origin)
        return hashlib.sha256(source.read_bytes()).hexdigest()[:32]
    except (OSError, ImportError, ValueError) as error:
        raise ConfigError(f"The {what} {place!r} cannot be found: {error}", "Check the path or module name.") from error


def _file(where: str) -> Path:
    return Path(where).expanduser().resolve()


@lru_cache(maxsize=64)
def _executed(file: Path, changed: int) -> ModuleType:
    """The module in a file, executed once for each state of the file (`changed` is the time stamp, for the cache alone)."""
    name = f"{OWN}{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # pydantic looks up annotations in sys.modules
    spec.loader.exec_module(module)
    return module
