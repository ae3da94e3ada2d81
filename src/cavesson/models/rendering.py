"""Conversations to token ids and a loss mask, by the tokenizer's own chat template."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

from transformers import PreTrainedTokenizerBase

from cavesson.chat import Conversation, Message
from cavesson.errors import ConfigError, nearest
from cavesson.models.encoding import After, TextEncoder
from cavesson.models.splitting import Segment, Skeleton, Splitter
from cavesson.models.template import ChatTemplate

TrainOn = Literal["answers", "last", "all"]
"""The tokens that are trained: every answer with its end-of-turn token, the last answer only, or every token."""


class Rendered(NamedTuple):
    """Token ids of a conversation, and for each token 1 if it is trained, else 0."""

    ids: list[int]
    mask: list[int]


class Renderer:
    """Renders conversations for one tokenizer.

    Token ids are those of the tokenizer's own `apply_chat_template`, with three differences for experiments. A special
    token's name inside a message is text. The text is encoded anew where an answer starts and ends, so that a model is trained
    to continue exactly the prompt that it is sampled with. A template that writes today's date always gets the same date.

    Args:
        tokenizer: a fast tokenizer with a chat template.

    Raises:
        ConfigError: the tokenizer has no chat template, or is not a fast one.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.name = repr(tokenizer.name_or_path) if tokenizer.name_or_path else "the tokenizer"
        try:
            source = tokenizer.get_chat_template()
        except ValueError as error:
            raise ConfigError(
                f"{self.name} has no chat template.", "Use a chat model, or put a chat_template.jinja into its folder."
            ) from error
        self.encoder = TextEncoder(tokenizer)
        self.template = ChatTemplate(source, dict(tokenizer.special_tokens_map), self.name)
        self.splitter = Splitter(self.template, self.encoder)

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
        rows = [self.splitter.split(self._turns(talk), prompt=False) for talk in talks]
        rendered = []
        for talk, (skeleton, _), pieces in zip(talks, rows, self._encode(rows), strict=True):
            wanted = [message.trained for message in talk.messages if message.role == "assistant"]
            flags = self._flags(skeleton, train_on, wanted)
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
        """The text of these tokens, without special tokens."""
        return self.encoder.decode(ids)

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

    def _flags(self, skeleton: Skeleton, train_on: TrainOn, wanted: Sequence[bool]) -> list[int]:
        """For each segment 1 if it is trained, else 0.

        Args:
            wanted: for each answer whether the data want it trained.

        Raises:
            ConfigError: the start of an answer that is to be trained, or to be left out, could not be proven.
        """
        numbers = (n for n, segment in enumerate(skeleton.segments) if segment.trained)
        answers = [next(numbers) if proven else None for proven in skeleton.proven]
        asked = [want and (train_on != "last" or n + 1 == len(wanted)) for n, want in enumerate(wanted)]
        if train_on == "all":
            decided, chosen = [answer for answer, want in zip(answers, wanted, strict=True) if not want], None
        else:
            decided = chosen = [answer for answer, want in zip(answers, asked, strict=True) if want]
        if None in decided:
            last_proven = bool(skeleton.proven) and skeleton.proven[-1]
            way = "Train on the last answer only (train_on='last'), or enclose" if last_proven else "Enclose"
            raise ConfigError(
                f"The chat template of {self.name} cannot be split: an answer does not continue the prompt that asks for it.",
                f"{way} the answers in {{% generation %}} … {{% endgeneration %}} in the template.",
            )
        if chosen is None:
            return [int(n not in decided) for n in range(len(skeleton.segments))]
        return [int(n in chosen) for n in range(len(skeleton.segments))]

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


def _text(segment: Segment, fill: Sequence[str]) -> str:
    return "".join([fill[part] if isinstance(part, int) else part for part in segment.parts])
