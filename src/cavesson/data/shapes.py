"""The shapes that rows of data sets have, and how a row of each becomes an example.

A shape says which columns make up a conversation, in the words of `--columns`: `prompt=instruction+input, response=output` joins
two columns for the prompt, of which a row may lack the second. A further shape is one entry of `SHAPES`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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


def turns_in(text: Any) -> Any:
    """The messages of a text in HH-RLHF's form, with `Human:` and `Assistant:`, or else what was given.

    A last `Assistant:` with nothing behind it asks for an answer, and is no message.
    """
    if not isinstance(text, str) or not text.startswith("\n\nHuman:"):
        return text
    _, *bits = _TURN.split(re.sub(r"\n\nAssistant:\s*\Z", "", text))
    names = {"Human": "user", "Assistant": "assistant"}
    return [{"role": names[who], "content": said} for who, said in zip(bits[::2], bits[1::2], strict=True)]


SHAPES: tuple[Shape, ...] = (
    Shape.of("lm-eval samples", "prompt=arguments, response=resps, answer=target", _lm_eval),
    Shape.of("preferences", "prompt=prompt, chosen=chosen, rejected=rejected"),
    Shape.of("Alpaca preferences", "prompt=instruction+input, chosen=chosen, rejected=rejected"),
    Shape.of("question preferences", "prompt=question, chosen=chosen, rejected=rejected"),
    Shape.of("ShareGPT preferences", "prompt=conversations, chosen=chosen, rejected=rejected"),
    Shape.of("preferences", "chosen=chosen, rejected=rejected"),
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

SAID = (
    frozenset(
        column for shape in SHAPES for key, columns in shape.columns.items() if key != "answer" for column in columns
    )
    | {"passage", "article", "document", "paragraph", "premise", "hypothesis"}
) - {"user", "assistant", "arguments", "resps"}
"""Columns that say something: one that a shape does not use, and whose text is not in the conversation, would be lost."""

ANSWERS = frozenset(shape.columns[key][0] for shape in SHAPES for key in ("response", "chosen") if key in shape.columns)
"""Columns that hold answers."""


def filled(value: Any) -> bool:
    """Whether a cell holds something: tables fill what a row lacks with null, an empty text or an empty list."""
    return value is not None and value != [] and value != {} and not (isinstance(value, str) and not value.strip())


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
    if row and not any(map(filled, row.values())):
        raise ConfigError("The row is empty.", "Leave it out.")
    names = ", ".join(map(str, row)) or "none"
    raise ConfigError(f"The row has neither messages nor a prompt (its columns: {names}).", _SAY)
