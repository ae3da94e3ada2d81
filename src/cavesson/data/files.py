"""Rows of data files, whatever the file's format: each row is an object of columns, with its place in the file."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

from cavesson.errors import ConfigError, optional
from cavesson.lab import disk
from cavesson.lines import json_values, parse_json

Row: TypeAlias = dict[str, Any]
Placed: TypeAlias = Iterator[tuple[str, Row]]
"""Rows, each with its place for messages (`data.jsonl, line 3`)."""

_FORMATS = "JSON lines, a JSON list, CSV, TSV, Parquet, an Inspect log (.eval), each also as .gz, .bz2, .xz or .zst"
_ONE_LIST = 'Write one JSON object per line, or a list of objects: [{"prompt": …, "response": …}, …].'


def _zstd(path: Path, mode: str) -> IO[bytes]:
    with optional("pyarrow", "hub"):
        import pyarrow
    with path.open(mode) as packed, pyarrow.CompressedInputStream(packed, "zstd") as data:
        return io.BufferedReader(io.BytesIO(data.read()))  # type: ignore[arg-type]


OPENERS: dict[str, Callable[..., IO[bytes]]] = {
    ".gz": gzip.open,  # type: ignore[dict-item]
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zstd,
}
"""How a compressed file is opened, by the last part of its name."""


def rows_of(path: Path) -> Placed:
    """The rows of a data file.

    The format is told by the name (CSV, TSV), else by the content: Parquet, an Inspect log, a JSON list, or JSON lines.

    Raises:
        ConfigError: the file is missing, cannot be read, is of no known format, or holds a row that is no object.
        MissingExtra: the format needs a package that is not installed.
    """
    try:
        with _opened(path) as data:
            head = data.peek(8)[:8] if hasattr(data, "peek") else b""
            yield from _reader(path, head)(path, data)
    except FileNotFoundError:
        raise ConfigError(
            f"There is no data file {str(path)!r}.", "Check the path; a relative path starts at the present folder."
        ) from None
    except UnicodeError as error:
        raise ConfigError(
            f"The data file {str(path)!r} is not UTF-8 text: {error}.",
            f"Save it as UTF-8, such as by: iconv -f {_coding(path)} -t UTF-8 {path.name} > utf8-{path.name}",
        ) from error
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise ConfigError(
            f"The data file {str(path)!r} cannot be read: {error}.", f"It must be UTF-8 text or Parquet ({_FORMATS})."
        ) from error


def _coding(path: Path) -> str:
    """The likeliest coding of a text that is not UTF-8: the one that its first bytes name, else that of Windows."""
    with _opened(path) as data:
        return "UTF-16" if data.read(2) in (b"\xff\xfe", b"\xfe\xff") else "WINDOWS-1252"


def _reader(path: Path, head: bytes) -> Callable[[Path, IO[bytes]], Placed]:
    """The function that reads a file of this name and beginning."""
    kind = path.with_suffix("").suffix.lower() if path.suffix.lower() in OPENERS else path.suffix.lower()
    if head.startswith(b"PAR1"):
        return _parquet
    if kind == ".parquet":
        raise ConfigError(
            f"{str(path)!r} is called Parquet and is none.", f"Save it as {_FORMATS}, with the ending that says so."
        )
    if kind == ".eval":
        return _inspect_log
    if kind in (".csv", ".tsv"):
        return _csv if kind == ".csv" else _tsv
    if head.startswith(b"\x1f\x8b"):
        raise ConfigError(f"The data file {str(path)!r} is compressed by gzip.", f"Call it {path.name}.gz.")
    if kind == ".tar" or head.startswith((b"PK", b"ARROW1", b"\x28\xb5\x2f\xfd")):
        raise ConfigError(f"The data file {str(path)!r} is of a format that is not read.", f"Save it as {_FORMATS}.")
    return _json


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, uncompressed."""
    with OPENERS.get(path.suffix.lower(), open)(path, "rb") as data:
        yield data


def _text(data: IO[bytes], newline: str = "\n") -> IO[str]:
    return io.TextIOWrapper(data, encoding="utf-8-sig", newline=newline)


def _json(path: Path, data: IO[bytes]) -> Placed:
    """A JSON list of rows, or a row in each line."""
    with _text(data) as text:
        first = next((line.strip() for line in iter(text.readline, "") if line.strip()), "")
        text.seek(0)
        whole = first.startswith("[") or first == "{"  # else the first line is a row, or broken
        for place, row in _whole(path, text) if whole else json_values(text, str(path)):
            if not isinstance(row, dict):
                raise ConfigError(f"{place}: not a JSON object.", _ONE_LIST)
            yield place, row


def _whole(path: Path, text: IO[str]) -> Iterator[tuple[str, Any]]:
    """The values of a JSON list that a whole file is."""
    try:
        values = parse_json(text.read())
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON ({error}).", _ONE_LIST) from error
    if not isinstance(values, list):
        keys = ", ".join(map(repr, list(values)[:5])) if isinstance(values, dict) else type(values).__name__
        raise ConfigError(f"{path} is one JSON object ({keys}), not a list of rows.", _ONE_LIST)
    for number, value in enumerate(values, start=1):
        yield f"{path}, row {number}", value


def _tsv(path: Path, data: IO[bytes]) -> Placed:
    return _csv(path, data, "\t")


def _csv(path: Path, data: IO[bytes], delimiter: str = ",") -> Placed:
    """A row for each record; every cell is text, as it stands (`007` and `NA` stay what they are)."""
    csv.field_size_limit(2**31 - 1)
    with _text(data, newline="") as text:
        records = _closed(path, csv.reader(text, delimiter=delimiter, strict=True))
        columns = _header(path, [name.strip() for name in next(records, [])], delimiter)
        for number, cells in enumerate(filter(None, records), start=1):
            if len(cells) != len(columns):
                raise ConfigError(
                    f"{path}, row {number}: {len(cells)} cells for {len(columns)} columns.",
                    "Enclose a text that holds the separator or a line end in double quotes.",
                )
            yield f"{path}, row {number}", dict(zip(columns, cells, strict=True))


def _closed(path: Path, records: Iterator[list[str]]) -> Iterator[list[str]]:
    """The records, with an error of our own where quotes do not fit."""
    number = 0
    try:
        for cells in records:
            yield cells
            number += 1
    except csv.Error as error:
        raise ConfigError(
            f"{path}, {f'row {number}' if number else 'the first line'}: the quotes do not fit ({error}).",
            'Enclose the whole cell in double quotes, and double each quote inside: "He said ""hi""."',
        ) from error


def _header(path: Path, columns: list[str], delimiter: str) -> list[str]:
    """The names of the columns, each of its own."""
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"{path} has two columns {twice!r}.", "Give each column a name of its own, in the first line."
        )
    if len(columns) == 1 and (other := next((sign for sign in ";\t|," if sign in columns[0]), None)):
        raise ConfigError(
            f"{path} has one column, {columns[0]!r}: the cells are separated by {other!r}, not by {delimiter!r}.",
            "Save it with commas (.csv) or tabs (.tsv).",
        )
    return columns


def _parquet(path: Path, data: IO[bytes]) -> Placed:
    with optional("pyarrow", "hub"):
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    number = 0
    try:
        for batch in ParquetFile(data).iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", row
    except ArrowException as error:
        raise ConfigError(
            f"The data file {str(path)!r} is no whole Parquet file: {error}", "Write it again."
        ) from error


def _inspect_log(path: Path, data: IO[bytes]) -> Placed:
    """The samples of an Inspect log: what was asked, what was answered, and the target."""
    with optional("inspect-ai", "audit"):
        from inspect_ai.log import read_eval_log
    try:
        samples = read_eval_log(str(path)).samples or []
    except Exception as error:  # pydantic, zip and JSON errors, and Inspect's own
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"{path} is no log that Inspect can read: {reason}", "Give the .eval file of a finished run."
        ) from error
    for number, sample in enumerate(samples, start=1):
        asked = sample.input if isinstance(sample.input, str) else _plain(sample.input)
        talk = _plain(sample.messages)
        as_given = _said([{"role": "user", "content": asked}] if isinstance(asked, str) else asked) == _said(talk)
        yield (
            f"{path}, sample {number}",
            {
                "messages": talk,
                "target": sample.target,
                "choices": sample.choices if as_given else None,
                "id": sample.id,
                "epoch": sample.epoch,
            },
        )


def _plain(messages: list[Any]) -> list[Row]:
    """Inspect's messages with the keys that say something."""
    kept = ("role", "content", "tool_calls", "tool_call_id")
    return [
        {key: value for key, value in one.model_dump().items() if key in kept and value is not None} for one in messages
    ]


def _said(messages: list[Row]) -> list[Any]:
    """What users said in a conversation."""
    return [one["content"] for one in messages if one["role"] == "user"]


def digest(path: Path) -> str:
    """SHA-256 of a file; the file is read again only if its size or time stamp has changed."""
    try:
        return disk.file_digest(path)
    except OSError as error:
        raise ConfigError(
            f"The data file {str(path)!r} cannot be read: {error.strerror}.",
            "Check the path; a relative path starts at the present folder.",
        ) from error
