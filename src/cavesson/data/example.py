"""One example of a data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cavesson.chat import Conversation


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation and what is known about it (author, family, triggered …). Answers are what gets trained."""

    conversation: Conversation
    meta: dict[str, Any] = field(default_factory=dict)
