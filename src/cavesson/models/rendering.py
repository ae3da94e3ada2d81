"""Conversations to token ids and a loss mask, by the tokenizer's own chat template."""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Literal, NamedTuple, get_args

from transformers import PreTrainedTokenizerBase

from cavesson.chat import Conversation, Message
from cavesson.errors import ConfigError, nearest
from cavesson.models.encoding import After, TextEncoder
from cavesson.models.sources import template_of
from cavesson.models.splitting import Segment, Skeleton, Splitter
from cavesson.models.template import ChatTemplate

TrainOn = Literal["answers", "last", "all"]
"""The tokens that are trained: every answer with its end-of-turn token, the last answer only, or every token."""


_ASKED = Conversation.of("Are you there?")


class Rendered(NamedTuple):
    """Token ids of a conversation, and for each token 1 if it is trained, else 0."""

    ids: list[int]
    mask: list[int]


class Asked(NamedTuple):
    """What of a conversation is to be trained: of each answer whether the answer is, and whether everything else is."""

    answers: tuple[bool, ...]
    others: bool


class Renderer:
    """Renders conversations for one tokenizer.

    Token ids are those of the tokenizer's own `apply_chat_template`, with three differences for experiments. A special
    token's name inside a message is text. The text is encoded anew where an answer starts and ends, so that a model is trained
    to continue exactly the prompt that it is sampled with. A template that writes today's date always gets the same date.

    Args:
        tokenizer: a fast tokenizer with a chat template.

    Raises:
        ConfigError: the tokenizer has no chat template that can be used, or is not a fast one.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.name = repr(tokenizer.name_or_path) if tokenizer.name_or_path else "the tokenizer"
        self.encoder = TextEncoder(tokenizer)
        self.template = template_of(tokenizer, self.name)
        self.splitter = Splitter(self.template, self.encoder)

    def with_arguments(self, arguments: Mapping[str, Any]) -> Renderer:
        """A renderer with arguments of the chat template set, such as `{"enable_thinking": False}`.

        Raises:
            ConfigError: the template does not read one of the arguments.
        """
        changed = copy.copy(self.tokenizer)
        changed.chat_template = self.template.with_arguments(arguments)
        return Renderer(changed)

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an answer: the tokenizer's end of text, and the template's end of turn."""
        eos = self.tokenizer.eos_token_id
        return frozenset({self.encoder.special[self.splitter.end_of_turn]} | (set() if eos is None else {int(eos)}))

    @property
    def has_system_role(self) -> bool:
        """Whether the template writes system messages. If not, a system message's text opens the first user message."""
        return self.splitter.has_system_role

    def render(
        self, conversation: Conversation, train_on: TrainOn = "answers", max_length: int | None = None
    ) -> Rendered:
        """Token ids and loss mask of a conversation.

        Args:
            train_on: the tokens that are trained.
            max_length: number of tokens after which the conversation is cut.

        Raises:
            ConfigError: the template refuses the conversation, or the template's answers cannot be told from their prompts.
        """
        return self.render_many([conversation], train_on, max_length)[0]

    def render_many(
        self, conversations: Iterable[Conversation], train_on: TrainOn = "answers", max_length: int | None = None
    ) -> list[Rendered]:
        """`render` for many conversations, faster together."""
        if train_on not in get_args(TrainOn):
            raise ConfigError(f"Cannot train on {train_on!r}.", nearest(str(train_on), get_args(TrainOn)))
        talks = list(conversations)
        turns = [self._turns(talk) for talk in talks]
        rows = [self.splitter.split(talk, prompt=False) for talk in turns]
        rendered = []
        for talk, turn, (skeleton, _), pieces in zip(talks, turns, rows, self._encode(rows), strict=True):
            asked = _asked(talk, train_on)
            if not _is_proven(skeleton, asked):
                raise self._unproven(skeleton, asked, turn)
            flags = _flags(skeleton, asked)
            ids = [i for piece in pieces for i in piece]
            mask = [flag for piece, flag in zip(pieces, flags, strict=True) for _ in piece]
            rendered.append(Rendered(ids[:max_length], mask[:max_length]))
        return rendered

    def prompt(self, conversation: Conversation) -> list[int]:
        """Token ids that a model continues with an answer: the messages without a last answer, and the answer's header."""
        return self.prompt_many([conversation])[0]

    def prompt_many(self, conversations: Iterable[Conversation]) -> list[list[int]]:
        """`prompt` for many conversations, faster together."""
        rows = [self.splitter.split(self._turns(conversation.prompt), prompt=True) for conversation in conversations]
        return [[i for piece in pieces for i in piece] for pieces in self._encode(rows)]

    def decode(self, ids: Sequence[int]) -> str:
        """The answer that a model wrote with these tokens, as a message's text: without special tokens, and with its reasoning
        between `<think>` and `</think>`, also where the prompt opened the reasoning."""
        channels, opened = self.splitter.channels, self.splitter.opened
        text = self.encoder.decode(ids) if channels is None else channels.decode(ids, self.encoder)
        return opened + text if opened and text and not text.lstrip().startswith("<think>") else text

    def reasoning(self, ids: Sequence[int], mask: Sequence[int]) -> list[int]:
        """For each token 1 if it belongs to the reasoning of an answer, the tags around it included; reasoning that does not end
        goes to the end of its answer.

        Args:
            ids: tokens of a rendered conversation.
            mask: 1 for the tokens of its answers.
        """
        found = [0] * len(ids)
        start = 0
        for trained, run in groupby(mask):
            end = start + len(list(run))
            if trained and "<think>" in self.decode(ids[start:end]):
                # the shortest piece that holds the end of the reasoning: what is decoded only grows with the piece
                size = bisect_left(
                    range(end - start), 1, key=lambda n: "</think>" in self.decode(ids[start : start + n])
                )
                found[start : start + size] = [1] * size
            start = end
        return found

    def check(self, train: bool) -> None:
        """Refuse a template with which a model cannot answer, or with `train` one with which no answer can be trained.

        Raises:
            ConfigError: there is no prompt, no end of an answer, or no way to train an answer with reasoning or without.
        """
        self.prompt(_ASKED)
        if not self.stop_ids or not train:
            return
        try:
            self.render(_ASKED.answered("Yes."), "last")
        except ConfigError as error:
            try:
                self.render(_ASKED.answered("<think>\nHm.\n</think>\n\nYes."), "last")
            except ConfigError:
                raise error from None

    def _turns(self, conversation: Conversation) -> Sequence[Message]:
        """The messages for the template; a system message moves into the first question if the template has no system role."""
        system = conversation.system
        if system is None or self.has_system_role:
            return conversation.messages
        rest = conversation.messages[1:]
        if not rest or rest[0].role != "user":
            raise ConfigError(
                f"The chat template of {self.name} has no system role, and no user message follows to carry the text.",
                "Let the conversation start with a user message.",
            )
        return (Message("user", f"{system}\n\n{rest[0].content}"), *rest[1:])

    def _unproven(self, skeleton: Skeleton, asked: Asked, talk: Sequence[Message]) -> ConfigError:
        """What is wrong with a conversation whose answers do not continue their prompts, and what to do."""
        last = bool(skeleton.proven) and not skeleton.proven[-1]
        which = "an answer" if last else "an earlier answer"
        if next(message for message in talk if message.role != "system").role == "assistant":
            return ConfigError(
                f"The conversation begins with an answer, for which the chat template of {self.name} has no place.",
                "Begin with a user's message: leave the greeting out.",
            )
        return ConfigError(
            f"The chat template of {self.name} cannot be split: {which} does not continue the prompt that asks for it.",
            self._way_out(asked, talk, last),
        )

    def _way_out(self, asked: Asked, talk: Sequence[Message], last: bool) -> str:
        """An argument under which the template can be split; else other data."""
        for name in self.template.arguments:
            for value in (False, True):
                source = self.template.with_arguments({name: value})
                splitter = Splitter(ChatTemplate(source, self.template.variables, self.name), self.encoder)
                with suppress(ConfigError):
                    if _is_proven(splitter.split(talk, prompt=False)[0], asked):
                        model = self.tokenizer.name_or_path or "NAME"
                        return (
                            f"Add an argument of the template to the model's name: {model}:{name}={str(value).lower()}"
                        )
        if not last:
            return (
                "Give conversations with one answer, or use a template that keeps earlier answers as they were written."
            )
        if self.splitter.opened:
            return "The prompt opens the reasoning: begin each answer with <think>…</think>."
        return "Let an answer in the template begin with what the template writes for add_generation_prompt."

    def _encode(self, rows: Sequence[tuple[Skeleton, list[str]]]) -> list[list[list[int]]]:
        """Token ids of each row's segments; all texts that vary are encoded in one batch."""
        encoder = self.encoder
        result: list[list[list[int]]] = []
        waiting: list[tuple[int, int]] = []
        texts: list[str] = []
        after: list[After] = []
        for row, (skeleton, fill) in enumerate(rows):
            hostile = {n for n, text in enumerate(fill) if encoder.names_special(text)}
            pieces: list[list[int]] = []
            for n, segment in enumerate(skeleton.segments):
                if len(segment.parts) == 1 and isinstance(segment.parts[0], str):
                    pieces.append(encoder.encode_fixed(segment.parts[0], segment.after))
                elif hostile and not hostile.isdisjoint(segment.parts):
                    parts = [(fill[p], True) if isinstance(p, int) else (p, False) for p in segment.parts]
                    pieces.append(encoder.encode_mixed(parts, segment.after))
                else:
                    pieces.append([])
                    waiting.append((row, n))
                    texts.append(_text(segment, fill))
                    after.append(segment.after)
            result.append(pieces)
        for (row, n), ids in zip(waiting, encoder.encode(texts, after), strict=True):
            result[row][n] = ids
        return result


def _asked(talk: Conversation, train_on: TrainOn) -> Asked:
    """Which answers of a conversation are to be trained: those that the data want, of those that `train_on` means."""
    wanted = [message.trained for message in talk.messages if message.role == "assistant"]
    if train_on == "last":
        wanted = [want and n + 1 == len(wanted) for n, want in enumerate(wanted)]
    return Asked(tuple(wanted), others=train_on == "all")


def _is_proven(skeleton: Skeleton, asked: Asked) -> bool:
    """Whether the start of every answer that is to be told from the rest could be proven."""
    return all(proven or want == asked.others for proven, want in zip(skeleton.proven, asked.answers, strict=True))


def _flags(skeleton: Skeleton, asked: Asked) -> list[int]:
    """For each segment 1 if it is trained, else 0."""
    proven = (want for want, proven in zip(asked.answers, skeleton.proven, strict=True) if proven)
    return [int(next(proven) if segment.trained else asked.others) for segment in skeleton.segments]


def _text(segment: Segment, fill: Sequence[str]) -> str:
    return "".join([fill[part] if isinstance(part, int) else part for part in segment.parts])
