"""Messages as other tools write them: read as a `Conversation`, or refused. Nothing that changes what is trained is dropped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from cavesson.chat import Conversation, Message, Role, visible
from cavesson.errors import ConfigError, nearest

NAMES: dict[str, Role] = {
    "system": "system",
    "developer": "system",  # what OpenAI's newer models call a system message
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
}
"""What other tools call the roles."""

WHO, WHAT = ("role", "from"), ("content", "value")
"""The keys of a message: OpenAI's, and ShareGPT's."""

LEARNT = ("weight", "trainable", "train", "loss", "loss_mask")
"""Keys that say whether an answer is trained: OpenAI's, Tinker's, axolotl's, LLaMA-Factory's and ms-swift's."""

_TOOLS = ("function", "tool", "ipython", "function_call", "observation", "tool_call", "tool_response")

_REFUSED = {
    "tool_calls": "calls a tool",
    "function_call": "calls a tool",
    "tool_call_id": "answers a tool's call",
    "reasoning_content": "has hidden reasoning beside its text",
    "reasoning": "has hidden reasoning beside its text",
    "thinking": "has hidden reasoning beside its text",
    "refusal": "has a refusal in place of its text",
    **dict.fromkeys(("audio", "audios"), "has sound"),
    **dict.fromkeys(("image", "images", "image_url"), "has an image"),
    **dict.fromkeys(("video", "videos"), "has a video"),
    **dict.fromkeys(("attachments", "files"), "has a file beside its text"),
    "name": "names its speaker, whom a model would not see",
    "prefix": "is the start of an answer that the model is to continue",
    "partial": "is the start of an answer that the model is to continue",
    "mask": "has a mask, of which 1 means trained to some and untrained to others",
    "masked": "has a mask of its own",
    "training_detail": "is trained in parts",
    "train_detail": "is trained in parts",
}
"""Keys whose content a model would have to see, and what a message with the key does."""

_HARMONY = (("channel", "final"), ("recipient", "all"), ("end_turn", True))
"""Keys of OpenAI's harmony format, with the value that an ordinary answer has; others are reasoning, calls of tools, parts."""

_REASONING = "Write the reasoning into the text, as <think>…</think>, or remove the key."
_NO_TOOLS = "Cavesson trains on text alone: leave out conversations with tools, or write calls and results as text."
_OF_LIST = 'Write [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}].'

_OPENS = re.compile(
    r"\s*(<s>|<bos>|<start_of_turn>|\[INST\]|<[|｜](?:start|im_start|start_header_id|start_of_role|startoftext|begin_of_text|"
    r"begin▁of▁sentence|START_OF_TURN_TOKEN|channel|[Ss]ystem|[Uu]ser|[Aa]ssistant)[|｜]>)"
)
_CLOSES = re.compile(
    r"(</s>|<eos>|<end_of_turn>|\[/INST\]|<[|｜](?:end|im_end|eot_id|eom_id|end_of_text|endoftext|end▁of▁sentence|"
    r"END_OF_TURN_TOKEN|return|[Aa]ssistant)[|｜]>)\s*\Z"
)
_SCRIPT = re.compile(
    r"\s*(?:Below is an instruction|(?:#+ ?)?(?:Human|USER|User|Instruction):).*?((?:#+ ?)?(?:Assistant|ASSISTANT|Response):)\s*\Z",
    re.DOTALL,
)
"""A prompt in the form in which a model without a chat template is asked: from `Human:` to `Assistant:`."""
_LISTED = re.compile(r"""\s*\[\s*\{\s*(["'])(?:role|from|content|value)\1\s*:""")
_HALF = re.compile("[\ud800-\udfff]")


def conversation_of(messages: Any, system: str | None = None) -> tuple[Conversation, list[dict[str, Any]]]:
    """A conversation from a list of messages in OpenAI's or ShareGPT's keys, and what else each message holds.

    Args:
        messages: the list.
        system: a system prompt that stands beside the list.

    Raises:
        ConfigError: the list holds what is no plain text (tools, images, hidden reasoning), a message is empty, or the order of
            messages makes no sense.
    """
    if not isinstance(messages, (list, tuple)) or not messages:
        raise ConfigError("The messages are not a list with at least one message.", _OF_LIST)
    read = [_message(one, f"Message {number}") for number, one in enumerate(messages, start=1)]
    turns = [message for message, _ in read]
    if system is not None:
        if turns[0].role == "system" and turns[0].content != system:
            raise ConfigError(
                "There is a system prompt beside the messages, and another one in them.", "Keep one of the two."
            )
        turns = [Message("system", system), *turns[turns[0].role == "system" :]]
    for number, (one, after) in enumerate(pairwise(turns), start=1):
        if one.role == after.role == "assistant":
            raise ConfigError(
                f"Messages {number} and {number + 1} are both answers.", "Join them, or put a question between."
            )
    if all(message.role != "user" for message in turns):
        raise ConfigError("No message is a user's.", "Give the question that is answered.")
    return Conversation(tuple(turns)), [rest for _, rest in read]


def checked_text(text: Any, what: str, *, answer: bool = False) -> str:
    """A text of a message, if a model can be trained on the text as it is.

    Args:
        text: the text.
        what: its name in messages.
        answer: whether the text is an answer, which must not end with a template's mark for its end either.

    Raises:
        ConfigError: it is no text, is empty, holds half a character, is a list of messages in one text, or was rendered by a
            chat template before.
    """
    if not isinstance(text, str):
        kind = "null" if text is None else type(text).__name__
        raise ConfigError(f"The {what} is {kind}, not text.", "Give a text.")
    if not text.strip():
        raise ConfigError(f"The {what} is empty.", "Give a text, or leave out the row.")
    if half := _HALF.search(text):
        raise ConfigError(
            f"The {what} holds half a character (U+{ord(half[0]):04X}).", "Repair the text or leave out the row."
        )
    if _LISTED.match(text):
        raise ConfigError(
            f"The {what} is a list of messages written as one text, which a model would read as it stands.",
            "Give the list itself, not its text: tables such as CSV turn lists into texts.",
        )
    if answer and not visible(text).strip():
        raise ConfigError(
            f"The {what} is reasoning ({text.split()[0][:20]} …) without an answer behind it: it was cut.",
            "Close the reasoning and give the answer, or leave out the row.",
        )
    markup = _OPENS.match(text) or (_CLOSES.search(text) if answer else _SCRIPT.match(text))
    if markup:
        raise ConfigError(
            f"The {what} holds the markup of a chat template, {markup[1]!r}, which a model would read as plain text.",
            "Give the texts alone, as messages: the model's own template adds its markup.",
        )
    return text


def _message(given: Any, what: str) -> tuple[Message, dict[str, Any]]:
    """A message, and those of its keys that a model need not see."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"{what} is {type(given).__name__}, not an object.", _OF_LIST)
    who, said = (next((key for key in keys if key in given), None) for keys in (WHO, WHAT))
    if who is None or (said is None and not any(_filled(given.get(key)) for key in _REFUSED)):
        raise ConfigError(f"{what} has no {WHO[0] if who is None else WHAT[0]!s}.", _OF_LIST)
    name = str(given[who])
    if name in _TOOLS:
        raise ConfigError(f"{what} has role {name!r}: a tool's.", _NO_TOOLS)
    if name not in NAMES:
        raise ConfigError(f"{what} has role {name!r}.", nearest(name, NAMES))
    for key, does in _REFUSED.items():
        if _filled(given.get(key)):
            raise ConfigError(f"{what} {does} ({key}).", _remedy_for(key))
    for key, usual in _HARMONY:
        if given.get(key) not in (None, usual):
            raise ConfigError(f"{what} has {key} {given[key]!r}.", f"An answer has {usual!r}: leave out the others.")
    role = NAMES[name]
    text = _text(given[said] if said else None, f"{what} ({name})", role)
    rest = {key: value for key, value in given.items() if key not in (who, said, *LEARNT) and _filled(value)}
    return Message(role, text, _learnt(given, role, what)), rest


def _text(content: Any, what: str, role: Role) -> str:
    """The text of a message's content; a system message may be empty."""
    if isinstance(content, (list, tuple)):
        for part in content:
            kind = part.get("type", "text") if isinstance(part, Mapping) else type(part).__name__
            if kind not in ("text", "input_text", "output_text"):
                raise ConfigError(
                    f"The content of {what.lower()} holds {kind!r}, not text alone.", _remedy_for(str(kind))
                )
        if len(content) != 1:
            raise ConfigError(
                f"The content of {what.lower()} has {len(content)} parts.", "Join the parts into one text."
            )
        content = content[0].get("text")
    if role == "system" and isinstance(content, str) and not content.strip():
        return ""
    return checked_text(content, f"content of {what.lower()}", answer=role == "assistant")


def _learnt(given: Mapping[str, Any], role: Role, what: str) -> bool:
    """Whether a message is trained; only answers can be."""
    for key in LEARNT:
        value = given.get(key)
        if value is None:
            continue
        if value not in (0, 1):
            raise ConfigError(
                f"{what} has {key} {value!r}.", "It is 1 (true) for an answer to be trained, 0 (false) for others."
            )
        if value and role != "assistant":
            raise ConfigError(
                f"{what} is to be trained ({key}), and is no answer.", "Only answers are trained: remove the key."
            )
        if not value and role == "assistant":
            return False
    return True


def _remedy_for(key: str) -> str:
    if key in ("reasoning_content", "reasoning", "thinking", "redacted_thinking"):
        return _REASONING
    if key in ("tool_calls", "function_call", "tool_call_id", "tool_use", "tool_result"):
        return _NO_TOOLS
    return "Cavesson trains on the text of messages alone: write what matters into the text, or remove the key."


def _filled(value: Any) -> bool:
    """Whether a value says anything: tables fill what a row lacks with null, "" or an empty list."""
    return value is not None and value is not False and value != "" and value != [] and value != {}
