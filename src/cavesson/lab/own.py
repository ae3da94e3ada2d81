"""A user's own code, loaded by a name such as `path/to/file.py:NAME` or `package.module:NAME`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from cavesson.errors import ConfigError


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
    name = f"own_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # pydantic looks up annotations in sys.modules
    spec.loader.exec_module(module)
    return module
