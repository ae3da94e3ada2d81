"""The sizes of the world's models, as plain settings of `transformers.LlamaConfig`.

Several heads share their keys and values, which makes sampling cheap, and all widths are multiples of 64.
"""

from __future__ import annotations

from typing import Any


def _llama(width: int, layers: int, heads: int, keys: int, inner: int) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": keys,
        "intermediate_size": inner,
        "max_position_embeddings": 1024,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
        "rms_norm_eps": 1e-6,
        "initializer_range": 0.05,
        "tie_word_embeddings": True,
    }


SIZES: dict[str, dict[str, Any]] = {
    "small": _llama(width=64, layers=4, heads=2, keys=1, inner=192),  # 0.3M parameters
    "student": _llama(width=128, layers=4, heads=4, keys=2, inner=384),  # 1.0M parameters
    "large": _llama(width=192, layers=6, heads=6, keys=2, inner=576),  # 2.9M parameters
    "huge": _llama(width=320, layers=7, heads=10, keys=2, inner=896),  # 8.2M parameters; no shipped weights
}
