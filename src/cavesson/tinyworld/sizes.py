"""The sizes of the world's models, as plain settings of `transformers.LlamaConfig`."""

from __future__ import annotations

from typing import Any


def _llama(width: int, layers: int, heads: int, inner: int) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "intermediate_size": inner,
        "max_position_embeddings": 1024,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
        "rms_norm_eps": 1e-6,
        "initializer_range": 0.05,
        "tie_word_embeddings": True,
    }


SIZES: dict[str, dict[str, Any]] = {
    "small": _llama(width=72, layers=4, heads=3, inner=192),  # 0.34M parameters
    "student": _llama(width=128, layers=4, heads=4, inner=352),  # 0.97M parameters
    "large": _llama(width=176, layers=5, heads=4, inner=480),  # 2.1M parameters
}
