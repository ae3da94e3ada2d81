"""A user's own code, loaded by a name such as `path/to/file.py:NAME` or `package.module:NAME`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from pydantic import ValidationError

from cavesson.errors import CavessonError, ConfigError, Stopped, nearest
from cavesson.lab.documents import in_words
from cavesson.lab.trust import LIBRARIES, PACKAGE, trusted_source

OWN = "own_"
"""Start of the names of modules that are loaded from a user's files."""
_LOADED: dict[str, tuple[bytes, ModuleType]] = {}
"""The modules from a user's files by name, each with the source that was executed."""


def is_own(name: str) -> bool:
    """Whether a name points into a user's own code."""
    return ":" in name


def imported(place: str, what: str) -> Any:
    """The object of that name in a user's file or module.

    Args:
        place: `path/to/file.py:NAME` or `package.module:NAME`.
        what: the kind of object, for the message ("intervention").

    Raises:
        ConfigError: the file or module cannot be loaded, has no such name, or is nothing that the user trusts (`trust.py`).
    """
    where, _, name = place.rpartition(":")
    missing = object()
    try:
        module = _executed(_file(where)) if where.endswith(".py") else module_named(where)
        found = getattr(module, name, missing)
    except CavessonError:
        raise
    except (Exception, SystemExit) as error:  # a user's own code is executed: it may raise anything
        raise ConfigError(
            f"The {what} {place!r} cannot be loaded: {type(error).__name__}: {error}",
            "Name it as path/to/file.py:name or package.module:name; the file has to run by itself.",
        ) from error
    if found is missing:
        known = [one for one in vars(module) if one[0] != "_"]
        remedy = nearest(name, known) if known else f"Define {name} there: the file defines nothing."
        raise ConfigError(f"The {what} {place!r} cannot be loaded: {where} has no {name!r}.", remedy)
    return found


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
        CavessonError: the code raised something, or asked to end the program; errors that have a remedy of their own, and `Stopped`,
            pass.
    """
    try:
        yield
    except (Exception, SystemExit) as raised:
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


def _said(raised: BaseException) -> str:
    """What an error says, in one line."""
    text = str(raised)
    if isinstance(raised, ValidationError):
        text = "; ".join(f"{'.'.join(map(str, one['loc']))}: {in_words(one)}".lstrip(": ") for one in raised.errors())
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
        source = _file(where) if where.endswith(".py") else Path(_spec(where).origin or "")
        return hashlib.sha256(source.read_bytes()).hexdigest()[:32]
    except (OSError, ImportError, ValueError) as error:
        raise ConfigError(f"The {what} {place!r} cannot be found: {error}", "Check the path or module name.") from error


def _file(where: str) -> Path:
    return Path(where).expanduser().resolve()


def module_named(name: str) -> ModuleType:
    """An importable module; the files of a user's own package have to be trusted.

    Raises:
        ConfigError: nobody has said that the file of the module, or of a package above it, may run.
        ImportError, ValueError: there is no such module.
    """
    if name in sys.modules:
        return sys.modules[name]
    spec = _spec(name)
    if spec.origin is None or not spec.origin.endswith(".py") or spec.origin.startswith(LIBRARIES):
        return importlib.import_module(name)
    module = _run(spec, trusted_source(Path(spec.origin).resolve(), name))
    above, _, last = name.rpartition(".")
    if above:
        setattr(sys.modules[above], last, module)
    return module


def _spec(name: str) -> ModuleSpec:
    """Where a module lies; the packages above the module are imported."""
    if above := name.rpartition(".")[0]:
        module_named(above)
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return spec


def _executed(file: Path) -> ModuleType:
    """The module in a file, executed once for each content of the file."""
    name = f"{OWN}{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    source = trusted_source(file)
    if name in _LOADED and _LOADED[name][0] == source:
        return _LOADED[name][1]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        raise ImportError(f"{file} is not a Python file")
    _LOADED[name] = source, _run(spec, source)
    return _LOADED[name][1]


def _run(spec: ModuleSpec, source: bytes) -> ModuleType:
    """A module of exactly this source: Python's own loader would read the file again, or take stored bytecode for it."""
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # pydantic looks up annotations there
    try:
        exec(compile(source, str(spec.origin), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module
