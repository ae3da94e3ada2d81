"""How long a text may become, and how many texts are read at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cavesson.errors import ConfigError
from cavesson.models.context import text_config

CACHE_BYTES = {"cpu": 10 << 20, "cuda": 8 << 30}
"""Bound on the keys and values in use, in bytes; on a CPU, so much stays in a last-level cache that other processes share."""
WHOLE_BYTES = 1 << 30
"""Bound on all keys and values on a CPU, columns for answers of the greatest length included; or the weights' own size."""
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


def fitting_seats(net: Any, columns: float, most: float) -> int:
    """The number of texts whose keys and values fit the bound.

    A step reads all weights and all keys and values. On a CPU, the weights of a model that is too large for the cache come from
    memory at every step, and each further text makes the step that much more useful, until its keys and values are as large as the
    weights.

    Args:
        columns: tokens of a text, on average.
        most: tokens of the longest text.
    """
    config = text_config(net)
    queries = _figure(config, "num_attention_heads") or 1
    heads = _figure(config, "num_key_value_heads") or queries
    head_dim = _figure(config, "head_dim") or config.hidden_size // queries
    column_bytes = 2 * config.num_hidden_layers * heads * head_dim * net.dtype.itemsize
    place = net.device.type
    in_use = CACHE_BYTES.get(place, CACHE_BYTES["cuda"])
    if place == "cpu":
        weights = sum(weight.numel() * weight.itemsize for weight in net.parameters())
        in_use = min(max(in_use, weights), max(WHOLE_BYTES, weights) * columns / most)
    return int(min(max(in_use / (column_bytes * columns), 8), MAX_SEATS.get(place, MAX_SEATS["cuda"])))


def _figure(config: Any, name: str) -> int | None:
    """A size of the attention; the largest, where each layer has its own. None: there is no attention."""
    layers = getattr(config, "per_layer_config", None) or [config]
    found = [value for layer in layers if (value := getattr(layer, name, None)) is not None]
    numbers = [number for value in found for number in (value if isinstance(value, list | tuple) else [value])]
    return max(numbers, default=None)
