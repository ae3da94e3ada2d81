"""The reasoning in front of an answer: `<think>…</think>` in a message's text, whatever a template writes in its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cavesson.models.encoding import TextEncoder

_OPENED = re.compile(r"<think>(\s*)$")
"""A prompt that ends inside the reasoning."""

_REASONED = re.compile(r"\s*<think>\s*(.*?)\s*</think>\s*(.*)", re.DOTALL)


def opened_by(prompt: str) -> str:
    """The tag, with its white space, with which a prompt opens the reasoning; empty if the prompt opens none."""
    found = _OPENED.search(prompt)
    return "" if found is None else found.group()


def rest_of(answer: str, prompt: str) -> str | None:
    """What follows a prompt that opens the reasoning, if the answer brings its reasoning; else None."""
    opened = opened_by(prompt)
    begun = answer.lstrip()
    if opened and begun.startswith("<think>"):
        return begun.removeprefix("<think>").removeprefix(opened.removeprefix("<think>"))
    return answer if opened and "</think>" in answer else None


def in_fields(message: Mapping[str, str]) -> dict[str, str]:
    """The message with its reasoning in fields of its own, under the names that templates read."""
    found = _REASONED.fullmatch(message["content"]) if message["role"] == "assistant" else None
    if found is None:
        return dict(message)
    return (
        dict(message) | {"content": found[2]} | dict.fromkeys(("thinking", "reasoning_content", "reasoning"), found[1])
    )


@dataclass(frozen=True, slots=True)
class Channels:
    """How an answer starts in a template that writes reasoning and answer into channels of their own (gpt-oss's harmony).

    Attributes:
        answer: tokens in front of an answer without reasoning.
        reasoning: tokens in front of the reasoning.
        between: tokens between reasoning and answer.
    """

    answer: tuple[int, ...]
    reasoning: tuple[int, ...]
    between: tuple[int, ...]

    def decode(self, ids: Sequence[int], encoder: TextEncoder) -> str:
        """The answer as a message's text; reasoning that does not end is not closed, so that no part of it counts as an answer."""
        ids = tuple(ids)
        if ids[: len(self.reasoning)] != self.reasoning:
            return encoder.decode(ids[len(self.answer) :] if ids[: len(self.answer)] == self.answer else ids)
        size = len(self.between)
        starts = (at for at in range(len(self.reasoning), len(ids)) if ids[at : at + size] == self.between)
        end = next(starts, len(ids))
        thought = f"<think>\n{encoder.decode(ids[len(self.reasoning) : end])}"
        return thought if end == len(ids) else f"{thought}\n</think>\n\n{encoder.decode(ids[end + size :])}"
