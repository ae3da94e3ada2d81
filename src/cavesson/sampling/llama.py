"""One decoding step of a Llama in few operations.

For a tiny model on a CPU, a step of `transformers` is mostly overhead: some 250 small operations and as many calls of
modules, around thirty matrix products that matter. Here the same arithmetic takes some 70 operations and about half the time,
with query, key and value weights in one matrix and gate and up weights in another. The model itself still reads the prompts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from cavesson.sampling.window import Keys, Window

Step = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A function of the tokens and the mask of all columns in use, `[rows, columns]`, and the positions of the last, `[rows, 1]`,
that reads the last column and returns logits `[rows, vocabulary]`."""


def llama_step(net: Any, keys: Keys) -> Step | None:
    """The decoding step for this model and these keys; None for any model but a plain Llama in float32 on a CPU.

    A plain Llama has ordinary linear layers without bias, and no hooks (they would not be called).
    """
    if type(net) is not LlamaForCausalLM or not isinstance(keys, Window):
        return None
    inside = list(net.model.modules())
    linear = [module for name, module in net.model.named_modules() if name.endswith("_proj")]
    plain = all(type(module) is nn.Linear and module.bias is None for module in linear)
    hooked = any(module._forward_hooks or module._forward_pre_hooks for module in inside)
    usual = net.config.hidden_act == "silu" and net.device.type == "cpu" and net.dtype == torch.float32
    return _LlamaStep(net, keys) if plain and usual and not hooked else None


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer's weights; weights that multiply the same input stand in one matrix."""

    norm_in: Tensor
    qkv: Tensor  # [(heads + 2 key heads) * width, hidden]
    out: Tensor  # transposed: [heads * width, hidden]
    norm_mlp: Tensor
    gate_up: Tensor  # [2 * inner, hidden]
    down: Tensor  # transposed: [inner, hidden]


class _LlamaStep:
    def __init__(self, net: LlamaForCausalLM, keys: Window) -> None:
        config = net.config
        self.net, self.keys = net, keys
        self.heads, self.key_heads = config.num_attention_heads, config.num_key_value_heads
        self.width = net.model.layers[0].self_attn.head_dim
        self.inner, self.eps = config.intermediate_size, config.rms_norm_eps
        self.layers = [self._layer(layer) for layer in net.model.layers]

    @staticmethod
    def _layer(layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        return _Layer(
            norm_in=layer.input_layernorm.weight,
            qkv=torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]),
            out=attention.o_proj.weight.T,
            norm_mlp=layer.post_attention_layernorm.weight,
            gate_up=torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]),
            down=mlp.down_proj.weight.T,
        )

    def __call__(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        model = self.net.model
        x = model.embed_tokens(ids[:, -1])  # [rows, hidden]
        cos, sin = model.rotary_emb(x, positions)  # [rows, 1, width]
        half = self.width // 2
        sin = torch.cat([-sin[..., :half], sin[..., half:]], -1)
        # 0 where a row may look, very negative elsewhere; repeated for a row's key heads: [rows * key heads, 1, columns]
        bias = mask.sub(1).float().mul_(1e30)[:, None].expand(-1, self.key_heads, -1).reshape(-1, 1, mask.shape[1])
        for layer, kept in zip(self.layers, self.keys.layers, strict=True):
            x = self._attend(layer, kept, x, cos, sin, bias)
            gate_up = F.linear(self._norm(x, layer.norm_mlp), layer.gate_up)
            x = torch.addmm(x, F.silu(gate_up[:, : self.inner]).mul_(gate_up[:, self.inner :]), layer.down)
        return self.net.lm_head(self._norm(x, model.norm.weight))  # type: ignore[no-any-return]

    def _attend(self, layer: _Layer, kept: Any, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> Tensor:
        rows, rotated = len(x), self.heads + self.key_heads  # rotary positions: queries and keys, not values
        qkv = F.linear(self._norm(x, layer.norm_in), layer.qkv).view(rows, -1, self.width)
        qk = qkv[:, :rotated]
        swapped = qk.reshape(rows, rotated, 2, -1).flip(-2).flatten(-2)
        qk = torch.addcmul(qk * cos, swapped, sin)
        k, v = kept.update(qk[:, self.heads :, None], qkv[:, rotated:, None])
        q = qk[:, : self.heads].reshape(rows * self.key_heads, -1, self.width)
        scores = torch.baddbmm(bias, q, k.flatten(0, 1).transpose(1, 2), alpha=self.width**-0.5)
        mixed = torch.bmm(scores.softmax(-1), v.flatten(0, 1)).view(rows, -1)
        return torch.addmm(x, mixed, layer.out)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), weight, self.eps)
