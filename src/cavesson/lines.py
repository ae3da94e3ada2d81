"""JSON lines, lines of a text, and text without invisible characters."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from cavesson.errors import ConfigError

_PICTURES = {**{code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)}, 0x7F: "␡"}
"""Control characters and their pictures: ESC (which starts an ANSI sequence) becomes ␛."""

_DECEIVING = re.compile("[\u0080-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb]")
"""Characters that are invisible or reorder the text around them (right-to-left override, zero-width space)."""


def json_line(value: Any) -> str:
    """A value as one line of JSON, with the line end; characters beyond ASCII are not escaped."""
    return json.dumps(value, ensure_ascii=False) + "\n"


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: not JSON, or nested too deep for a value of this project.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("lists or objects stand too deep in each other") from error


def read_json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The values in a file of JSON lines, each with its place (`verdicts.jsonl, line 3`); blank lines are skipped.

    Only a line end of the file ends a line. `str.splitlines` would also break lines at U+2028, U+2029 and U+0085, which JSON
    allows inside a text.

    Raises:
        OSError, UnicodeDecodeError: the file cannot be read.
        ConfigError: a line is not JSON; the message names the place of the line.
    """
    with path.open(encoding="utf-8") as lines:
        yield from json_values(lines, str(path))


def json_values(lines: Iterable[str], name: str, read: Callable[[str], Any] = parse_json) -> Iterator[tuple[str, Any]]:
    """The values in lines of JSON, each with its place in the file `name`; blank lines are skipped.

    Args:
        lines: the lines.
        name: of the file.
        read: reads a line.

    Raises:
        ConfigError: a line is not JSON; the message names the place of the line.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            value = read(line)
        except ValueError as error:
            raise ConfigError(f"{place} is not JSON ({error}).", "Write one JSON value per line.") from error
        yield place, value


def text_lines(text: str) -> list[str]:
    r"""The lines of a text, each with its end; only `\n` ends a line, as in an editor, in a patch, and in Python files."""
    return list(io.StringIO(text))


def printable(text: str) -> str:
    """The text with a visible sign for every control character, and for every mark that changes the reading direction.

    Line ends and tabs stay. HTML stays too, because the template of a page escapes it. `report/assets/text.js` does the same.
    """
    pictured = text.replace("\r\n", "\n").translate(_PICTURES)
    return _DECEIVING.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", pictured)
