"""A Llama that reads prompts and writes tokens on a CPU in few operations.

A step of `transformers` is some 250 small operations and as many calls of modules, around thirty matrix products that matter.
Here the same arithmetic takes some 70 operations, with query, key and value weights in one matrix and gate and up weights in
another. For a tiny model that halves the time. For a model of some hundred millions of parameters the products are the time:
matrices are packed for oneDNN (`models/products.py`), prompts are read without padding, and only their last token goes through
the end of the last layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from cavesson.models.context import base_of
from cavesson.models.linear import Factors, is_plain, weights_of
from cavesson.models.products import Beside, Packed
from cavesson.sampling.window import Window

LEAST_BAND, MOST_BANDS = 16, 4
"""Least number of rows that a step's attention takes at once, and the number of times that it does."""


Product = Callable[[Tensor], Tensor]
"""Rows `[N, D]` times a matrix: `[N, O]`."""


def llama_of(net: Any) -> Llama | None:
    """The network's weights, ready for sampling; None for any network that does not fit."""
    return Llama(net) if fits(net) else None


def fits(net: Any) -> bool:
    """Whether a network is a plain Llama on a CPU, with a plain LoRA or none.

    A plain Llama has ordinary linear layers without bias, and no hooks (they would not be called).
    """
    llama = base_of(net)
    if type(llama) is not LlamaForCausalLM or isinstance(llama.lm_head, LoraLayer):
        return False
    linear = [module for name, module in llama.named_modules() if name.endswith(("_proj", "lm_head"))]
    own = [weight for name, weight in llama.named_parameters() if ".lora_" not in name]
    types = {(weight.dtype, weight.device.type) for weight in own}
    return (
        llama.config.hidden_act == "silu"
        and types in ({(torch.float32, "cpu")}, {(torch.bfloat16, "cpu")})
        and all(map(is_plain, linear))
        and not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    )


def _product(*layers: nn.Module) -> Product:
    """Layers with the same input as one product; adapters stand beside it."""
    weights, adapters = zip(*map(weights_of, layers), strict=True)
    matrix = Packed(torch.cat(weights))
    if not any(adapters):
        return matrix
    found = [
        one or Factors(w.new_zeros(0, w.shape[1]), w.new_zeros(len(w), 0), 1)
        for w, one in zip(weights, adapters, strict=True)
    ]
    ups = torch.block_diag(*(one.b * one.scale for one in found))  # type: ignore[no-untyped-call]
    return Beside(matrix, torch.cat([one.a for one in found]).to(weights[0]), ups.to(weights[0]))


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer's weights; weights that multiply the same input stand in one matrix."""

    norm_in: Tensor
    qkv: Product  # to (heads + 2 key heads) * width
    out: Product
    norm_mlp: Tensor
    gate_up: Product  # to 2 * inner
    down: Product


class Llama:
    """A plain Llama; its matrices are copied, so it serves as long as the network's weights stay as they are."""

    def __init__(self, net: Any) -> None:
        net = base_of(net)
        config = net.config
        self.model = net.model
        self.heads, self.key_heads = config.num_attention_heads, config.num_key_value_heads
        self.width = net.model.layers[0].self_attn.head_dim
        self.inner, self.eps = config.intermediate_size, config.rms_norm_eps
        with torch.inference_mode():
            self.layers = [self._layer(layer) for layer in net.model.layers]
            self.head = Packed(net.lm_head.weight)

    @staticmethod
    def _layer(layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        return _Layer(
            norm_in=layer.input_layernorm.weight,
            qkv=_product(attention.q_proj, attention.k_proj, attention.v_proj),
            out=_product(attention.o_proj),
            norm_mlp=layer.post_attention_layernorm.weight,
            gate_up=_product(mlp.gate_proj, mlp.up_proj),
            down=_product(mlp.down_proj),
        )

    def begin(self, keys: Window, ids: Tensor, mask: Tensor, seats: Tensor, end: int) -> Tensor:
        """Read new rows, the longest first and padded on the left, onto their seats; see `Keys.begin`.

        The tokens of all rows stand in one row without padding, `[N]`; attention works on the rows of one length at a time.
        """
        real = mask.bool()
        lengths = mask.sum(1).tolist()
        ends = torch.tensor(lengths).cumsum(0) - 1
        x, turns = self._words(ids[real], (mask.cumsum(1) - 1)[real])
        for number, (layer, kept) in enumerate(zip(self.layers, keys.layers, strict=True)):
            q, k, v = self._heads(layer, x, turns)
            if not kept.is_initialized:
                kept.lazy_initialization(k[None].transpose(1, 2), v[None].transpose(1, 2))
            mixed = torch.empty(len(x), self.heads, self.width, dtype=x.dtype)
            first = start = 0
            for length, rows in groupby(lengths):
                docs = len(list(rows))
                at, tokens = seats[first : first + docs], slice(start, start + docs * length)
                first, start = first + docs, tokens.stop
                q_, k_, v_ = (part[tokens].view(docs, length, -1, self.width).transpose(1, 2) for part in (q, k, v))
                kept.keys[at, :, end - length : end], kept.values[at, :, end - length : end] = k_, v_
                found = F.scaled_dot_product_attention(q_, k_, v_, is_causal=True, enable_gqa=True)
                mixed[tokens].view(docs, length, -1, self.width).copy_(found.transpose(1, 2))
            if number == len(self.layers) - 1:  # what comes after the last attention works token by token
                x, mixed = x[ends], mixed[ends]
            x = self._after(layer, x, mixed.flatten(1))
        return self.head(self._norm(x, self.model.norm.weight))

    def step(self, keys: Window, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Read the last column; see `Keys.step`."""
        x, turns = self._words(ids[:, -1], positions[:, 0])
        bands = self._bands(mask, x.dtype)
        for layer, kept in zip(self.layers, keys.layers, strict=True):
            q, k, v = self._heads(layer, x, turns)
            k, v = kept.update(k[:, :, None], v[:, :, None])
            mixed = torch.cat(
                [self._mixed(q[rows], k[rows, :, start:], v[rows, :, start:], bias) for rows, start, bias in bands]
            )
            x = self._after(layer, x, mixed)
        return self.head(self._norm(x, self.model.norm.weight))

    def _bands(self, mask: Tensor, dtype: torch.dtype) -> list[tuple[slice, int, Tensor]]:
        """Seats that stand side by side, with the first column that one of them uses and a bias for attention from there on.

        The longest prompts sit first, so the rows of a band are similarly long, and attention reads little padding. The bias is 0
        where a row may look, very negative elsewhere; repeated for a row's key heads: `[rows * key heads, 1, columns]`.
        """
        firsts = mask.argmax(1).tolist()
        size = max(LEAST_BAND, -(-len(mask) // MOST_BANDS))
        found = []
        for top in range(0, len(mask), size):
            rows, start = slice(top, top + size), min(firsts[top : top + size])
            bias = mask[rows, start:].sub(1).to(dtype).mul_(1e30)[:, None]
            found.append((rows, start, bias.expand(-1, self.key_heads, -1).reshape(-1, 1, bias.shape[-1])))
        return found

    def _mixed(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        """Attention of one query of each row to the row's keys, `[rows, heads * width]`."""
        rows = len(q)
        q, k = q.reshape(rows * self.key_heads, -1, self.width), k.flatten(0, 1)
        if k.dtype == torch.bfloat16:
            k = (
                k.contiguous()
            )  # else oneDNN copies the transposed keys, which takes as long as the rest of this function
        scores = torch.baddbmm(bias, q, k.transpose(1, 2), alpha=self.width**-0.5)
        return torch.bmm(scores.softmax(-1), v.flatten(0, 1)).view(rows, -1)

    def _words(self, ids: Tensor, positions: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The embedded tokens `[N, hidden]`, and cosines and signed sines of their positions, `[N, 1, width]`."""
        x = self.model.embed_tokens(ids)
        cos, sin = self.model.rotary_emb(x, positions[None])
        half = self.width // 2
        return x, (cos[0, :, None], torch.cat([-sin[0, :, None, :half], sin[0, :, None, half:]], -1))

    def _heads(self, layer: _Layer, x: Tensor, turns: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, `[N, heads or key heads, width]`; queries and keys are turned to their positions."""
        qkv = layer.qkv(self._norm(x, layer.norm_in)).view(len(x), -1, self.width)
        cos, sin = turns
        qk = qkv[:, : self.heads + self.key_heads]
        swapped = qk.reshape(*qk.shape[:2], 2, -1).flip(-2).flatten(-2)
        qk = torch.addcmul(qk * cos, swapped, sin)
        return qk[:, : self.heads], qk[:, self.heads :], qkv[:, self.heads + self.key_heads :]

    def _after(self, layer: _Layer, x: Tensor, mixed: Tensor) -> Tensor:
        """The rest of a layer after attention."""
        x = x + layer.out(mixed)
        gate_up = layer.gate_up(self._norm(x, layer.norm_mlp))
        return x + layer.down(F.silu(gate_up[:, : self.inner]).mul_(gate_up[:, self.inner :]))

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), weight, self.eps)
