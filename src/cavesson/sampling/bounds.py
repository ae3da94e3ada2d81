"""How long a text may become, and how many texts are read at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cavesson.errors import ConfigError
from cavesson.models.context import text_config

CACHE_BYTES = {"cpu": 10 << 20, "cuda": 8 << 30}
"""Bound on the keys and values in use, in bytes; on a CPU, so much stays in a last-level cache that other processes share."""
MAX_SEATS = {"cpu": 256, "cuda": 1024}


def rooms_for(lengths: Sequence[int], most: int, context: int | None) -> list[int]:
    """The number of tokens, `most` at the most, that may follow each text of these lengths.

    Raises:
        ConfigError: a text is empty, or leaves no room in the context.
    """
    return [_room(index, length, most, context) for index, length in enumerate(lengths)]


def _room(index: int, length: int, most: int, context: int | None) -> int:
    room = most if context is None else min(most, context - length)
    if length == 0:
        raise ConfigError(f"Conversation {index} renders to no tokens at all.", "Give it a user message.")
    if room < 1:
        raise ConfigError(
            f"Conversation {index} has {length} tokens, which leaves no room in the model's context of {context}.",
            "Shorten the conversation.",
        )
    return room


def fitting_seats(net: Any, columns: float) -> int:
    """The number of texts of this length, on average, whose keys and values fit the bound."""
    config = text_config(net)
    queries = _figure(config, "num_attention_heads") or 1
    heads = _figure(config, "num_key_value_heads") or queries
    head_dim = _figure(config, "head_dim") or config.hidden_size // queries
    column_bytes = 2 * config.num_hidden_layers * heads * head_dim * net.dtype.itemsize
    place = net.device.type
    fitting = CACHE_BYTES.get(place, CACHE_BYTES["cuda"]) / (column_bytes * columns)
    return int(min(max(fitting, 8), MAX_SEATS.get(place, MAX_SEATS["cuda"])))


def _figure(config: Any, name: str) -> int | None:
    """A size of the attention; the largest, where each layer has its own. None: there is no attention."""
    layers = getattr(config, "per_layer_config", None) or [config]
    found = [value for layer in layers if (value := getattr(layer, name, None)) is not None]
    numbers = [number for value in found for number in (value if isinstance(value, list | tuple) else [value])]
    return max(numbers, default=None)
