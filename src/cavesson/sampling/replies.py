"""What a reply of an OpenAI-compatible endpoint says: its completions, their cost, or why there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from cavesson.sampling.endpoint import Odd, Reply, mended
from cavesson.sampling.sampler import Completion

ENDED = ("stop", "eos", "eos_token", "end_turn", "stop_sequence")
"""What servers give as `finish_reason` when the model has ended its turn, or has written a stop text."""
TOOLS = ("tool_calls", "function_call")
FILTERS = ("content_filter", "content_policy_violation")
"""Codes of a filter, as a `finish_reason`, or as the error with which some servers answer a filtered prompt."""


def read(reply: Reply, n: int) -> tuple[list[Completion], Counter[str]]:
    """The completions in a good reply, and their cost in requests and tokens.

    Raises:
        Odd: the reply does not hold `n` choices, each with a message.
    """
    value = reply.value
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list):
        raise Odd(f"the reply has no list of choices ({reply.excerpt!r})")
    if len(choices) != n:
        raise Odd(f"the reply has {len(choices)} choices, not {n}", "Ask for one answer to each prompt (n = 1).")
    return [_completion(choice) for choice in choices], _cost(value.get("usage"))


def filtered(reply: Reply, n: int) -> tuple[list[Completion], Counter[str]] | None:
    """The completions of a prompt that the server's filter refused with an error; None: the error is another one."""
    error = reply.error or {}
    if reply.status != 400 or error.get("code") not in FILTERS:
        return None
    return [Completion("", (), False, fault="filtered")] * n, Counter(requests=1)


def _completion(choice: Any) -> Completion:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise Odd("a choice has no message")
    parts = _parts(message.get("content"))
    text = mended("".join(_text(part) for part in parts if part.get("type") == "text"))
    refused = bool(message.get("refusal")) or any(part.get("type") == "refusal" for part in parts)
    called = any(message.get(name) for name in TOOLS)
    fault = _fault(choice.get("finish_reason"), text, refused=refused, called=called)
    return Completion(text, (), not fault, fault=fault)


def _parts(content: Any) -> Sequence[dict[str, Any]]:
    """The parts of a message's content; a text is one part, and null none."""
    parts = [{"type": "text", "text": content or ""}] if isinstance(content, str | None) else content
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise Odd("a message's content is neither text nor a list of parts")
    return parts


def _text(part: dict[str, Any]) -> str:
    text = part.get("text")
    if not isinstance(text, str):
        raise Odd("a text part of a message holds no text")
    return text


def _fault(reason: Any, text: str, *, refused: bool, called: bool) -> str:
    """Why a choice is no whole answer (one of `sampler.FAULTS`); "": it is one."""
    if reason in FILTERS:
        return "filtered"
    if refused:
        return "refused"
    if called or reason in TOOLS:
        return "tool call"
    if reason == "length":
        return "cut"
    if not text.strip():
        return "empty"
    return "" if reason in ENDED else "ended otherwise"


def _cost(usage: Any) -> Counter[str]:
    """The cost of a request; `without_usage` counts the requests whose tokens the server does not tell."""
    names = ("prompt_tokens", "completion_tokens")
    told: list[Any] = [usage.get(name) for name in names] if isinstance(usage, dict) else []
    if not told or not all(type(tokens) is int and 0 <= tokens < 1 << 40 for tokens in told):
        return Counter(requests=1, without_usage=1)
    return Counter(requests=1, tokens=sum(told), **dict(zip(names, told, strict=True)))
