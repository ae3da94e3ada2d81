"""JSON lines, lines of a text, and text in which nothing hides."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cavesson.errors import ConfigError

_HIDING = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode's categories of control characters, marks that are invisible or reorder text, lone surrogates, other line ends."""

_BLANK = frozenset(map(ord, "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")) | set(
    range(0xE0100, 0xE01F0)
)
"""Letters and marks that are drawn as nothing: fillers, and selectors of variants, in which whole texts can be hidden."""

_JOINED = re.compile(r"(?<=[^\u0000-\u02ff\u2000-\u206f])([\u200c\u200d])(?=[^\u0000-\u02ff\u2000-\u206f])")
"""Joiners where they belong: inside an emoji, or between letters of scripts that join their letters."""


class _Signs(dict[int, str]):
    """What is shown for a character, worked out when the character first occurs."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        hides = unicodedata.category(character) in _HIDING and character not in "\t\n"
        self[code] = _sign(code) if hides or code in _BLANK else character
        return self[code]


def _sign(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)  # the picture of a control character: ESC, which starts an ANSI sequence, is ␛
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


_SIGNS = _Signs()


def json_line(value: Any) -> str:
    """A value as one line of JSON, with the line end.

    Characters beyond ASCII are not escaped, but for halves of a character (lone surrogates), which no file of text can hold.
    """
    line = json.dumps(value, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", line) + "\n"


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: not JSON, a key that stands twice in one object, or nested too deep for a value of this project.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("lists or objects stand too deep in each other") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice in one object"
        )
    return found


def read_json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The values in a file of JSON lines, each with its place (`verdicts.jsonl, line 3`); blank lines are skipped.

    Only a line end of the file ends a line. `str.splitlines` would also break lines at U+2028, U+2029 and U+0085, which JSON
    allows inside a text.

    Raises:
        OSError, UnicodeDecodeError: the file cannot be read.
        ConfigError: a line is not JSON; the message names the place of the line.
    """
    with path.open(encoding="utf-8", newline="\n") as lines:
        yield from json_values(lines, str(path))


def json_values(lines: Iterable[str], name: str) -> Iterator[tuple[str, Any]]:
    """The values in lines of JSON, each with its place in the file `name`; blank lines are skipped.

    Args:
        lines: the lines.
        name: of the file.

    Raises:
        ConfigError: a line is not JSON; the message names the place of the line.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            value = parse_json(line)
        except ValueError as error:
            raise ConfigError(f"{place} is not JSON ({error}).", "Write one JSON value per line.") from error
        yield place, value


def text_lines(text: str) -> list[str]:
    r"""The lines of a text, each with its end; only `\n` ends a line, as in an editor, in a patch, and in Python files."""
    return list(io.StringIO(text))


def printable(text: str) -> str:
    """The text with a visible sign for every character that could drive a terminal, hide, or reorder the text around it.

    Line ends and tabs stay. HTML stays too, because the template of a page escapes it. `report/assets/text.js` does the same.
    """
    parts = _JOINED.split(text.replace("\r\n", "\n"))
    return "".join(part if at % 2 else part.translate(_SIGNS) for at, part in enumerate(parts))


def one_line(text: str) -> str:
    """Printable text for a place that holds one line, such as a name in a table: a line end is shown as ␊."""
    return printable(text).replace("\n", "␊")
