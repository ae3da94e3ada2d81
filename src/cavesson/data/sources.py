"""Reading and writing of examples: those that artifacts hold, and those in a user's file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cavesson.chat import Conversation
from cavesson.data.example import Example, Preference
from cavesson.data.files import rows_of
from cavesson.data.rows import Reader
from cavesson.errors import ConfigError
from cavesson.lines import json_line, read_json_lines


def read_examples(path: str | Path, columns: str = "") -> list[Example]:
    """The conversations in a user's data file (`cavesson.data.shapes` knows the shapes of rows).

    Args:
        path: the file.
        columns: which columns to use, as `--columns` takes them; "": each row's shape is recognised.

    Raises:
        ConfigError: the file is missing, or a row cannot be read; the message names the line.
    """
    return Reader(columns).all_of(rows_of(Path(path)), Path(path).name)


def write_examples(path: str | Path, examples: Iterable[Example]) -> int:
    """Write examples, one JSON object per line; returns the number of examples."""
    count = 0
    with Path(path).open("w", encoding="utf-8", newline="\n") as out:
        for example in examples:
            row: dict[str, Any] = {"messages": _rows(example.conversation)}
            if isinstance(example, Preference):
                answers = {"chosen": example.conversation.answer, "rejected": example.rejected}
                row = {"prompt": _rows(example.conversation.prompt), **answers}
            if example.meta:
                row["meta"] = example.meta
            out.write(json_line(row))
            count += 1
    return count


def stored_examples(path: Path) -> list[Example]:
    """The examples that `write_examples` wrote, texts of any kind: a model may have written anything.

    Raises:
        ConfigError: the file holds something else.
    """
    return [_stored(row, place) for place, row in read_json_lines(path)]


def _stored(row: Any, place: str) -> Example:
    try:
        meta = row.get("meta", {})
        if "messages" in row:
            return Example(Conversation.parse(row["messages"]), meta)
        return Preference(Conversation.parse(row["prompt"]).answered(row["chosen"]), meta, rejected=row["rejected"])
    except (KeyError, AttributeError, ConfigError) as error:
        raise ConfigError(f"{place} is no stored example: {error!r}.", "The artifact is damaged: remove it.") from error


def _rows(talk: Conversation) -> list[dict[str, Any]]:
    """The messages as rows; an answer that is not trained has the weight 0, as in OpenAI's files."""
    return [
        row if message.trained else {**row, "weight": 0}
        for row, message in zip(talk.dump(), talk.messages, strict=True)
    ]
