"""A Llama's forward and backward pass on a CPU, written out: fewer, larger operations than autograd's.

For a small model on a CPU half of a training step is overhead: thousands of operations of a few microseconds, each a pass over
memory. Here

- query, key and value weights stand in one matrix, gate and up weights in another;
- the norms' weights are multiplied into the matrix that follows, which costs nothing per token;
- the rows of query and key weights are ordered so that a rotary position is one complex product;
- attention makes one copy of a rectangle's queries, keys and values, and grouped queries share their keys without a copy;
- the last layer's MLP and the head run at trained positions only;
- a low-rank adapter's down-projections are further rows of the matrix that they stand beside;
- fp32 products go through oneDNN, which on AMD processors is twice as fast as the library behind `torch.mm`.

`logits_of_llama` gives ordinary logits with a gradient, so every objective, optimizer and accumulation uses it as it is. What
does not fit (`fits`) runs the general way, with the same results up to rounding.

Legend of shape suffixes: N = tokens with padding, K = trained positions, V = vocabulary, D = hidden size, O = outputs and
R = ranks of a group of linear layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import LlamaForCausalLM

from cavesson.models.context import base_of
from cavesson.models.linear import is_plain
from cavesson.training.batches import Batch
from cavesson.training.joined import Group, Part

LONGEST = 1024
"""Length of documents up to which attention keeps its matrix of probabilities. Longer documents run the general way."""

_ROPES = ("default", "linear", "llama3")
"""Kinds of rotary positions whose angles do not depend on the length of the text."""


def fits(net: nn.Module) -> bool:
    """Whether `net` is a plain Llama in float32 on a CPU: silu, no bias, no dropout, no hooks; with a plain LoRA or none.

    With an adapter, nothing but the adapter may be trained.
    """
    llama = base_of(net)
    if type(llama) is not LlamaForCausalLM:
        return False
    config = llama.config
    if (
        config.hidden_act != "silu"
        or config.attention_dropout
        or config.rope_parameters["rope_type"] not in _ROPES
        or llama.model.gradient_checkpointing
        or 2 * llama.model.rotary_emb.inv_freq.numel() != llama.model.layers[0].self_attn.head_dim
    ):
        return False
    if any(
        weight.device.type != "cpu" or weight.dtype != torch.float32 or isinstance(weight, DTensor)
        for weight in net.parameters()
    ):
        return False
    inside = [module for module in net.modules() if module is not net.get_output_embeddings()]  # type: ignore[operator]
    if any(module._forward_hooks or module._forward_pre_hooks for module in inside):
        return False
    layers = [module for name, module in llama.named_modules() if name.endswith("_proj")]
    if not all(is_plain(layer) for layer in [*layers, llama.lm_head]) or isinstance(llama.lm_head, LoraLinear):
        return False
    adapted = any(isinstance(layer, LoraLinear) for layer in layers)
    return not adapted or all("lora_" in name for name, weight in net.named_parameters() if weight.requires_grad)


class LlamaPasses:
    """The forward and backward pass of one network for which `fits` holds.

    The network's weights are looked up by object at construction, and read anew at each call.
    """

    def __init__(self, net: nn.Module) -> None:
        llama = base_of(net)
        config, model = llama.config, llama.model
        self.eps = config.rms_norm_eps
        self.heads, self.key_heads = config.num_attention_heads, config.num_key_value_heads
        self.width = model.layers[0].self_attn.head_dim
        self.inner = config.intermediate_size
        self.rotary = model.rotary_emb
        weights: list[Tensor] = []

        def number(weight: Tensor) -> int:
            weights.append(weight)
            return len(weights) - 1

        def group(norm: int | None, *layers: nn.Module) -> Group:
            return Group.of(norm, layers, number)

        self.embedding = number(model.embed_tokens.weight)
        self.layers = []
        for layer in model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            norm_in, norm_mlp = number(layer.input_layernorm.weight), number(layer.post_attention_layernorm.weight)
            self.layers.append(
                _Layer(
                    qkv=group(norm_in, attention.q_proj, attention.k_proj, attention.v_proj).of_heads(
                        self.heads, self.key_heads, self.width
                    ),
                    out=group(None, attention.o_proj),
                    gate_up=group(norm_mlp, mlp.gate_proj, mlp.up_proj),
                    down=group(None, mlp.down_proj),
                )
            )
        norm = number(model.norm.weight)
        tied = llama.lm_head.weight is model.embed_tokens.weight
        head = self.embedding if tied else number(llama.lm_head.weight)
        self.head = Group([Part(head)], norm, [llama.lm_head.weight.shape[0]])
        self.weights = weights
        self._turns: Tensor | None = None

    def logits(self, batch: Batch) -> Tensor:
        """Logits at the trained positions, `[K, V]`, with a gradient if gradients are on; in autocast's dtype if that is on."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        with torch.autocast("cpu", enabled=False):
            if torch.is_grad_enabled() and any(weight.requires_grad for weight in self.weights):
                return _Passes.apply(self, batch, dtype, *self.weights)  # type: ignore[no-any-return, no-untyped-call]
            with torch.no_grad():
                return self.forward(batch, dtype, self.weights, [False] * len(self.weights), None)

    def turns(self, length: int) -> Tensor:
        """Rotary positions as complex numbers, `[length, width / 2]`, times the root of the scores' scale."""
        if self._turns is None or len(self._turns) < length:
            positions = torch.arange(max(64, 1 << (length - 1).bit_length()), dtype=torch.float32)
            angles = positions[:, None] * self.rotary.inv_freq.float()
            size = torch.full_like(angles, self.rotary.attention_scaling * self.width**-0.25)
            self._turns = torch.polar(size, angles)
        return self._turns[:length]

    def forward(
        self,
        batch: Batch,
        dtype: torch.dtype,
        weights: Sequence[Tensor],
        trained: Sequence[bool],
        kept: _Kept | None,
    ) -> Tensor:
        """The logits; what the backward pass needs is put into `kept`."""
        x = weights[self.embedding].index_select(0, batch.ids_1N[0])
        for number, layer in enumerate(self.layers):
            last = number == len(self.layers) - 1
            qkv, out, gate_up, down = (
                group.ready(weights, trained, dtype) for group in (layer.qkv, layer.out, layer.gate_up, layer.down)
            )
            r_in, n_in, c_in = _normed(x, self.eps, dtype)
            heads, h_qkv = qkv.forward(c_in)
            mixed, seen = self._attend(heads, batch.rectangles)
            if last:  # what comes after the last attention works position by position
                x, mixed = x.index_select(0, batch.index_K), mixed.index_select(0, batch.index_K)
            mixed = mixed.to(dtype)
            added, h_out = out.forward(mixed)
            x = x + added
            r_mlp, n_mlp, c_mlp = _normed(x, self.eps, dtype)
            both, h_gu = gate_up.forward(c_mlp)
            gate, up = both[:, : self.inner], both[:, self.inner :]
            silu = nn.functional.silu(gate)
            product = silu * up
            added, h_down = down.forward(product)
            x = x + added
            if kept is not None:
                kept.layers.append(
                    (
                        (qkv, out, gate_up, down),
                        (r_in, n_in, c_in, h_qkv, seen),
                        (mixed, h_out),
                        (r_mlp, n_mlp, c_mlp, h_gu),
                        (gate, up, silu, product, h_down),
                    )
                )
        head = self.head.ready(weights, trained, dtype)
        r, n, c = _normed(x, self.eps, dtype)
        logits, _ = head.forward(c)
        if kept is not None:
            kept.head = (head, r, n, c)
        return logits

    def backward(
        self, batch: Batch, weights: Sequence[Tensor], trained: Sequence[bool], kept: _Kept, gradient_KV: Tensor
    ) -> list[Tensor | None]:
        """The gradient of each weight; None for those that are not trained."""
        found: list[Tensor | None] = [None] * len(weights)
        head, r, n, c = kept.head
        tokens = batch.ids_1N.shape[1]
        dtype = gradient_KV.dtype
        dx = torch.zeros_like(n)
        _through_norm(dx, head.backward(gradient_KV, c, None, found), n, r)
        lowest = self._lowest(trained)
        for number in range(len(self.layers) - 1, -1, -1):
            (qkv, out, gate_up, down), at_qkv, at_out, at_mlp, at_down = kept.layers[number]
            kept.layers[number] = None
            gate, up, silu, product, h_down = at_down
            d_product = down.backward(dx.to(dtype), product, h_down, found)
            d_both = torch.empty(len(gate), 2 * self.inner, dtype=dtype)
            torch.mul(d_product, silu, out=d_both[:, self.inner :])
            d_product = d_product * up
            torch.ops.aten.silu_backward.grad_input(d_product, gate, grad_input=d_both[:, : self.inner])
            r_mlp, n_mlp, c_mlp, h_gu = at_mlp
            _through_norm(dx, gate_up.backward(d_both, c_mlp, h_gu, found), n_mlp, r_mlp)
            mixed, h_out = at_out
            d_mixed = out.backward(dx.to(dtype), mixed, h_out, found)
            if number == len(self.layers) - 1:
                dx = torch.zeros(tokens, dx.shape[1]).index_add_(0, batch.index_K, dx)
                d_mixed = torch.zeros(tokens, d_mixed.shape[1]).index_add_(0, batch.index_K, d_mixed.float())
            r_in, n_in, c_in, h_qkv, seen = at_qkv
            d_heads = self._attend_back(d_mixed.float(), seen, batch.rectangles).to(dtype)
            further = number > lowest
            d_in = qkv.backward(d_heads, c_in, h_qkv, found, further)
            if not further:
                return found
            _through_norm(dx, d_in, n_in, r_in)
        at_words = torch.zeros_like(weights[self.embedding]).index_add_(0, batch.ids_1N[0], dx)
        of_head = found[self.embedding]
        found[self.embedding] = at_words if of_head is None else of_head.add_(at_words)
        return found

    def _lowest(self, trained: Sequence[bool]) -> int:
        """The lowest layer with a trained weight; -1: the embedding is trained."""
        if trained[self.embedding]:
            return -1
        for number, layer in enumerate(self.layers):
            if any(trained[k] for g in (layer.qkv, layer.out, layer.gate_up, layer.down) for k in g.numbers()):
                return number
        return len(self.layers) - 1

    def _attend(
        self, heads: Tensor, rectangles: Sequence[tuple[int, int]]
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor] | None]]:
        """Attention inside each document.

        Args:
            heads: `[N, key heads * (queries per key + 2) * width]`: for each key head its queries, its key and its value, not
                yet turned to their positions.

        Returns:
            the mixed values `[N, heads * width]`, and for each rectangle its turned heads and its probabilities, or None for a
            rectangle of single tokens.
        """
        shared, width = self.heads // self.key_heads, self.width
        mixed = torch.empty(heads.shape[0], self.heads * width)
        seen: list[tuple[Tensor, Tensor] | None] = []
        start = 0
        for docs, length in rectangles:
            end = start + docs * length
            part = heads[start:end].view(docs, length, self.key_heads, shared + 2, width)
            goal = mixed[start:end].view(docs, length, self.key_heads, shared, width)
            start = end
            if length == 1:
                goal.copy_(part[:, :, :, shared + 1 :])
                seen.append(None)
                continue
            turned = torch.empty(docs, self.key_heads, shared + 2, length, width)
            part = part.permute(0, 2, 3, 1, 4)
            torch.mul(
                _complex(part[:, :, : shared + 1].float()),
                self.turns(length),
                out=_complex(turned[:, :, : shared + 1]),
            )
            turned[:, :, shared + 1] = part[:, :, shared + 1]
            q, k, v = _sides(turned, shared)
            p = torch.baddbmm(_future(length, shared), q, k.transpose(1, 2)).softmax(-1)
            out = torch.bmm(p, v).view(docs, self.key_heads, shared, length, width)
            goal.copy_(out.permute(0, 3, 1, 2, 4))
            seen.append((turned, p))
        return mixed, seen

    def _attend_back(
        self,
        d_mixed: Tensor,
        seen: list[tuple[Tensor, Tensor] | None],
        rectangles: Sequence[tuple[int, int]],
    ) -> Tensor:
        """The gradient of `heads` of `_attend`."""
        shared, width = self.heads // self.key_heads, self.width
        d_heads = torch.empty(len(d_mixed), self.key_heads * (shared + 2) * width)
        start = 0
        for (docs, length), known in zip(rectangles, seen, strict=True):
            end = start + docs * length
            d_out = d_mixed[start:end].view(docs, length, self.key_heads, shared, width)
            goal = d_heads[start:end].view(docs, length, self.key_heads, shared + 2, width)
            start = end
            if known is None:
                goal[:, :, :, : shared + 1] = 0
                torch.sum(d_out, 3, out=goal[:, :, :, shared + 1])
                continue
            turned, p = known
            q, k, v = _sides(turned, shared)
            d_out = d_out.permute(0, 2, 3, 1, 4).reshape(docs * self.key_heads, shared * length, width)
            goal = goal.permute(0, 2, 3, 1, 4)
            d_v = torch.bmm(p.transpose(1, 2), d_out)
            d_p = torch.bmm(d_out, v.transpose(1, 2))
            d_s = torch._softmax_backward_data(d_p, p, -1, torch.float32)
            d_q = torch.bmm(d_s, k).view(docs, self.key_heads, shared, length, width)
            d_k = torch.bmm(d_s.transpose(1, 2), q).view(docs, self.key_heads, length, width)
            back = self.turns(length).conj()
            torch.mul(_complex(d_q), back, out=_complex(goal[:, :, :shared]))
            torch.mul(_complex(d_k), back, out=_complex(goal[:, :, shared]))
            goal[:, :, shared + 1] = d_v.view(docs, self.key_heads, length, width)
        return d_heads


@dataclass(slots=True)
class _Kept:
    """What the backward pass needs of the forward pass."""

    layers: list[Any]
    head: Any = None


class _Passes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, passes: LlamaPasses, batch: Batch, dtype: torch.dtype, *weights: Tensor) -> Tensor:
        kept, trained = _Kept([]), ctx.needs_input_grad[3:]
        logits = passes.forward(batch, dtype, weights, trained, kept)
        ctx.passes, ctx.batch, ctx.weights, ctx.trained, ctx.kept = passes, batch, weights, trained, kept
        return logits

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast("cpu", enabled=False):
            found = ctx.passes.backward(ctx.batch, ctx.weights, ctx.trained, ctx.kept, gradients[0].contiguous())
        ctx.kept = None
        return None, None, None, *found


@dataclass(frozen=True, slots=True)
class _Layer:
    qkv: Group
    out: Group
    gate_up: Group
    down: Group


def _normed(x: Tensor, eps: float, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """The factor `[N, 1]` that gives each row a root mean square of 1, the rows times this factor, and these in `dtype`."""
    r = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    n = x * r
    return r, n, n.to(dtype)


def _through_norm(dx: Tensor, dn: Tensor, n: Tensor, r: Tensor) -> None:
    """Add to `dx` the gradient that comes through a norm; `dn` is the gradient of the norm's output without its weight."""
    dn = dn.float()
    along = (dn * n).sum(-1, keepdim=True).div_(-n.shape[-1])
    dx.addcmul_(torch.addcmul(dn, n, along), r)


def _complex(x: Tensor) -> Tensor:
    """Pairs of numbers in the last dimension as complex numbers, without a copy."""
    return torch.view_as_complex(x.view(*x.shape[:-1], -1, 2))


def _sides(turned: Tensor, shared: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries `[docs * key heads, shared * length, width]`, keys and values `[docs * key heads, length, width]`, as views."""
    docs, key_heads, slots, length, width = turned.shape
    flat = turned.view(docs * key_heads, slots * length, width)
    return flat[:, : shared * length], flat[:, shared * length : (shared + 1) * length], flat[:, -length:]


@lru_cache(maxsize=512)
def _future(length: int, shared: int) -> Tensor:
    """`[1, shared * length, length]`: very negative where the key comes after the query, else 0."""
    never = torch.full((length, length), torch.finfo(torch.float32).min / 2).triu(1)
    return never.repeat(shared, 1)[None]
