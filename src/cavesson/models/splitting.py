"""Where a chat template puts messages, and which part of a rendered text is an answer.

How a template is split. The template is rendered once with a placeholder for every message's text, and the placeholders show
where the messages went: this is the *skeleton*, kept for all conversations of that shape. An answer starts where its prompt
ends: the template's text for the earlier messages, with the generation prompt, must be a prefix of the whole text. An answer
ends with the special token that the template writes behind it. Then every conversation is rendered for real and must equal its
filled-in skeleton; otherwise the template is refused. Nothing is guessed.

Two kinds of templates need more than that:

- The prompt opens the reasoning (`<think>`), and the template leaves the reasoning out of an answer that it writes. A last answer
  that brings its reasoning then goes on right behind its prompt, as the model itself would write it.
- The header of the next message ends an answer. The text of a last answer then ends with that token, too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, takewhile
from typing import Literal, NamedTuple

from cavesson.chat import Message
from cavesson.errors import ConfigError
from cavesson.models.encoding import THOUGHT, After, TextEncoder
from cavesson.models.reasoning import Channels, in_fields, opened_by, rest_of
from cavesson.models.template import ChatTemplate

_log = logging.getLogger(__name__)
_HOLE = re.compile("\ue000(\\d+)[^\ue001]*\ue001")
_KEPT_SHAPES = 20_000


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a conversation's text that is encoded by itself.

    Attributes:
        parts: strings are the template's text, numbers stand for texts of messages.
        trained: whether the segment is an answer with its end-of-turn token.
        after: what stands before the segment.
    """

    parts: tuple[str | int, ...]
    trained: bool
    after: After


@dataclass(frozen=True, slots=True)
class Skeleton:
    """How conversations of one shape render.

    Attributes:
        segments: the whole text, in order.
        proven: for each answer, whether its start could be proven, and for the last one that nothing of it is left out; an answer
            without a proof is in no trained segment.
    """

    segments: tuple[Segment, ...]
    proven: tuple[bool, ...]


class _Shape(NamedTuple):
    """The parts of a conversation that may change a template's text: roles, white space and known tags, the prompt."""

    turns: tuple[tuple[str, tuple[str, ...]], ...]
    prompt: bool


class Splitter:
    """Splits the text that one chat template gives.

    Args:
        template: the template.
        encoder: holds the tokenizer's special tokens.
    """

    def __init__(self, template: ChatTemplate, encoder: TextEncoder) -> None:
        self.template, self.encoder, self.name = template, encoder, template.owner
        self.special = encoder.special
        tags = {constant.strip() for constant in template.constants if re.search(r"[<>\[\]|]", constant)}
        self._tags = _tag_pattern((tags | THOUGHT) - self.special.keys(), encoder.special_pattern.pattern)
        self._skeletons: dict[_Shape, Skeleton] = {}

    @property
    def end_of_turn(self) -> str:
        """The last of the special tokens that end an answer.

        Raises:
            ConfigError: the template writes none, so a model could never learn to stop.
        """
        return self._ending[-1]

    @cached_property
    def _ending(self) -> tuple[str, ...]:
        """The special tokens that end a last answer: those that stand next to each other behind every answer.

        If the template writes none behind a last answer, the token counts that the next message starts with; if it writes another
        one behind an earlier answer, the first of those behind the last answer.
        """
        last, earlier = self._run_behind("last"), self._run_behind("earlier")
        both = tuple(one for one, other in takewhile(lambda pair: pair[0] == pair[1], zip(last, earlier, strict=False)))
        ending = both or last[:1] or earlier[:1]
        if not ending:
            raise ConfigError(
                f"The chat template of {self.name} writes no special token after an answer, so a model cannot learn to stop.",
                "End each answer with {{ eos_token }} in the template.",
            )
        return ending

    @cached_property
    def _other_ending(self) -> str | None:
        """The special token behind an earlier answer, if a last answer ends otherwise; a model never writes this token there."""
        earlier = self._run_behind("earlier")
        return earlier[0] if earlier and earlier[0] != self._ending[0] else None

    def _run_behind(self, which: Literal["last", "earlier"]) -> tuple[str, ...]:
        """The special tokens behind an answer: the first one there, and those that follow without a gap."""
        talk = [_message("user", _hole(0)), _message("assistant", _hole(1)), _message("user", _hole(2))]
        text = self._try(talk if which == "earlier" else talk[:2])
        after = "" if text is None else text.rpartition(_hole(1))[2].partition(_hole(2))[0]
        found = re.search(f"(?:{self.encoder.special_pattern.pattern})+", after)
        return tuple(self.encoder.special_pattern.findall(found.group())) if found is not None else ()

    @cached_property
    def has_system_role(self) -> bool:
        """Whether the template writes system messages. If not, a system message's text opens the first user message."""
        text = self._try([_message("system", _hole(0)), _message("user", _hole(1))], prompt=True)
        known = text is not None and _hole(0) in text
        if not known:
            _log.info("The chat template of %s has no system role: the prompt opens the first user message.", self.name)
        return known

    @cached_property
    def _fields_text(self) -> str:
        """An answer whose reasoning stands in a field of its own; empty if the template does not write that field."""
        answer = in_fields(_message("assistant", f"<think>{_hole(1)}</think>{_hole(2)}"))
        try:
            text = self.template.render([_message("user", _hole(0)), answer])
        except ConfigError:
            return ""
        return text if _hole(1) in text and _hole(2) in text else ""

    @cached_property
    def channels(self) -> Channels | None:
        """How an answer starts, if the template writes reasoning otherwise than as `<think>…</think>`."""
        if not self._fields_text or "</think>" in self._fields_text:
            return None
        asked = [_message("user", _hole(0))]
        head = self._try(asked, prompt=True) or ""
        plain, reasoned = (
            (self._try([*asked, _message("assistant", text)]) or "").removeprefix(head)
            for text in (_hole(2), f"<think>{_hole(1)}</think>{_hole(2)}")
        )
        reasoning, _, behind = reasoned.partition(_hole(1))
        texts = [plain.partition(_hole(2))[0], reasoning, behind.partition(_hole(2))[0]]
        return Channels(*map(tuple, self.encoder.encode(texts, ["text"] * 3)))

    @cached_property
    def opened(self) -> str:
        """The tag with which a prompt opens the reasoning, with its white space; empty if a prompt opens none."""
        return opened_by(self._try([_message("user", _hole(0))], prompt=True) or "")

    def split(self, messages: Sequence[Message], prompt: bool) -> tuple[Skeleton, list[str]]:
        """The conversation's skeleton and the texts for its placeholders, checked against the real rendering.

        Args:
            prompt: whether the text ends with the header of a further answer.

        Raises:
            ConfigError: the template refuses the conversation, or changes the text of a message.
        """
        turns = []
        texts: list[str] = []
        for message in messages:
            frame, cores = self._dissect(message.content)
            turns.append((message.role, frame))
            texts += cores
        shape = _Shape(tuple(turns), prompt)
        skeleton = self._skeletons.get(shape)
        if skeleton is None:
            if len(self._skeletons) >= _KEPT_SHAPES:
                self._skeletons.clear()
            skeleton = self._skeletons[shape] = self._skeleton(shape)
        filled = "".join(
            [texts[p] if isinstance(p, int) else p for segment in skeleton.segments for p in segment.parts]
        )
        if filled != self._text([_message(m.role, m.content) for m in messages], prompt):
            raise ConfigError(
                f"The chat template of {self.name} rewrites the text of messages, so answers cannot be told from other text.",
                "Let the template write message texts unchanged.",
            )
        return skeleton, texts

    def _dissect(self, content: str) -> tuple[tuple[str, ...], list[str]]:
        """A text cut into its frame (outer white space, and tags that the template knows) and the cores in between.

        Returns:
            frame and cores, with content = frame[0] + cores[0] + frame[1] + … + frame[-1].
        """
        tags = [] if self._tags is None else [found for found in self._tags.finditer(content) if not found.group(1)]
        if not tags:
            core = content.strip()
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

    def _skeleton(self, shape: _Shape) -> Skeleton:
        """Render placeholders and find every answer's start and end."""
        messages, owners = _placeholders(shape)
        text = self._text(messages, shape.prompt)
        self._require_all_texts(text, messages, owners)
        answers = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        starts = [self._proven_start(messages[:index], text) for index in answers]
        if answers and answers[-1] + 1 == len(messages) and _is_cut(text, owners, answers[-1]):
            starts[-1] = None
        spans = [
            None if start is None else self._span(text, start, index, owners, index + 1 == len(messages))
            for start, index in zip(starts, answers, strict=True)
        ]
        segments = self._cut(text, [span for span in spans if span is not None])
        return Skeleton(segments, tuple(span is not None for span in spans))

    def _text(self, messages: list[dict[str, str]], prompt: bool) -> str:
        """The text of a conversation; a last answer goes on behind its prompt, and has an end (see the top of this file)."""
        text = self._render(messages, prompt)
        if prompt or not messages or messages[-1]["role"] != "assistant":
            return text
        head = self._try(messages[:-1], prompt=True) if len(messages) > 1 else None
        if head is not None and not text.startswith(head):
            rest = rest_of(messages[-1]["content"], head)
            return text if rest is None else head + rest + "".join(self._ending)
        return text if self._run_behind("last") else text + "".join(self._ending)

    def _require_all_texts(self, text: str, messages: list[dict[str, str]], owners: list[int]) -> None:
        """Refuse a template that drops a text; only an answer may lose text, as templates drop earlier reasoning."""
        seen = {int(found.group(1)) for found in _HOLE.finditer(text)}
        for hole, owner in enumerate(owners):
            role = messages[owner]["role"]
            last_of_answer = hole + 1 == len(owners) or owners[hole + 1] != owner
            if hole not in seen and (role != "assistant" or last_of_answer):
                raise ConfigError(
                    f"The chat template of {self.name} leaves out or rewrites the text of a message with role {role}.",
                    "Bring the data into the order of turns that the model knows, or repair the template.",
                )

    def _proven_start(self, before: list[dict[str, str]], text: str) -> int | None:
        """The length of the prompt for an answer, if the prompt is a prefix of the whole text; else None."""
        head = self._try(before, prompt=True) if before else None
        return len(head) if head is not None and text.startswith(head) else None

    def _span(self, text: str, start: int, index: int, owners: list[int], last: bool) -> tuple[int, int] | None:
        """Start and end of an answer with the tokens that end it; `None` if other messages' texts lie in between."""
        inside = [found for found in _HOLE.finditer(text, start) if owners[int(found.group(1))] == index]
        behind = inside[-1].end() if inside else start
        ending, other = "".join(self._ending), None if last else self._other_ending
        stop = text.find(ending, behind)
        before = text.find(other, behind) if other is not None else -1
        if before >= 0 and (stop < 0 or before < stop):
            stop = before
        elif stop >= 0:
            stop += len(ending)
            while self.end_of_turn in self.encoder.swallows_space and text[stop : stop + 1].isspace():
                stop += 1
        holds_others = any(owners[int(found.group(1))] != index for found in _HOLE.finditer(text, start, max(stop, 0)))
        return None if stop < 0 or holds_others else (start, stop)

    def _cut(self, text: str, spans: list[tuple[int, int]]) -> tuple[Segment, ...]:
        """The text in segments, cut at both ends of every span; the spans are the trained segments."""
        edges = [0, *(edge for span in spans for edge in span), len(text)]
        segments = []
        for n, (start, stop) in enumerate(pairwise(edges)):
            before = text[:start]
            ends_special = any(before.rstrip().endswith(name) for name in self.encoder.swallows_space)
            ends_special |= any(before.endswith(name) for name in self.special)
            after: After = "start" if not before else "special" if ends_special else "text"
            if stop > start or n % 2:  # an empty answer has its segment too, so that the n-th answer has the n-th
                segments.append(Segment(_parts(text[start:stop]), trained=n % 2 == 1, after=after))
        return tuple(segments)

    def _try(self, messages: list[dict[str, str]], prompt: bool = False) -> str | None:
        """The rendered text, or `None` if the template refuses these messages."""
        try:
            return self._render(messages, prompt)
        except ConfigError:
            return None

    def _render(self, messages: list[dict[str, str]], prompt: bool) -> str:
        return self.template.render([in_fields(m) for m in messages] if self._fields_text else messages, prompt)


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _hole(number: int) -> str:
    """A placeholder that shows any change of a text by the template: of case, quotes, markup or inner white space."""
    return f"\ue000{number} aZ'\"\\ &<é>\n\t.\ue001"


def _placeholders(shape: _Shape) -> tuple[list[dict[str, str]], list[int]]:
    """Messages of this shape with placeholders as texts, and for each placeholder the index of its message."""
    messages: list[dict[str, str]] = []
    owners: list[int] = []
    for index, (role, frame) in enumerate(shape.turns):
        content = frame[0]
        for rest in frame[1:]:
            content += _hole(len(owners)) + rest
            owners.append(index)
        messages.append(_message(role, content))
    return messages, owners


def _is_cut(text: str, owners: list[int], index: int) -> bool:
    """Whether the template leaves out a part of a message, such as the reasoning of an answer where the prompt closes it."""
    seen = {int(found.group(1)) for found in _HOLE.finditer(text)}
    return any(owner == index and hole not in seen for hole, owner in enumerate(owners))


def _tag_pattern(tags: set[str], special: str) -> re.Pattern[str] | None:
    """A pattern for tags with the white space around them. A special token's name is no tag; it matches as group 1."""
    if not tags:
        return None
    names = "|".join(map(re.escape, sorted(tags, key=len, reverse=True)))
    return re.compile(rf"({special})|\s*(?!{special})(?:{names})\s*")


def _parts(text: str) -> tuple[str | int, ...]:
    """The text split at its placeholders: template text, and the numbers of the placeholders."""
    bits = _HOLE.split(text)
    return tuple(int(bit) if i % 2 else bit for i, bit in enumerate(bits) if i % 2 or bit)
