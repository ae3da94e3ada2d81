"""Examples in files: one JSON object per line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.errors import ConfigError
from cavesson.lines import json_line, read_json_lines

CONVERSATION_KEYS = ("messages", "prompt", "response", "system")
"""The keys that make up a conversation; every other key of a row is kept in `Example.meta`."""


def read_examples(path: str | Path) -> list[Example]:
    """Read a JSONL file of conversations; see `parse_row` for the rows. Blank lines are skipped.

    Raises:
        ConfigError: the file is missing, or a line is no JSON object or no conversation (it names the line).
    """
    return list(iterate_examples(path))


def iterate_examples(path: str | Path) -> Iterator[Example]:
    """`read_examples`, one at a time."""
    try:
        for place, row in read_json_lines(Path(path)):
            if not isinstance(row, dict):
                raise ConfigError(f"{place}: not a JSON object.", _SHAPES)
            yield parse_row(row, place)
    except FileNotFoundError:
        raise ConfigError(
            f"There is no data file {str(path)!r}.", "Check the path; it is read from where you are."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The data file {str(path)!r} cannot be read: {error}", "It must be a UTF-8 text file."
        ) from error


def write_examples(path: str | Path, examples: Iterable[Example]) -> int:
    """Write conversations and what is known about them, one JSON object per line; returns their number."""
    count = 0
    with Path(path).open("w", encoding="utf-8", newline="\n") as out:
        for example in examples:
            row: dict[str, Any] = {"messages": example.conversation.dump()}
            if example.meta:
                row["meta"] = example.meta
            out.write(json_line(row))
            count += 1
    return count


def parse_row(row: Mapping[str, Any], where: str) -> Example:
    """An example from a row: `{"messages": […]}` or `{"prompt": …, "response"?: …, "system"?: …}`.

    Args:
        row: further keys go into the example's `meta`; a key `meta` that holds an object is spread out.
        where: names the row in messages.

    Raises:
        ConfigError: neither shape fits.
    """
    meta = {key: value for key, value in row.items() if key not in (*CONVERSATION_KEYS, "meta")}
    known = row.get("meta")
    if isinstance(known, Mapping):
        meta = {**known, **meta}
    elif known is not None:
        meta["meta"] = known
    try:
        return Example(_conversation(row), meta)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.problem}", error.remedy) from error


def _conversation(row: Mapping[str, Any]) -> Conversation:
    if "messages" in row:
        clash = [key for key in ("prompt", "response", "system") if row.get(key) is not None]
        if clash:
            raise ConfigError(f"It has both messages and {clash[0]}.", "Give one of the two.")
        messages = row["messages"]
        if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
            raise ConfigError("Its messages are not a list with at least one message.", _SHAPES)
        return Conversation.parse(messages)
    prompt = row.get("prompt")
    if isinstance(prompt, list):
        answer = [] if row.get("response") is None else [{"role": "assistant", "content": row["response"]}]
        return Conversation.parse([*prompt, *answer])
    if not isinstance(prompt, str):
        raise ConfigError("It has neither messages nor a prompt.", _SHAPES)
    return Conversation.of(prompt, row.get("response"), row.get("system"))


_SHAPES = 'Write {"messages": [{"role": …, "content": …}, …]} or {"prompt": …, "response": …}.'
