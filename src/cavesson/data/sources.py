"""Reading and writing of examples as JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cavesson.chat import Conversation
from cavesson.data.example import Example, Preference
from cavesson.errors import ConfigError
from cavesson.lines import json_line, read_json_lines

CONVERSATION_KEYS = ("messages", "prompt", "response", "system")
"""The keys that make up a conversation; every other key of a row is kept in `Example.meta`."""

PAIR_KEYS = ("chosen", "rejected")
"""The keys of a row with a preferred and a rejected answer; a row with only one of the keys keeps it in `Example.meta`."""


def read_examples(path: str | Path) -> list[Example]:
    """Read a JSONL file of conversations; see `parse_row` for the rows. Blank lines are skipped.

    Raises:
        ConfigError: the file is missing, or a line is not a JSON object or not a conversation; the message names the line.
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
            f"There is no data file {str(path)!r}.", "Check the path; a relative path starts at the present folder."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The data file {str(path)!r} cannot be read: {error}", "It must be a UTF-8 text file."
        ) from error


def write_examples(path: str | Path, examples: Iterable[Example]) -> int:
    """Write examples, one JSON object per line; returns the number of examples."""
    count = 0
    with Path(path).open("w", encoding="utf-8", newline="\n") as out:
        for example in examples:
            row: dict[str, Any] = {"messages": example.conversation.dump()}
            if isinstance(example, Preference):
                answers = {"chosen": example.conversation.answer, "rejected": example.rejected}
                row = {"prompt": example.conversation.prompt.dump(), **answers}
            if example.meta:
                row["meta"] = example.meta
            out.write(json_line(row))
            count += 1
    return count


def parse_row(row: Mapping[str, Any], where: str) -> Example:
    """An example from a row: `{"messages": […]}` or `{"prompt": …, "response"?: …, "system"?: …}`.

    A row `{"prompt": …, "chosen": …, "rejected": …, "system"?: …}` is a `Preference`. The two answers are texts, or lists of
    messages as in data sets on the hub: the answer alone or, in a row without a prompt, the whole conversation.

    Args:
        row: the row. Further keys go into the example's `meta`; the entries of an object under the key `meta` do, too.
        where: name of the row, for messages.

    Raises:
        ConfigError: the row has none of these shapes.
    """
    is_pair = all(row.get(key) is not None for key in PAIR_KEYS) and row.get("messages") is None
    taken = (*CONVERSATION_KEYS, "meta", *(PAIR_KEYS if is_pair else ()))
    meta = {key: value for key, value in row.items() if key not in taken}
    known = row.get("meta")
    if isinstance(known, Mapping):
        meta = {**known, **meta}
    elif known is not None:
        meta["meta"] = known
    try:
        return _preference(row, meta) if is_pair else Example(_conversation(row), meta)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.problem}", error.remedy) from error


def _preference(row: Mapping[str, Any], meta: dict[str, Any]) -> Preference:
    """The example of a row with a chosen and a rejected answer."""
    pair = [row[key] for key in PAIR_KEYS]
    if row.get("prompt") is None:
        if not all(isinstance(answer, list) for answer in pair):
            raise ConfigError("The row has two answers and no prompt.", _PAIR)
        chosen, rejected = (Conversation.parse(messages) for messages in pair)
        if chosen.prompt != rejected.prompt or chosen.answer is None or rejected.answer is None:
            raise ConfigError("The chosen and the rejected conversation differ before their last answers.", _PAIR)
        return Preference(chosen, meta, rejected=rejected.answer)
    texts = [Conversation.parse(answer).answer if isinstance(answer, list) else answer for answer in pair]
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError("The chosen or the rejected answer is not a text.", _PAIR)
    prompt = {key: row.get(key) for key in ("prompt", "system")}
    return Preference(_conversation({**prompt, "response": texts[0]}), meta, rejected=str(texts[1]))


def _conversation(row: Mapping[str, Any]) -> Conversation:
    if "messages" in row:
        clash = [key for key in ("prompt", "response", "system") if row.get(key) is not None]
        if clash:
            raise ConfigError(f"The row has both messages and {clash[0]}.", "Give one of the two.")
        messages = row["messages"]
        if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
            raise ConfigError("The row's messages are not a list with at least one message.", _SHAPES)
        return Conversation.parse(messages)
    prompt = row.get("prompt")
    if isinstance(prompt, list):
        answer = [] if row.get("response") is None else [{"role": "assistant", "content": row["response"]}]
        return Conversation.parse([*prompt, *answer])
    if not isinstance(prompt, str):
        raise ConfigError("The row has neither messages nor a prompt.", _SHAPES)
    return Conversation.of(prompt, row.get("response"), row.get("system"))


_PAIR = 'Write {"prompt": …, "chosen": …, "rejected": …}.'

_SHAPES = 'Write {"messages": [{"role": …, "content": …}, …]} or {"prompt": …, "response": …}.'
