"""Attention for small models on a CPU: plain batched matrix products.

torch's fused attention has a slow backward pass on CPUs, and transformers' eager attention does its softmax in fp32
and copies keys and values for grouped heads. For the short contexts that a CPU is used for, two batched products with
a softmax between them are faster than both (figures in `docs`). On a GPU transformers' own choice stays as it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

CPU_ATTENTION = "bridle_cpu"
"""The name under which transformers knows this attention."""


def prefer_fast_attention(net: PreTrainedModel) -> None:
    """Switch `net` to this attention if it is on a CPU and its architecture takes an attention function."""
    if net.device.type == "cpu" and getattr(net, "_supports_sdpa", False) and net._can_set_attn_implementation():
        net.set_attn_implementation(CPU_ATTENTION)


def matmul_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention by two batched products; the signature is transformers' `AttentionInterface`.

    Args:
        query: [batch, heads, time, dim].
        key, value: [batch, key heads, seen, dim]; heads is a multiple of key heads.
        attention_mask: [batch or 1, 1, time, seen], true (or 0) where a query may look, false (or very negative) where
            not; `None`: causal.

    Returns:
        [batch, time, heads, dim], and no weights.
    """
    batch, heads, time, dim = query.shape
    key_heads, seen = key.shape[1], key.shape[2]
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else query.dtype
    scale = dim**-0.5 if scaling is None else scaling
    # Grouped heads share keys: their queries stand one below the other, so that nothing needs to be repeated.
    rows = heads // key_heads * time
    q = (query * scale).to(dtype).reshape(batch * key_heads, rows, dim)
    k = key.to(dtype).reshape(batch * key_heads, seen, dim)
    v = value.to(dtype).reshape(batch * key_heads, seen, value.shape[-1])
    with torch.autocast("cpu", enabled=False):
        scores = torch.bmm(q, k.transpose(1, 2))
        if softcap is not None:
            scores = torch.tanh(scores / softcap) * softcap
        bias = _additive(attention_mask, time, seen, dtype, query.device)
        if bias is not None:
            scores = (scores.view(batch, heads, time, seen) + bias).view(batch * key_heads, rows, seen)
        weights = torch.softmax(scores, dim=-1)
        if dropout:
            weights = nn.functional.dropout(weights, dropout, training=module.training)
        out = torch.bmm(weights, v)
    return out.view(batch, heads, time, -1).transpose(1, 2), None


def _additive(mask: Tensor | None, time: int, seen: int, dtype: torch.dtype, device: torch.device) -> Tensor | None:
    """The mask as numbers to add: 0 or a large negative one, finite so that a row without any key stays a number."""
    if mask is None and time == 1:
        return None
    never = torch.finfo(dtype).min / 4
    if mask is None:
        mask = torch.ones(time, seen, dtype=torch.bool, device=device).tril(seen - time)[None, None]
    mask = mask[..., :seen]
    if mask.dtype == torch.bool:
        return torch.zeros(mask.shape, dtype=dtype, device=device).masked_fill_(~mask, never)
    return mask.clamp(min=never).to(dtype)


def _mask(*args: Any, **kwargs: Any) -> Tensor | None:
    """transformers' boolean mask, always written out (this attention has no causal shortcut with padding)."""
    return sdpa_mask(*args, **{**kwargs, "allow_is_causal_skip": False})  # type: ignore[no-any-return]


AttentionInterface.register(CPU_ATTENTION, matmul_attention)
AttentionMaskInterface.register(CPU_ATTENTION, _mask)
