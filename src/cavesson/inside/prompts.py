"""Texts and conversations as token ids, for the project's own models and for plain models of transformers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cavesson.chat import Conversation
from cavesson.errors import ConfigError
from cavesson.models.context import context_of
from cavesson.models.model import Model
from cavesson.models.rendering import Renderer
from cavesson.sampling.manner import manner_of
from cavesson.sampling.vocabulary import check_known

Text = str | Conversation | Sequence[Mapping[str, Any]] | Sequence[int]
"""What a model reads: plain text, a conversation, the usual list of `{"role": …, "content": …}`, or token ids."""


def network_of(model: Any) -> Any:
    """The network of one of the project's models; a plain model of transformers is its own network."""
    return model.net if isinstance(model, Model) else model


def token_ids(model: Any, texts: Iterable[Text], tokenizer: Any = None) -> list[list[int]]:
    """Token ids of each text, as the model reads them.

    A conversation becomes the prompt that the model continues: messages without a last answer, and the header of the
    answer, under the model's own system prompt if it has one. Plain text gets what the tokenizer puts round any text.

    Args:
        model: a `Model`, or a causal language model of transformers.
        texts: see `Text`.
        tokenizer: of a plain model; not needed for token ids.

    Raises:
        ConfigError: there is no text, a text is empty or longer than the model's context, or a tokenizer is missing.
    """
    given = list(texts)
    if not given:
        raise ConfigError("There is no text to read.", "Give at least one text or conversation.")
    rows = [_ids(model, text, tokenizer) for text in given]
    net = network_of(model)
    manner_of(net)  # refuses a network that sees later tokens
    check_known(net, rows)
    context = context_of(net)
    for number, row in enumerate(rows, start=1):
        if not row:
            raise ConfigError(f"Text {number} is empty.", "Give texts of at least one token.")
        if context is not None and len(row) > context:
            raise ConfigError(
                f"Text {number} has {len(row)} tokens, more than the model's context of {context}.",
                "Shorten the text or leave it out.",
            )
    return rows


def renderer_of(model: Any, tokenizer: Any) -> Renderer:
    """What turns conversations into tokens.

    Raises:
        ConfigError: a plain model comes without a tokenizer, or the tokenizer without a chat template.
    """
    return model.renderer if isinstance(model, Model) else Renderer(_needed(model, tokenizer))


def _ids(model: Any, text: Text, tokenizer: Any) -> list[int]:
    if isinstance(text, str):
        reader = tokenizer or (model.tokenizer if isinstance(model, Model) else _needed(model, tokenizer))
        return list(reader(text)["input_ids"])
    if not isinstance(text, Conversation):
        if all(isinstance(token, int) for token in text):
            return list(text)  # type: ignore[arg-type]
        text = Conversation.parse(text)  # type: ignore[arg-type]
    if text.system is None and isinstance(model, Model):
        text = text.with_system(model.system)
    return renderer_of(model, tokenizer).prompt(text)


def _needed(model: Any, tokenizer: Any) -> Any:
    if tokenizer is None:
        raise ConfigError(
            f"A plain {type(model).__name__} reads token ids only.", "Give its tokenizer (tokenizer=…) along with it."
        )
    return tokenizer
