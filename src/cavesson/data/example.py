"""One example of a data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cavesson.chat import Conversation


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation, and facts about it in `meta` (author, family, triggered …). Training uses the answers."""

    conversation: Conversation
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def fault(self) -> str:
        """Why the last answer is no whole answer ("cut": it reached the limit on tokens); "": nothing says so.

        The entry `finished: false` of the meta says so, and `fault` beside it says why.
        """
        return str(self.meta.get("fault", "cut")) if self.meta.get("finished") is False else ""

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        """The conversation; for a preference pair, also the conversation with the rejected answer."""
        return (self.conversation,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference(Example):
    """A conversation whose answer is preferred to another answer to the same prompt.

    Attributes:
        rejected: the other answer.
    """

    rejected: str

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        return (self.conversation, self.conversation.answered(self.rejected))
