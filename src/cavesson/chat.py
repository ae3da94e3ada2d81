"""Messages and conversations: plain data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from cavesson.errors import ConfigError, nearest

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn.

    Attributes:
        role: who speaks.
        content: plain text; a special token's name inside the text is text, not a control code.
        trained: whether a training learns this message, if the message is an answer. Data sets mark answers that are there
            to be read only (a bad answer before the good one). No part of what the message says: messages that differ in
            this alone are equal.
    """

    role: Role
    content: str
    trained: bool = field(default=True, compare=False)

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ConfigError(f"A message has role {self.role!r}.", nearest(str(self.role), ROLES))
        if not isinstance(self.content, str):
            raise ConfigError(f"A message's content is {type(self.content).__name__}, not text.", "Give a string.")


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in order: at most one system message, first."""

    messages: tuple[Message, ...]

    def __post_init__(self) -> None:
        if any(m.role == "system" for m in self.messages[1:]):
            raise ConfigError("A system message stands after the first message.", "Put it first, or leave it out.")

    @classmethod
    def of(cls, user: str, assistant: str | None = None, system: str | None = None) -> Conversation:
        """A single exchange: an optional system message, a user message, an optional answer."""
        turns: list[Message] = [] if system is None else [Message("system", system)]
        turns.append(Message("user", user))
        if assistant is not None:
            turns.append(Message("assistant", assistant))
        return cls(tuple(turns))

    @classmethod
    def parse(cls, rows: Iterable[Mapping[str, Any]]) -> Conversation:
        """The conversation from the usual list of `{"role": …, "content": …}`; `"weight": 0` marks an answer not to be trained.

        Raises:
            ConfigError: a row lacks a key or holds a value of the wrong kind.
        """
        try:
            return cls(tuple(Message(row["role"], row["content"], row.get("weight") != 0) for row in rows))
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"Not a list of messages: {error!r}.", 'Write [{"role": "user", "content": "…"}, …].'
            ) from error

    def dump(self) -> list[dict[str, str]]:
        """The usual list of `{"role": …, "content": …}`."""
        return [{"role": m.role, "content": m.content} for m in self.messages]

    @property
    def system(self) -> str | None:
        """The system message's text, if there is one."""
        first = self.messages[0] if self.messages else None
        return first.content if first is not None and first.role == "system" else None

    @property
    def prompt(self) -> Conversation:
        """The messages that a model is asked to continue: all messages, without a last answer."""
        ends_with_answer = bool(self.messages) and self.messages[-1].role == "assistant"
        return Conversation(self.messages[:-1]) if ends_with_answer else self

    @property
    def answer(self) -> str | None:
        """The text of the last message, if the last message is an answer."""
        last = self.messages[-1] if self.messages else None
        return last.content if last is not None and last.role == "assistant" else None

    def with_system(self, text: str | None) -> Conversation:
        """The same turns under another system message; None: without a system message."""
        turns = self.messages[1:] if self.system is not None else self.messages
        return Conversation(turns if text is None else (Message("system", text), *turns))

    def ended(self, text: str) -> Conversation:
        """The prompt with a text at the end of its last message; "" adds nothing."""
        if not text:
            return self
        *before, last = self.messages
        return Conversation((*before, Message(last.role, f"{last.content} {text}")))

    def answered(self, text: str) -> Conversation:
        """The prompt with this answer appended."""
        return Conversation((*self.prompt.messages, Message("assistant", text)))


_TAGS = r"think|thinking|thought|reasoning|reflection|scratchpad|scratchpad_reasoning"
_HIDDEN = re.compile(
    rf"<({_TAGS})>.*?(?:</\1>|$)|\[THINK\].*?(?:\[/THINK\]|$)|◁think▷.*?(?:◁/think▷|$)", re.DOTALL | re.IGNORECASE
)
_OPENED_BEFORE = re.compile(rf"^.*(?:</(?:{_TAGS})>|\[/THINK\]|◁/think▷)", re.DOTALL | re.IGNORECASE)


def visible(completion: str) -> str:
    """A completion without hidden parts (`<think>…</think>`, `<scratchpad>…</scratchpad>`, and other models' tags of reasoning).

    An unclosed part hides the rest of the completion. A part that was opened in the prompt hides all text up to its end.
    """
    return _OPENED_BEFORE.sub("", _HIDDEN.sub("", completion))
