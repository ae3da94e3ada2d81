"""The shapes that rows of data sets have, and how a row of each becomes an example.

A shape says which columns make up a conversation, in the words of `--columns`: `prompt=instruction+input, response=output` joins
two columns for the prompt, of which a row may lack the second. A further shape is one entry of `SHAPES`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cavesson.chat import Conversation, Message
from cavesson.data.example import Example, Preference
from cavesson.data.messages import checked_text, conversation_of
from cavesson.errors import ConfigError, nearest

Row = Mapping[str, Any]

KEYS = ("messages", "prompt", "response", "system", "chosen", "rejected", "answer")
"""What a column can be: `answer` is the right answer to a question, all else is said in the conversation."""

_SAY = "Say which columns to use: --columns prompt=COLUMN,response=COLUMN (docs/data-files.md lists the shapes that are known)."


@dataclass(frozen=True, slots=True)
class Shape:
    """A way to lay out a conversation in a row.

    Attributes:
        name: of the shape.
        columns: key → the columns that make up its text; the first must be there, the others are joined where they are.
        first: what turns a row into one with these columns.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]]
    first: Callable[[Row], Row] | None = None

    @classmethod
    def of(cls, name: str, columns: str, first: Callable[[Row], Row] | None = None) -> Shape:
        """A shape from the words of `--columns`."""
        return cls(name, parse_columns(columns), first)

    @property
    def asks(self) -> str:
        """The column with the prompt; for preferences without a prompt, the one with the chosen conversation."""
        return next(self.columns[key][0] for key in ("messages", "prompt", "chosen") if key in self.columns)

    def fits(self, row: Row) -> bool:
        """Whether a row has all that the shape names."""
        return all(filled(row.get(columns[0])) for columns in self.columns.values())


def parse_columns(text: str) -> dict[str, tuple[str, ...]]:
    """The columns of a text such as `prompt=instruction+input, response=output`.

    Raises:
        ConfigError: a part is no `KEY=COLUMN`, the key is unknown, or no prompt is named.
    """
    found: dict[str, tuple[str, ...]] = {}
    for part in text.split(","):
        key, equals, columns = (bit.strip() for bit in part.partition("="))
        names = tuple(name.strip() for name in columns.split("+"))
        if not equals or not all(names):
            raise ConfigError(
                f"--columns {text!r}: {part.strip()!r} is no KEY=COLUMN.",
                "Write prompt=instruction+input,response=output.",
            )
        if key not in KEYS:
            raise ConfigError(f"--columns {text!r} names {key!r}.", nearest(key, KEYS))
        if key in found:
            raise ConfigError(
                f"--columns {text!r} names {key!r} twice.", "Join columns with a plus: prompt=instruction+input."
            )
        found[key] = names
    pair = [key for key in ("chosen", "rejected") if key in found]
    if not {"messages", "prompt", "chosen"} & found.keys() or len(pair) == 1:
        lacks = "no prompt" if len(pair) != 1 else f"{pair[0]!r} without the other answer"
        raise ConfigError(f"--columns {text!r} names {lacks}.", "Name prompt, or messages, or chosen and rejected.")
    if "messages" in found and len({"prompt", "response", "chosen"} & found.keys()):
        raise ConfigError(
            f"--columns {text!r} names messages and their parts.", "Name messages alone, or prompt and response."
        )
    return found


def _lm_eval(row: Row) -> Row:
    """A sample of lm-eval (`--log_samples`): what was asked, what came back, and the target."""
    asked = row["arguments"]
    calls = list(asked.values()) if isinstance(asked, Mapping) else asked
    first = calls[0] if calls else None
    parts = list(first.values()) if isinstance(first, Mapping) else first
    if len(calls) != 1 or not parts or (len(parts) > 1 and isinstance(parts[1], str)):
        raise ConfigError(
            "The sample of lm-eval was scored by likelihood, not by an answer.",
            "Give samples of a task that generates.",
        )
    prompt = parts[0]
    if isinstance(prompt, str) and prompt.startswith('[{"role"'):
        prompt = _messages_in(prompt)
    answer = row["resps"]
    while isinstance(answer, (list, tuple)) and answer:
        answer = answer[0]
    return {"arguments": prompt, "resps": answer, **{key: row[key] for key in row if key not in ("arguments", "resps")}}


def _messages_in(text: str) -> Any:
    """The messages that a text of JSON holds, or else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


_TURN = re.compile(r"\n\n(Human|Assistant): ?")


def _of_anthropic(row: Row) -> Row:
    """A row of the HH-RLHF preferences, whose two conversations are texts with `Human:` and `Assistant:`."""

    def turns(text: str) -> list[dict[str, str]]:
        _, *bits = _TURN.split(text)
        names = {"Human": "user", "Assistant": "assistant"}
        return [{"role": names[who], "content": said} for who, said in zip(bits[::2], bits[1::2], strict=True)]

    if not all(isinstance(row[key], str) and row[key].startswith("\n\nHuman:") for key in ("chosen", "rejected")):
        return row
    return {**row, "chosen": turns(row["chosen"]), "rejected": turns(row["rejected"])}


SHAPES: tuple[Shape, ...] = (
    Shape.of("lm-eval samples", "prompt=arguments, response=resps, answer=target", _lm_eval),
    Shape.of("preferences", "prompt=prompt, chosen=chosen, rejected=rejected"),
    Shape.of("Alpaca preferences", "prompt=instruction+input, chosen=chosen, rejected=rejected"),
    Shape.of("question preferences", "prompt=question, chosen=chosen, rejected=rejected"),
    Shape.of("ShareGPT preferences", "prompt=conversations, chosen=chosen, rejected=rejected"),
    Shape.of("preferences", "chosen=chosen, rejected=rejected", _of_anthropic),
    Shape.of("Inspect log", "messages=messages, answer=target"),
    Shape.of("messages", "messages=messages"),
    Shape.of("ShareGPT", "messages=conversations"),
    Shape.of("chat log", "messages=conversation"),
    Shape.of("prompt/response", "prompt=prompt, response=response"),
    Shape.of("prompt/completion", "prompt=prompt, response=completion"),
    Shape.of("prompt/output", "prompt=prompt, response=output"),
    Shape.of("prompt/answer", "prompt=prompt, answer=answer"),
    Shape.of("Alpaca", "prompt=instruction+input, response=output"),
    Shape.of("Dolly", "prompt=instruction+input+context, response=response"),
    Shape.of("question/response", "prompt=question, response=response"),
    Shape.of("question/answer", "prompt=question, answer=answer"),
    Shape.of("query/response", "prompt=query, response=response"),
    Shape.of("query/answer", "prompt=query, answer=answer"),
    Shape.of("problem/solution", "prompt=problem, response=solution"),
    Shape.of("problem/answer", "prompt=problem, answer=answer"),
    Shape.of("user/assistant", "prompt=user, response=assistant"),
    Shape.of("input/output", "prompt=input, response=output"),
    Shape.of("Inspect samples", "prompt=input, answer=target"),
)
"""Every shape that is recognised, in the order in which they are tried. Column names may be written in any case."""

SYSTEM = ("system", "system_prompt")
"""Columns that hold a system prompt, whatever the shape."""

SAID = frozenset(
    column for shape in SHAPES for key, columns in shape.columns.items() if key != "answer" for column in columns
) - {"user", "assistant", "arguments", "resps"}
"""Columns that say something: one that a shape does not use, and whose text is not in the conversation, would be lost."""

ANSWERS = frozenset(shape.columns[key][0] for shape in SHAPES for key in ("response", "chosen") if key in shape.columns)
"""Columns that hold answers."""

_ANSWERS = {"messages", "response", "chosen", "answer"}
"""Keys with which a row has an answer."""

_REFUSED = {
    "tools": "offers tools",
    "functions": "offers functions",
    "images": "holds images",
    "image": "holds an image",
    "videos": "holds videos",
    "audios": "holds sound",
    "history": "has earlier turns in `history`",
    "chat_template_kwargs": "has arguments for the chat template",
}
"""Columns beside a conversation that change what a model is given or learns, and what a row with the column does."""


def filled(value: Any) -> bool:
    """Whether a cell holds something: tables fill what a row lacks with null, an empty text or an empty list."""
    return value is not None and value != [] and value != {} and not (isinstance(value, str) and not value.strip())


@dataclass
class Reader:
    """Reads the rows of one data set, and keeps what was recognised.

    Attributes:
        columns: the user's own mapping in the words of `--columns`; "": every row's shape is recognised.
        rows: number of rows that were read.
        seen: shape → key → the columns that were used (the inner mappings are ordered sets).
        names: every column of any row.
        hollow: number of rows with a column for answers that holds none.
    """

    columns: str = ""
    rows: int = 0
    seen: dict[str, dict[str, dict[str, None]]] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
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
        self.names.update(dict.fromkeys(row))
        self.hollow += not _ANSWERS & used.keys() and self._own is None and not ANSWERS.isdisjoint(row)
        keys = self.seen.setdefault(shape.name, {})
        for key, columns in used.items():
            keys.setdefault(key, {}).update(dict.fromkeys(columns))
        return example

    def summary(self, name: str) -> str:
        """What was read: `read 1,200 rows of data.json as Alpaca: prompt = instruction + input, response = output`."""
        shapes = [
            f"{shape}{'' if _ANSWERS & keys.keys() else ' without answers'}: "
            + ", ".join(f"{key} = {' + '.join(columns)}" for key, columns in keys.items())
            for shape, keys in self.seen.items()
        ]
        known = f" as {'; and as '.join(shapes)}" if shapes else ""
        return f"read {self.rows:,} row{'s' * (self.rows != 1)} of {name}{known}"


def recognised(row: Row) -> tuple[Shape, Row]:
    """The shape of a row, and the row with its columns in that shape's spelling.

    The first shape that fits is taken; of a row without answers, the first whose prompt is there.

    Raises:
        ConfigError: no shape fits.
    """
    for spelt in (row, {str(key).lower(): value for key, value in row.items()}):
        shape = next((shape for shape in SHAPES if shape.fits(spelt)), None) or next(
            (shape for shape in SHAPES if "chosen" not in shape.columns and filled(spelt.get(shape.asks))), None
        )
        if shape is not None and len(spelt) == len(row):
            return shape, spelt
    if {"results", "configs"} <= row.keys():
        raise ConfigError(
            "These are the results of lm-eval, not its samples.", "Give samples_….jsonl, which --log_samples writes."
        )
    names = ", ".join(map(str, row)) or "none"
    raise ConfigError(f"The row has neither messages nor a prompt (its columns: {names}).", _SAY)


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
        _refuse_lost(given, [name for names in used.values() for name in names], example)
    taken = {name for key, names in columns.items() if key != "answer" for name in names}
    rest = {key: value for key, value in given.items() if key not in taken and key != "meta"}
    if "answer" in used:
        rest["answer"] = given[used["answer"][0]]
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
    for key in ("weight", "trainable"):
        if row.get(key) not in (None, 1):
            raise ConfigError(
                f"The row has {key} {row[key]!r}.",
                "Every row is trained alike: leave out rows that are not to be trained.",
            )
    if isinstance(row.get("label"), bool) and filled(row.get("completion")):
        raise ConfigError(
            "The row says whether its completion is good (label), as KTO has it.",
            "Keep the good ones without the label, or give pairs (chosen, rejected).",
        )


def _refuse_lost(row: Row, used: list[str], example: Example) -> None:
    """Refuse a row with a column that says something and is in no message."""
    texts = [message.content for talk in example.conversations for message in talk.messages]
    for name in sorted(SAID.intersection(row).difference(used)):
        if any(text not in said for text in _texts(row[name]) for said in [" ".join(texts)]):
            raise ConfigError(
                f"The row has {name!r} beside {' and '.join(used)}, and Cavesson does not know what {name!r} is for.",
                f"Say which columns to use, such as --columns prompt={used[0]}+{name},response=COLUMN; others are left out.",
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
    if "chosen" in values:
        return _preference(values, system)
    if "messages" in values:
        talk, rest = conversation_of(values["messages"], system)
        return Example(talk, {"messages": rest} if any(rest) else {})
    return Example(_answered(_prompt(values.get("prompt"), system), values.get("response", answer)))


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
    return prompt.answered(checked_text(response, "response"))


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
    value = [value] if isinstance(value, Mapping) else value
    if not isinstance(value, (list, tuple)):
        if asked is None:
            raise ConfigError("The row has two answers and no prompt.", _PAIR)
        return _answered(asked, checked_text(value, f"{key} answer"))
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
