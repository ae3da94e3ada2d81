"""Records and results of other people's making: every value has the type that it should have, or one message says which has not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from cavesson.errors import ConfigError, quoted
from cavesson.lab.documents import in_words
from cavesson.lines import parse_json, read_json_lines

T = TypeVar("T")

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""For the `__pydantic_config__` of a record: a key that the record does not have is refused."""

MOST_BYTES = 100_000_000
"""Size of a file of records."""

MOST_DEPTH = 50
MOST_DIGITS = 300
"""Limits of a program's results: lists and mappings in each other, and digits of a whole number (a float holds 308)."""


def read_records(path: Path, kind: type[T], what: str, prepare: Callable[[Any], Any] = lambda raw: raw) -> list[T]:
    """The records in a file of JSON lines.

    Args:
        kind: the dataclass of a record.
        what: the name of a record, for messages.
        prepare: what is done with a mapping before it is checked.

    Raises:
        ConfigError: the file cannot be read, or a line is no such record; the message names line and key.
    """
    return list(_records(path, TypeAdapter(kind), what, prepare))


def _records(path: Path, kind: TypeAdapter[T], what: str, prepare: Callable[[Any], Any]) -> Iterator[T]:
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        problem = f"is larger than {MOST_BYTES // 10**6} MB" if path.is_file() else "is no file"
        raise ConfigError(f"{path} {problem}.", f"Name a file of {what}s, one JSON mapping a line.")
    try:
        for place, raw in read_json_lines(path):
            if not isinstance(raw, dict):
                raise ConfigError(f"{place} is no {what}.", f"A {what} is one JSON mapping per line.")
            yield _checked(kind, prepare(raw), f"{place} is no {what}")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", f"Name a file of {what}s.") from error


def _checked(kind: TypeAdapter[T], raw: Any, problem: str) -> T:
    try:
        return kind.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key, given = ".".join(map(str, first["loc"])), first["input"]
        words = in_words(first)
        shown = f" ({quoted(given)})" if isinstance(given, str | bool | float) and quoted(given) not in words else ""
        raise ConfigError(
            f"{problem}: {key}{shown}{': ' if key else ''}{words}.", "Correct or remove the line."
        ) from error


def read_json(path: Path, most_bytes: int) -> Any:
    """What a hostile program left in a file of JSON.

    Raises:
        OSError: no such file.
        ValueError: not JSON, a name that stands twice, or beyond the limits.
    """
    if path.stat().st_size > most_bytes:
        raise ValueError(f"larger than {most_bytes:,} bytes")
    found = parse_json(path.read_bytes())
    _check(found)
    json.dumps(found, ensure_ascii=False).encode()  # a text that holds half a character could not be kept
    return found


def _check(value: Any) -> None:
    """Walk through a value without recursion, and raise a ValueError beyond the limits."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MOST_DEPTH:
            raise ValueError(f"lists and mappings stand more than {MOST_DEPTH} deep in each other")
        if any(type(one) is int and abs(one) >= 10**MOST_DIGITS for one in level):
            raise ValueError(f"a number has more than {MOST_DIGITS} digits")
        inside = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [one for part in inside for one in part]
