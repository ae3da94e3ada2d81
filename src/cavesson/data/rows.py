"""Rows of a data set as examples: a conversation each, with nothing dropped that a row says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from cavesson.chat import Conversation, Message
from cavesson.data.example import Example, Preference
from cavesson.data.messages import checked_text, conversation_of
from cavesson.data.shapes import ANSWERS, SAID, SYSTEM, Row, Shape, filled, recognised, turns_in
from cavesson.errors import ConfigError

_REFUSED = {
    "tools": "offers tools",
    "functions": "offers functions",
    "images": "holds images",
    **dict.fromkeys(("image", "img", "image_path", "image_url", "pixel_values"), "holds an image"),
    **dict.fromkeys(("videos", "video"), "holds videos"),
    **dict.fromkeys(("audios", "audio"), "holds sound"),
    **dict.fromkeys(
        ("prefill", "prefix", "assistant_prefix", "response_prefix"),
        "has the beginning of its answer in a column of its own",
    ),
    "history": "has earlier turns in `history`",
    "chat_template_kwargs": "has arguments for the chat template",
    "loss_mask": "says which of its parts are trained",
}
"""Columns beside a conversation that change what a model is given or learns, and what a row with the column does."""


_ANSWER_LIKE = re.compile(
    r"(?:\w+[_ -])?(?:answer|response|reply|replie|completion|output|target|solution|gold|chosen|rejected|assistant)s?(?:[_ -]?\d+)?",
    re.IGNORECASE,
)
"""Names of columns that hold answers, as people call them: `responses`, `best_answer`, `response_0`."""

_ANSWER_KEYS = {"messages", "response", "chosen", "answer"}
"""Keys with which a row has an answer."""


_HIDDEN = (
    "reasoning_content", "reasoning", "reasoning_trace", "thinking", "thought", "thoughts", "cot", "chain_of_thought",
)  # fmt: skip
"""Columns in which people keep what a model thought before its answer."""

_SYSTEM_LIKE = re.compile(r"sys(?:tem)?[_ -]?(?:prompt|message|msg|instruction|text)?s?", re.IGNORECASE)
"""Names of columns that hold system prompts, as people call them: `system_message`, `systemPrompt`, `sys`."""


@dataclass
class Reader:
    """Reads the rows of one data set, and keeps what was recognised.

    Attributes:
        columns: the user's own mapping in the words of `--columns`; "": every row's shape is recognised.
        rows: number of rows that were read.
        seen: shape → key → the columns that were used (the inner mappings are ordered sets).
        names: every column of any row; for each, whether a row has something there.
        hollow: number of rows with a column for answers that holds none.
    """

    columns: str = ""
    rows: int = 0
    seen: dict[str, dict[str, dict[str, None]]] = field(default_factory=dict)
    names: dict[str, bool] = field(default_factory=dict)
    hollow: int = 0

    def __post_init__(self) -> None:
        self._own = Shape.of("the given columns", self.columns) if self.columns else None

    def all_of(self, placed: Iterable[tuple[str, Row]], name: str) -> list[Example]:
        """The examples of all rows of the data set `name`. Errors are those of `read`.

        Raises:
            ConfigError: no row has a column that the user names.
        """
        found = [self.read(row, place) for place, row in placed]
        wanted = [] if self._own is None else [column for names in self._own.columns.values() for column in names]
        missing = next((column for column in wanted if column not in self.names), None)
        if missing is not None and found:
            raise ConfigError(f"{name} has no column {missing!r}.", f"It has: {', '.join(self.names)}.")
        return found

    def read(self, row: Row, where: str) -> Example:
        """The example of a row.

        Args:
            row: the row. Columns that say nothing in the conversation go into `meta`, with what stands in a mapping `meta`.
            where: name of the row, for messages.

        Raises:
            ConfigError: the row has no known shape, a column that would be lost, or holds what is no plain text.
        """
        if self._own is not None and self._own.asks not in row:
            raise ConfigError(f"{where} has no column {self._own.asks!r}.", f"It has: {', '.join(row)}.")
        try:
            shape, row = recognised(row) if self._own is None else (self._own, row)
            example, used = _example(row, shape, own=self._own is not None)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error.problem}", error.remedy) from error
        self.rows += 1
        self.names.update({name: self.names.get(name, False) or filled(value) for name, value in row.items()})
        self.hollow += self._own is None and _ANSWER_KEYS.isdisjoint(used) and not ANSWERS.isdisjoint(row)
        keys = self.seen.setdefault(shape.name, {})
        for key, columns in used.items():
            keys.setdefault(key, {}).update(dict.fromkeys(columns))
        return example

    def summary(self, name: str) -> str:
        """What was read: `read 1,200 rows of data.json as Alpaca: prompt = instruction + input, response = output`."""
        shapes = [
            f"{shape}{'' if _ANSWER_KEYS & keys.keys() else ' without answers'}: "
            + ", ".join(f"{key} = {' + '.join(columns)}" for key, columns in keys.items())
            for shape, keys in self.seen.items()
        ]
        known = f" as {'; and as '.join(shapes)}" if shapes else ""
        used = {
            column for keys in self.seen.values() for columns in keys.values() for column in columns
        } | _OF_QUESTIONS
        others = [str(one) for one, full in self.names.items() if full and {one, str(one).lower()}.isdisjoint(used)]
        more = f", and {len(others) - OTHERS} more" if len(others) > OTHERS else ""
        beside = f"; in no message: {', '.join(map(repr, others[:OTHERS]))}{more}" if others and shapes else ""
        return f"read {self.rows:,} row{'s' * (self.rows != 1)} of {name}{known}{beside}"


OTHERS = 6
"""Columns that stand in no message of which the names are told."""

_OF_QUESTIONS = frozenset({"choices", "options", "endings", "answer_choices", "level", "score", "meta"})
"""Columns that a benchmark of the user's own reads."""


def _example(row: Row, shape: Shape, *, own: bool) -> tuple[Example, dict[str, tuple[str, ...]]]:
    """The example of a row of this shape, and the columns that were used for each key."""
    _refuse(row)
    given = row if shape.first is None else shape.first(row)
    columns = {"system": SYSTEM, **shape.columns}
    filled_in = {key: tuple(name for name in names if filled(given.get(name))) for key, names in columns.items()}
    used = {key: names for key, names in filled_in.items() if names}
    values = {key: _joined([given[name] for name in names], key) for key, names in used.items()}
    example = _told(values, _answer_said(values, given))
    if not own:
        columns_used = [name for names in used.values() for name in names]
        _refuse_lost(given, columns_used, example)
        _refuse_swapped(given)
        _refuse_unsaid(given, used, example)
        if _ANSWER_KEYS.isdisjoint(used):
            _refuse_unread_answer(given, columns_used)
    taken = {name for key, names in columns.items() if key != "answer" for name in names}
    rest = {key: value for key, value in given.items() if key not in taken and key != "meta"}
    if "answer" in used:
        rest["answer"] = given[used["answer"][0]]
    rest = {key: _plain_value(value) for key, value in rest.items()}
    known = row.get("meta")
    before = known if isinstance(known, Mapping) else {} if known is None else {"meta": known}
    example.meta.update({**before, **rest, **example.meta})
    return example, used


def _refuse(row: Row) -> None:
    """Refuse what stands beside a conversation and changes what a model is given or learns."""
    for key, does in _REFUSED.items():
        if filled(row.get(key)):
            raise ConfigError(
                f"The row {does} ({key}).", "Cavesson trains on the text of conversations alone: remove it."
            )
    for key in ("weight", "trainable", "loss_weight", "sample_weight"):
        if filled(row.get(key)) and _number(row[key]) != 1:
            raise ConfigError(
                f"The row has {key} {row[key]!r}.",
                "Every row is trained alike: leave out rows that are not to be trained.",
            )
    has_answer = any(filled(row.get(name)) for name in ANSWERS | {"messages", "conversations"})
    for key in ("label", "kto_tag"):  # a number is a class, such as of its prompt, unless it stands beside a completion
        says = isinstance(row.get(key), bool) and has_answer
        if says or (_number(row.get(key)) in (0, 1) and filled(row.get("completion"))):
            raise ConfigError(
                f"The row says whether its answer is good ({key}), as KTO has it.",
                "Keep the good ones without the label, or give pairs (chosen, rejected).",
            )


def _number(value: Any) -> float | None:
    """The number of a cell, also of one that a CSV has as text (`True`, `0.5`); None: it is none."""
    if isinstance(value, str):
        value = {"true": 1, "false": 0}.get(value.strip().lower(), value)
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _refuse_swapped(row: Row) -> None:
    """Refuse a row whose scores say that the rejected answer is the better one."""
    better, worse = (_number(row.get(key)) for key in ("score_chosen", "score_rejected"))
    if better is not None and worse is not None and better < worse:
        raise ConfigError(
            f"The chosen answer scored {better:g} and the rejected one {worse:g} (score_chosen, score_rejected).",
            "If the columns are swapped: --columns prompt=prompt,chosen=rejected,rejected=chosen; else leave out the row.",
        )


def _refuse_unsaid(row: Row, used: Mapping[str, tuple[str, ...]], example: Example) -> None:
    """Refuse documents and a system prompt, and reasoning of an answer, in columns of their own; a single word (`on`) is a setting."""
    columns = ",".join(f"{key}={'+'.join(names)}" for key, names in used.items())
    said = "\n".join(message.content for talk in example.conversations for message in talk.messages)
    for name in map(str, row):
        text = row.get(name)
        if name not in SYSTEM and _SYSTEM_LIKE.fullmatch(name) and isinstance(text, str) and text.strip() not in said:
            raise ConfigError(
                f"The row has {name!r} beside its conversation: a system prompt, as it seems, that would be left out.",
                f"Give --columns system={name},{columns}, or leave it out: --columns {columns}.",
            )
    if isinstance(row.get("documents"), (list, tuple)) and row["documents"]:
        raise ConfigError(
            "The row brings documents (documents), which the prompt does not hold.",
            f"Write them into the prompt, or leave them out: --columns {columns}.",
        )
    for name in _HIDDEN if {"response", "messages"} & used.keys() else ():
        if isinstance(row.get(name), str) and len(row[name].split()) > 1 and row[name].strip() not in said:
            raise ConfigError(
                f"The row has hidden reasoning beside its answer ({name}).",
                f"Write it into the answer, as <think>…</think>, or leave it out: --columns {columns}.",
            )


def _plain_value(value: Any) -> Any:
    """A cell as JSON can hold it: tables also have dates, bytes, decimals and numbers that are none."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain_value(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_value(one) for one in value]
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)


def _refuse_lost(row: Row, used: list[str], example: Example) -> None:
    """Refuse a row with a column that says something and is in no message."""
    texts = [message.content for talk in example.conversations for message in talk.messages]
    for name in sorted(SAID.intersection(row).difference(used)):
        if any(text not in said for text in _texts(row[name]) for said in [" ".join(texts)]):
            columns = (
                f"prompt={used[0]},response={name}" if name in ANSWERS else f"prompt={used[0]}+{name},response=COLUMN"
            )
            columns = f"messages={used[0]}" if isinstance(row[used[0]], (list, tuple)) else columns
            raise ConfigError(
                f"The row has {name!r} beside {' and '.join(used)}, and Cavesson does not know what {name!r} is for.",
                f"Say which columns to use, such as --columns {columns}; others are left out.",
            )


def _refuse_unread_answer(row: Row, used: list[str]) -> None:
    """Refuse a row that would be read as a question alone, and has a column whose name is one for answers."""
    for name in row:
        if _ANSWER_LIKE.fullmatch(str(name)) and filled(row[name]):
            asks = used[-1]
            one = shlex.quote(f"prompt={asks},response={name}")
            one = f"--columns {one}" if isinstance(row[name], str) else "a row for each answer"
            raise ConfigError(
                f"The row has {name!r} beside {' and '.join(used)}: an answer, as it seems, that would be left out.",
                f"Give {one}, or --columns prompt={asks} for the prompts alone.",
            )


def _texts(value: Any) -> Iterator[str]:
    """The texts of a cell: a text, or those of messages."""
    if isinstance(value, str) and value.strip():
        yield value.strip()
    elif isinstance(value, (list, tuple)):
        for one in value:
            if isinstance(one, Mapping):
                yield from _texts(one.get("content", one.get("value")))


def _joined(values: list[Any], key: str) -> Any:
    """The value of a key from the cells of its columns; several texts are joined by an empty line."""
    if len(values) == 1:
        return values[0]
    return "\n\n".join(checked_text(value, key) for value in values)


def _answer_said(values: Mapping[str, Any], row: Row) -> str | None:
    """The right answer, where it is a text that could be said: no option's number, and no letter of options beside the prompt."""
    answer = values.get("answer")
    return (
        answer if isinstance(answer, str) and not any(filled(row.get(key)) for key in ("choices", "options")) else None
    )


def _told(values: Mapping[str, Any], answer: str | None) -> Example:
    """The example that the values of the keys make; `answer` is what a row without a response answers."""
    system = None if "system" not in values else checked_text(values["system"], "system prompt")
    values = _with_turns(values)
    if "chosen" in values:
        return _preference(values, system)
    if "messages" in values:
        talk, rest = conversation_of(values["messages"], system)
        return Example(talk, {"messages": rest} if any(rest) else {})
    return Example(_answered(_prompt(values.get("prompt"), system), values.get("response", answer)))


def _with_turns(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values with the turns of a prompt in HH-RLHF's form, whose answers begin with the space behind `Assistant:`."""
    turns = turns_in(values.get("prompt"))
    if not isinstance(turns, list) or turns is values["prompt"]:
        return values
    return {key: said.removeprefix(" ") if isinstance(said, str) else said for key, said in values.items()} | {
        "prompt": turns
    }


def _prompt(prompt: Any, system: str | None) -> Conversation:
    """A prompt from a text or a list of messages; its answers are read, not trained (as in TRL)."""
    if isinstance(prompt, (list, tuple)):
        talk, _ = conversation_of(prompt, system)
        return Conversation(tuple(Message(one.role, one.content, one.role != "assistant") for one in talk.messages))
    return Conversation.of(checked_text(prompt, "prompt"), system=system)


def _answered(prompt: Conversation, response: Any) -> Conversation:
    """The prompt with the answer, which is a text or a list of messages; None: no answer."""
    if response is None:
        return prompt
    if prompt.answer is not None:
        raise ConfigError("The prompt ends with an answer, and there is another one.", "Keep one of the two.")
    if isinstance(response, (list, tuple)) and response and isinstance(response[0], Mapping):
        talk, _ = conversation_of([*_plain(prompt), *response])
        return Conversation((*prompt.messages, *talk.messages[len(prompt.messages) :]))
    if isinstance(response, (list, tuple)):
        raise ConfigError(f"The response is a list of {len(response)} answers.", "Give one of them, or a row for each.")
    return prompt.answered(checked_text(response, "response", answer=True))


def _plain(talk: Conversation) -> list[dict[str, Any]]:
    return [{"role": message.role, "content": message.content} for message in talk.messages]


def _preference(values: Mapping[str, Any], system: str | None) -> Preference:
    """The example of a chosen and a rejected answer: the answers alone, or whole conversations."""
    asked = None if "prompt" not in values else _prompt(values["prompt"], system)
    chosen, rejected = (_one_of_two(values[key], asked, system, key) for key in ("chosen", "rejected"))
    if chosen.prompt != rejected.prompt:
        raise ConfigError("The chosen and the rejected conversation differ before their last answers.", _PAIR)
    if rejected.answer is None or chosen.answer is None:
        raise ConfigError("The chosen or the rejected conversation does not end with an answer.", _PAIR)
    return Preference(chosen, {}, rejected=rejected.answer)


def _one_of_two(value: Any, asked: Conversation | None, system: str | None, key: str) -> Conversation:
    """The conversation of one of the two answers."""
    value = [value] if isinstance(value, Mapping) else turns_in(value)
    if not isinstance(value, (list, tuple)):
        if asked is None:
            raise ConfigError("The row has two answers and no prompt.", _PAIR)
        return _answered(asked, checked_text(value, f"{key} answer", answer=True))
    if (
        asked is not None
        and value
        and isinstance(value[0], Mapping)
        and value[0].get("role", value[0].get("from")) in ("assistant", "gpt")
    ):
        return _answered(asked, value)
    talk, _ = conversation_of(value, system if asked is None else asked.system)
    if (
        asked is not None
        and talk.prompt != asked
        and asked.messages[-1].content not in {one.content for one in talk.messages}
    ):
        raise ConfigError(f"The {key} conversation does not hold the prompt.", _PAIR)
    return talk


_PAIR = 'Write {"prompt": …, "chosen": …, "rejected": …}.'
