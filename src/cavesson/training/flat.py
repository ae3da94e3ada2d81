"""Running a causal language model on documents of many lengths without computing on padding.

A batch is *flat*: one row of tokens in which documents of similar length stand together as rectangles of
`docs x length`. Everything but attention works on the one row. Attention works inside each rectangle, so no document sees
another, and no mask for packed training is built. Positions restart with every document.

Plain Llamas on a CPU run by `cavesson.training.llama`, other models by their own code with another attention. Some models are
run one rectangle at a time in the ordinary way: models whose attention cannot be exchanged, and models that give other logits
when run flat. All ways give the same loss and the same gradients, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from cavesson.models.latent import latent_token
from cavesson.training.batches import Batch
from cavesson.training.llama import LONGEST, LlamaPasses, fits

ATTENTION = "cavesson-flat"
"""Name under which the attention of flat batches is registered with transformers."""

LONG = 1024
"""Length from which attention uses torch's fused kernel, which needs no score matrix. For shorter documents on a CPU, the
backward pass of the fused kernel is several times slower than plain matrix products."""

LogitsOf = Callable[[Batch], Tensor]
"""Logits at the trained positions of a batch: `[K, vocabulary]`."""


class _NeedsMask(Exception):
    """The model needs an attention mask that flat batches do not have (a sliding window, for example)."""


def pieces(batch: Batch, flat: bool, together: bool = False) -> Iterator[Batch]:
    """The parts of a batch whose losses are computed one after the other: the whole batch if `flat`, else each rectangle.

    `together` keeps the batch whole, for a loss in which documents depend on each other.
    """
    if flat or (together and len(batch.index_K)):
        yield batch
    else:
        yield from batch.rectangle_by_rectangle()


@contextmanager
def logits_of(net: nn.Module) -> Iterator[tuple[LogitsOf, bool]]:
    """Gives the function that runs `net` on a batch, and whether `net` can run flat batches.

    While the context is open, the output layer computes logits at trained positions only.
    """
    if not fits(net):
        with usual_logits_of(net) as usual:
            yield usual
        return
    quick = LlamaPasses(net)
    with usual_logits_of(net, checked=True) as (usual_logits, flat):

        def run(batch: Batch) -> Tensor:
            short = max(length for _, length in batch.rectangles) <= LONGEST
            return quick.logits(batch) if short else usual_logits(batch)

        yield run, flat


@contextmanager
def usual_logits_of(net: nn.Module, checked: bool = False) -> Iterator[tuple[LogitsOf, bool]]:
    """`logits_of` by the network's own code; `checked`: that `net` can run flat batches is known."""
    head = net.get_output_embeddings()  # type: ignore[operator]
    chosen: list[Tensor] = []

    def keep_trained_positions(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if not chosen:
            return None
        return (inputs[0].flatten(0, -2).index_select(0, chosen[0]), *inputs[1:])

    def run(batch: Batch, flat: bool) -> Tensor:
        if flat or len(batch.rectangles) == 1:
            return run_at_once(batch, flat)
        logits = torch.cat([run_at_once(piece, False) for piece in batch.rectangle_by_rectangle()])
        return nn.functional.pad(logits, (0, 0, 0, len(batch.index_K) - len(logits)))  # positions of weight 0

    def run_at_once(batch: Batch, flat: bool) -> Tensor:
        chosen.append(batch.index_K)
        try:
            if flat:
                with _attention(net, ATTENTION):
                    logits = net(
                        input_ids=batch.ids_1N,
                        position_ids=batch.positions_1N,
                        rectangles=batch.rectangles,
                        use_cache=False,
                    ).logits
            else:
                # Padding stands at the end, where a causal model's earlier tokens cannot see it: no mask is needed.
                ((docs, length),) = batch.rectangles
                logits = net(input_ids=batch.ids_1N.view(docs, length), use_cache=False).logits
        finally:
            chosen.clear()
        return logits.reshape(-1, logits.shape[-1])  # type: ignore[no-any-return]

    hook = head.register_forward_pre_hook(keep_trained_positions)
    try:
        flat = checked or _agrees_with_itself(net, run)
        yield (lambda batch: run(batch, flat)), flat
    finally:
        hook.remove()


def _agrees_with_itself(net: nn.Module, run: Callable[[Batch, bool], Tensor]) -> bool:
    """Whether the model gives the same logits flat and in the ordinary way, on a few short documents."""
    if not getattr(net, "_supports_attention_backend", False):
        return False
    token = latent_token(net)
    steps = [] if token is None else [[7, 6, token, token, 1, 3], [2, token, 5, 6, token, 1]]
    sample = Batch.of_tokens([[5, 3, 8, 1, 9, 4, 2] * 5, [7, 6, 1], [2, 6], *steps], next(net.parameters()).device)
    was_training = net.training
    net.eval()
    try:
        with torch.no_grad():
            flat = run(sample, True)[sample.weights_K != 0]
            apart = torch.cat([run(piece, False) for piece in sample.rectangle_by_rectangle()])
    except (_NeedsMask, TypeError):  # TypeError: the model passes no extra arguments on to its attention
        return False
    finally:
        net.train(was_training)
    tolerance = 1e-4 if flat.dtype == torch.float32 else 5e-2
    return bool((flat - apart).abs().max() <= tolerance * apart.abs().max().clamp(min=1.0))


@contextmanager
def _attention(net: nn.Module, name: str) -> Iterator[None]:
    """While the context is open, `net` uses another registered attention."""
    config: Any = net.config
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before


def rectangle_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    softcap: float | None = None,
    *,
    rectangles: tuple[tuple[int, int], ...],
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention inside each document.

    Args:
        module: the attention layer; dropout is used if its `training` is set.
        query: `[1, heads, N, width]`; `key` and `value` may have fewer heads, each shared by as many queries.
        attention_mask: always None; the rectangles take its place.
        scaling: factor on the scores.
        dropout: share of the attention probabilities to drop.
        softcap: if given, scores are bounded smoothly between -softcap and softcap.
        rectangles: `(docs, length)` of each, in the order of the row; `N` is the sum of their products.

    Returns:
        the mixed values, `[1, N, heads, width]`, and None (no attention weights).
    """
    heads, shared = query.shape[1], query.shape[1] // key.shape[1]
    # On a CPU small products gain nothing from bf16, and the bf16 kernels are prepared anew for every shape.
    if query.device.type == "cpu":
        query, key, value = query.float(), key.float(), value.float()
    elif torch.is_autocast_enabled(query.device.type):
        query, key, value = (part.to(torch.get_autocast_dtype(query.device.type)) for part in (query, key, value))
    dropout = dropout if module.training else 0.0
    sizes = [docs * length for docs, length in rectangles]
    mixed = []
    with torch.autocast(query.device.type, enabled=False):
        # Split rather than slice: the gradient of a split is one concatenation, that of slices a sum of zero-padded rows.
        parts = zip(*(part[0].split(sizes, dim=1) for part in (query, key, value)), strict=True)  # type: ignore[no-untyped-call]
        for (docs, length), (q, k, v) in zip(rectangles, parts, strict=True):
            k, v = _per_query_head(k, shared), _per_query_head(v, shared)
            q, k, v = (part.reshape(heads * docs, length, -1) for part in (q, k, v))
            mixed.append(_causal(q, k, v, scaling, dropout, softcap).view(heads, docs * length, -1))
    return torch.cat(mixed, dim=1).transpose(0, 1).unsqueeze(0), None


def _per_query_head(part: Tensor, shared: int) -> Tensor:
    return part if shared == 1 else part.repeat_interleave(shared, dim=0)


def _causal(q: Tensor, k: Tensor, v: Tensor, scaling: float, dropout: float, softcap: float | None) -> Tensor:
    """Causal attention of equal-length sequences, `[batch, length, width]` each."""
    length = q.shape[1]
    if softcap is None and (length > LONG or q.device.type != "cpu"):
        fused = nn.functional.scaled_dot_product_attention
        return fused(q.unsqueeze(1), k.unsqueeze(1), v.unsqueeze(1), dropout_p=dropout, is_causal=True, scale=scaling)[
            :, 0
        ]
    future = _future(length, q.dtype, q.device)
    if softcap is not None:
        scores = torch.tanh(torch.bmm(q, k.transpose(1, 2)) * (scaling / softcap)) * softcap + future
        return torch.bmm(nn.functional.dropout(scores.softmax(-1), dropout), v)
    scores = torch.baddbmm(future, q, k.transpose(1, 2), alpha=scaling)
    return torch.bmm(nn.functional.dropout(scores.softmax(-1), dropout), v)


@lru_cache(maxsize=512)
def _future(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`[1, length, length]`: very negative where the key comes after the query, else 0."""
    return torch.full((1, length, length), torch.finfo(dtype).min / 2, dtype=dtype, device=device).triu(1)


def _no_mask(*_: Any, local_size: int | None = None, **__: Any) -> None:
    """Replace transformers' mask functions: rectangles need no mask, and cannot have a sliding window."""
    if local_size is not None:
        raise _NeedsMask


AttentionInterface.register(ATTENTION, rectangle_attention)
AttentionMaskInterface.register(ATTENTION, _no_mask)
