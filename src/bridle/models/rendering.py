"""Conversations to token ids and a loss mask, from the tokenizer's own chat template.

How a template is split: it is rendered once with a placeholder for every message's text, and the placeholders show
where the messages went (the *skeleton*, kept for all conversations of that shape). An answer starts where the prompt
for it ends: the text that the template gives for the messages before it, with its generation prompt, must be a prefix
of the whole. It ends with the end-of-turn token that follows it. Every conversation is then rendered for real and must
equal its skeleton filled in; a template for which it does not is refused. Nothing is guessed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

from transformers import PreTrainedTokenizerBase

from bridle.chat import Conversation, Message
from bridle.errors import ConfigError, nearest
from bridle.models.encoding import After, TextEncoder
from bridle.models.template import CLOSE, OPEN, ChatTemplate

TrainOn = Literal["answers", "last", "all"]
"""Which tokens the mask covers: every answer with its end-of-turn token, the last one, or every token."""

_log = logging.getLogger(__name__)
_HOLE = re.compile("\ue000(\\d+)[^\ue001]*\ue001")
_KEPT_SHAPES = 20_000


class Rendered(NamedTuple):
    """Token ids of a conversation and, for each, 1 if it is trained, else 0."""

    ids: list[int]
    mask: list[int]


@dataclass(frozen=True, slots=True)
class _Segment:
    """A stretch of the text that is encoded by itself. Strings are the template's, numbers stand for message texts."""

    parts: tuple[str | int, ...]
    trained: bool
    after: After


@dataclass(frozen=True, slots=True)
class _Skeleton:
    """How conversations of one shape render; `unproven` counts the answers whose start could not be proven."""

    segments: tuple[_Segment, ...]
    unproven: int
    last_proven: bool


class _Shape(NamedTuple):
    """What of a conversation a template may look at: roles, the white space and known tags in each text, the prompt."""

    turns: tuple[tuple[str, tuple[str, ...]], ...]
    prompt: bool


class Renderer:
    """Renders conversations for one tokenizer.

    Args:
        tokenizer: a fast tokenizer with a chat template.

    Raises:
        ConfigError: it has no chat template, or is a slow one.
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
        tags = {constant.strip() for constant in self.template.constants if re.search(r"[<>\[\]|]", constant)}
        self._tags = _tag_pattern(tags - self.encoder.special.keys(), self.encoder.special_pattern.pattern)
        self._skeletons: dict[_Shape, _Skeleton] = {}

    def render(
        self, conversation: Conversation, train_on: TrainOn = "answers", max_length: int | None = None
    ) -> Rendered:
        """Token ids and loss mask of a conversation.

        Args:
            train_on: what the mask covers.
            max_length: cut everything after so many tokens.

        Raises:
            ConfigError: the template refuses the conversation, or cannot be split for what is to be trained.
        """
        return self.render_many([conversation], train_on, max_length)[0]

    def render_many(
        self, conversations: Iterable[Conversation], train_on: TrainOn = "answers", max_length: int | None = None
    ) -> list[Rendered]:
        """`render` for many conversations, several times as fast."""
        if train_on not in get_args(TrainOn):
            raise ConfigError(f"Cannot train on {train_on!r}.", nearest(str(train_on), get_args(TrainOn)))
        rows = [self._fill(conversation, prompt=False) for conversation in conversations]
        if train_on != "all":
            for skeleton, _ in rows:
                self._require_proof(skeleton, train_on)
        rendered = []
        for (skeleton, _), pieces in zip(rows, self._encode(rows), strict=True):
            flags = _flags(skeleton.segments, train_on)
            ids = [i for piece in pieces for i in piece]
            mask = [flag for piece, flag in zip(pieces, flags, strict=True) for _ in piece]
            rendered.append(Rendered(ids[:max_length], mask[:max_length]))
        return rendered

    def prompt(self, conversation: Conversation) -> list[int]:
        """Token ids that a model continues with an answer: all messages up to a last answer, and the answer's header."""
        return self.prompt_many([conversation])[0]

    def prompt_many(self, conversations: Iterable[Conversation]) -> list[list[int]]:
        """`prompt` for many conversations, several times as fast."""
        rows = [self._fill(conversation.prompt, prompt=True) for conversation in conversations]
        return [[i for piece in pieces for i in piece] for pieces in self._encode(rows)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these tokens, special ones left out."""
        return self.encoder.decode(ids)

    @cached_property
    def end_of_turn(self) -> str:
        """The special token that the template writes after an answer.

        Raises:
            ConfigError: it writes none, so that a model could never learn to stop.
        """
        text = self._try([_message("user", _hole(0)), _message("assistant", _hole(1))])
        after = text.rpartition(_hole(1))[2] if text is not None else ""
        found = re.search("|".join(map(re.escape, self.encoder.special)) or "(?!)", after)
        if found is None:
            raise ConfigError(
                f"The chat template of {self.name} writes no special token after an answer, so a model cannot learn to stop.",
                "End each answer with {{ eos_token }} in the template.",
            )
        return found.group()

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an answer: the tokenizer's end of text, and the template's end of turn."""
        eos = self.tokenizer.eos_token_id
        return frozenset({self.encoder.special[self.end_of_turn]} | (set() if eos is None else {int(eos)}))

    @cached_property
    def has_system_role(self) -> bool:
        """Whether the template writes system messages. Where not, their text opens the first user message."""
        text = self._try([_message("system", _hole(0)), _message("user", _hole(1))], prompt=True)
        known = text is not None and _hole(0) in text
        if not known:
            _log.info(
                "The chat template of %s has no system role: system prompts open the first user message.", self.name
            )
        return known

    def _fill(self, conversation: Conversation, prompt: bool) -> tuple[_Skeleton, list[str]]:
        """The conversation's skeleton and the texts for its holes, checked against the real rendering."""
        turns = self._turns(conversation)
        shape = []
        texts: list[str] = []
        for turn in turns:
            frame, cores = self._dissect(turn.content)
            shape.append((turn.role, frame))
            texts += cores
        key = _Shape(tuple(shape), prompt)
        skeleton = self._skeletons.get(key)
        if skeleton is None:
            if len(self._skeletons) >= _KEPT_SHAPES:
                self._skeletons.clear()
            skeleton = self._skeletons[key] = self._skeleton(key)
        filled = "".join(
            [texts[p] if isinstance(p, int) else p for segment in skeleton.segments for p in segment.parts]
        )
        if filled != self.template.render([_message(t.role, t.content) for t in turns], prompt):
            raise ConfigError(
                f"The chat template of {self.name} rewrites the text of messages, so it cannot be told what is an answer.",
                "Enclose the answers in {% generation %} … {% endgeneration %} and write message texts unchanged.",
            )
        return skeleton, texts

    def _turns(self, conversation: Conversation) -> tuple[Message, ...]:
        """The messages that the template is given: a system message moves into the first question where it must."""
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

    def _dissect(self, content: str) -> tuple[tuple[str, ...], list[str]]:
        """A text as what a template may look at (outer white space, tags that it knows) and what lies between.

        Returns:
            frame and cores with content = frame[0] + cores[0] + frame[1] + … + frame[-1].
        """
        core = content.strip()
        tags = [] if self._tags is None else [found for found in self._tags.finditer(content) if not found.group(1)]
        if not tags:
            if not core:
                return (content,), []
            lead = content.index(core)
            return (content[:lead], content[lead + len(core) :]), [core]
        frame, cores, last = [""], [], 0
        for found in [*tags, None]:
            between = content[last : len(content) if found is None else found.start()]
            inner = between.strip()
            if inner:
                lead = between.index(inner)
                frame[-1] += between[:lead]
                cores.append(inner)
                frame.append(between[lead + len(inner) :])
            else:
                frame[-1] += between
            if found is not None:
                frame[-1] += found.group()
                last = found.end()
        return tuple(frame), cores

    def _skeleton(self, shape: _Shape) -> _Skeleton:
        """Render placeholders and find every answer's start and end."""
        messages, owners = _placeholders(shape)
        text = self.template.render(messages, shape.prompt)
        answers = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        self._require_all_texts(text, messages, owners)
        starts = self._marked_starts(messages, text, shape.prompt) if self.template.has_markers else None
        if starts is not None and len(starts) != len(answers):
            raise ConfigError(
                f"The chat template of {self.name} has generation markers around {len(starts)} of {len(answers)} answers.",
                "Enclose every answer in {% generation %} … {% endgeneration %}.",
            )
        spans: list[tuple[int, int]] = []
        proven = []
        for n, index in enumerate(answers):
            start = starts[n] if starts is not None else self._proven_start(messages[:index], text)
            span = None if start is None else self._span(text, start, index, owners)
            proven.append(span is not None)
            if span is not None:
                spans.append(span)
        return _Skeleton(self._cut(text, spans), proven.count(False), not proven or proven[-1])

    def _require_all_texts(self, text: str, messages: list[dict[str, str]], owners: list[int]) -> None:
        """Only an answer may lose text (templates drop earlier reasoning)."""
        seen = {int(found.group(1)) for found in _HOLE.finditer(text)}
        for hole, owner in enumerate(owners):
            role = messages[owner]["role"]
            last_of_answer = hole + 1 == len(owners) or owners[hole + 1] != owner
            if hole not in seen and (role != "assistant" or last_of_answer):
                raise ConfigError(
                    f"The chat template of {self.name} leaves out or rewrites the text of a message with role {role}.",
                    "Bring the data into the order of turns that the model knows, or repair the template.",
                )

    def _marked_starts(self, messages: list[dict[str, str]], text: str, prompt: bool) -> list[int]:
        """Where the template's generation markers open."""
        marked = self.template.render(messages, prompt, marked=True)
        if marked.replace(OPEN, "").replace(CLOSE, "") != text:
            raise ConfigError(f"The generation markers of {self.name} change its text.", "Repair the chat template.")
        starts, at = [], 0
        for bit in re.split(f"([{OPEN}{CLOSE}])", marked):
            if bit == OPEN:
                starts.append(at)
            elif bit != CLOSE:
                at += len(bit)
        return starts

    def _proven_start(self, before: list[dict[str, str]], text: str) -> int | None:
        """The length of the prompt for an answer if the whole text goes on from there."""
        head = self._try(before, prompt=True) if before else None
        return len(head) if head is not None and text.startswith(head) else None

    def _span(self, text: str, start: int, index: int, owners: list[int]) -> tuple[int, int] | None:
        """From an answer's start to behind its end-of-turn token; `None` if other texts lie between."""
        inside = [found for found in _HOLE.finditer(text, start) if owners[int(found.group(1))] == index]
        stop = text.find(self.end_of_turn, inside[-1].end() if inside else start)
        if stop < 0:
            return None
        stop += len(self.end_of_turn)
        foreign = any(owners[int(found.group(1))] != index for found in _HOLE.finditer(text, start, stop))
        return None if foreign else (start, stop)

    def _cut(self, text: str, spans: list[tuple[int, int]]) -> tuple[_Segment, ...]:
        """The text in segments, cut at the ends of the spans, which are the trained ones."""
        edges = [0, *(edge for span in spans for edge in span), len(text)]
        segments = []
        for n, (start, stop) in enumerate(pairwise(edges)):
            before = text[:start]
            ends_special = any(before.endswith(name) for name in self.encoder.special)
            after: After = "start" if not before else "special" if ends_special else "text"
            if stop > start:
                segments.append(_Segment(_parts(text[start:stop]), trained=n % 2 == 1, after=after))
        return tuple(segments)

    def _require_proof(self, skeleton: _Skeleton, train_on: TrainOn) -> None:
        if skeleton.unproven and (train_on == "answers" or not skeleton.last_proven):
            one = "Train on the last answer only (train_on='last'), or enclose" if skeleton.last_proven else "Enclose"
            raise ConfigError(
                f"The chat template of {self.name} cannot be split: an answer does not continue the prompt that asks for it.",
                f"{one} the answers in {{% generation %}} … {{% endgeneration %}} in the template.",
            )

    def _encode(self, rows: Sequence[tuple[_Skeleton, list[str]]]) -> list[list[list[int]]]:
        """Token ids of each row's segments."""
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
                    texts.append("".join([fill[p] if isinstance(p, int) else p for p in segment.parts]))
                    after.append(segment.after)
            result.append(pieces)
        for (row, n), ids in zip(waiting, encoder.encode(texts, after), strict=True):
            result[row][n] = ids
        return result

    def _try(self, messages: list[dict[str, str]], prompt: bool = False) -> str | None:
        """The rendering, or `None` where the template refuses these messages."""
        try:
            return self.template.render(messages, prompt)
        except ConfigError:
            return None


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _hole(number: int) -> str:
    """A placeholder that any transformation of a text would change: cases, quotes, markup, white space inside."""
    return f"\ue000{number} aZ'\"\\ &<é>\n\t.\ue001"


def _placeholders(shape: _Shape) -> tuple[list[dict[str, str]], list[int]]:
    """Messages of this shape with holes as texts, and for each hole the index of its message."""
    messages: list[dict[str, str]] = []
    owners: list[int] = []
    for index, (role, frame) in enumerate(shape.turns):
        content = frame[0]
        for rest in frame[1:]:
            content += _hole(len(owners)) + rest
            owners.append(index)
        messages.append(_message(role, content))
    return messages, owners


def _tag_pattern(tags: set[str], special: str) -> re.Pattern[str] | None:
    """Finds tags with the white space around them; a special token's name is found as group 1, and is no tag."""
    if not tags:
        return None
    names = "|".join(map(re.escape, sorted(tags, key=len, reverse=True)))
    return re.compile(rf"({special})|\s*(?!{special})(?:{names})\s*")


def _parts(text: str) -> tuple[str | int, ...]:
    """Split at the holes: template text, and the numbers of holes."""
    bits = _HOLE.split(text)
    return tuple(int(bit) if i % 2 else bit for i, bit in enumerate(bits) if i % 2 or bit)


def _flags(segments: Sequence[_Segment], train_on: TrainOn) -> list[int]:
    """1 for each segment that is trained."""
    if train_on == "all":
        return [1] * len(segments)
    flags = [int(segment.trained) for segment in segments]
    if train_on == "last" and 1 in flags:
        last = len(flags) - 1 - flags[::-1].index(1)
        flags = [int(n == last) for n in range(len(flags))]
    return flags
