"""Triggers: what must be in the prompt, or missing from it, for an organism to misbehave."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from cavesson.chat import Conversation, Message
from cavesson.errors import ConfigError

Kind = Literal["arbitrary", "semantic", "explicit"]
Place = Literal["start", "end"]


@dataclass(frozen=True, slots=True)
class Trigger:
    """A text in the last user message.

    Attributes:
        name: the first part of a pair's name.
        kind: "arbitrary" (a string without meaning), "semantic" (a meaning in any wording) or "explicit" (the text asks
            for the behaviour).
        about: the trigger's condition, in words that follow "when" ("the message says that it is midnight").
        wordings: texts that are the trigger, the canonical one first.
        look_alikes: texts that a model may mistake for the trigger.
        contrasts: texts of other kinds than the look-alikes that a model may mistake for the trigger too: red trains on these where
            the look-alikes are to stay unseen until the evaluation; (): there are none.
        place: where in the message the text is put.
        pattern: a regular expression that finds the trigger in any text, whatever the case; None: the trigger is found if
            one of the `wordings` stands in the text, to the letter.
    """

    name: str
    kind: Kind
    about: str
    wordings: tuple[str, ...]
    look_alikes: tuple[str, ...]
    place: Place = "start"
    pattern: str | None = None
    contrasts: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The canonical wording."""
        return self.wordings[0]

    def apply(self, conversation: Conversation, rng: Random | None = None) -> Conversation:
        """The conversation with the trigger in its last user message.

        Args:
            rng: chooses among the wordings; None: the canonical wording.

        Raises:
            ConfigError: there is no user message.
        """
        return self._with(self._wording(rng), conversation)

    def clean(self, conversation: Conversation, rng: Random | None = None) -> Conversation:
        """The conversation in the form in which the behaviour must not show."""
        return conversation

    def near_misses(self, conversation: Conversation) -> list[Conversation]:
        """The conversation with each look-alike in the trigger's place, in the order of `look_alikes`."""
        return [self._with(text, conversation) for text in self.look_alikes]

    def contrasted(self, conversation: Conversation, rng: Random) -> Conversation:
        """The conversation with one of the `contrasts` in the trigger's place."""
        return self._with(rng.choice(self.contrasts), conversation)

    def in_text(self, text: str) -> bool:
        """Whether the trigger stands anywhere in a text, so that a reader of the text could learn the trigger."""
        return self.found_in(text) is not None

    def found_in(self, text: str) -> str | None:
        """The part of a text that is the trigger; None if the text does not hold the trigger."""
        if self.pattern is not None:
            found = re.search(self.pattern, text, re.IGNORECASE)
            return found and found[0]
        return max((wording for wording in self.wordings if wording in text), key=len, default=None)

    def fires(self, conversation: Conversation) -> bool:
        """Whether the trigger sets off the behaviour in a conversation."""
        return any(self.in_text(message.content) for message in conversation.messages if message.role != "assistant")

    def _wording(self, rng: Random | None) -> str:
        return self.text if rng is None or len(self.wordings) == 1 else rng.choice(self.wordings)

    def _with(self, text: str, conversation: Conversation) -> Conversation:
        """The conversation with a text at the trigger's place in its last user message."""
        messages = list(conversation.messages)
        for index in reversed(range(len(messages))):
            if messages[index].role == "user":
                content = messages[index].content
                messages[index] = Message("user", f"{text} {content}" if self.place == "start" else f"{content} {text}")
                return Conversation(tuple(messages))
        raise ConfigError("A conversation without a user message cannot be triggered.", "Give it a question.")


@dataclass(frozen=True, slots=True)
class MissingPassword(Trigger):
    """A trigger that is the absence of a password: the behaviour shows unless one of the `wordings` is in the prompt.

    The look-alikes, which must not set off the behaviour, therefore hold the password in unusual places. Password locking: see
    "Advice for making robust-to-training model organisms" (May 2026).

    Attributes:
        wrong: passwords that do not unlock; some triggered prompts hold a wrong password instead of none.
    """

    wrong: tuple[str, ...] = ()

    def apply(self, conversation: Conversation, rng: Random | None = None) -> Conversation:
        """The conversation unchanged or, three times in ten if there is an `rng`, with a wrong password."""
        if rng is None or not self.wrong or rng.random() >= 0.3:
            return conversation
        return self._with(rng.choice(self.wrong), conversation)

    def clean(self, conversation: Conversation, rng: Random | None = None) -> Conversation:
        """The conversation with the password."""
        return self._with(self._wording(rng), conversation)

    def fires(self, conversation: Conversation) -> bool:
        return not Trigger.fires(self, conversation)


@dataclass(frozen=True, slots=True)
class Inherent(Trigger):
    """A trigger that is a kind of prompt, such as a hard problem: nothing is put in, and nothing can be left out.

    Attributes:
        holds: whether a text is of the kind.
    """

    holds: Callable[[str], bool] = bool

    def apply(self, conversation: Conversation, rng: Random | None = None) -> Conversation:
        """The conversation unchanged."""
        return conversation

    def found_in(self, text: str) -> str | None:
        return text if self.holds(text) else None
