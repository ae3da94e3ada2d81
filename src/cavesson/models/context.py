"""The part of a network that writes text, and how long a text may be."""

from __future__ import annotations

from typing import Any

from cavesson.models.far import Far

_CONTEXT = ("max_position_embeddings", "max_seq_len", "n_positions")


def base_of(net: Any) -> Any:
    """The Hugging Face model itself, without a peft wrapper."""
    return net.get_base_model() if hasattr(net, "peft_config") and hasattr(net, "get_base_model") else net


def text_config(net: Any) -> Any:
    """The config of the part that writes text."""
    return base_of(net).config.get_text_config(decoder=True)


def context_of(net: Any) -> int | None:
    """The number of tokens that the network has positions for, or was trained on; None: there is no bound."""
    if isinstance(net, Far):
        return net.context
    config = text_config(net)
    return next((size for name in _CONTEXT if (size := getattr(config, name, None)) is not None and size > 0), None)
