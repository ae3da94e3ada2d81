"""Activations of any causal language model of transformers: the residual stream between its layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from cavesson.errors import ConfigError, nearest
from cavesson.inside.prompts import Text, network_of, token_ids
from cavesson.models.context import base_of, text_config
from cavesson.sampling.manner import switch_of
from cavesson.sampling.reading import Reader, inference

At = Literal["last", "mean"]
"""The position that is read: the last token of a text, where the answer starts; or the mean over all tokens of the text."""

ROWS_AT_ONCE = 32


def activations(
    model: Any,
    texts: Iterable[Text],
    layers: Sequence[int] | None = None,
    at: At = "last",
    *,
    tokenizer: Any = None,
    at_once: int = ROWS_AT_ONCE,
) -> NDArray[np.float32]:
    """The residual stream of a model, text by text and layer by layer.

    Layer 0 is what goes into the first layer (the embeddings), layer k what comes out of layer k, before the final norm. The
    texts are read in batches of similar length; the hooks that read the stream are removed afterwards, also after an error.

    Args:
        model: a `Model`, or a causal language model of transformers.
        texts: plain texts, conversations (read up to where the answer starts), or token ids.
        layers: layers to read; negative ones count from the last; None: all of them.
        at: see `At`.
        tokenizer: of a plain model.
        at_once: texts in one batch.

    Returns:
        `[texts, layers, hidden size]`, float32, in the model's own units.

    Raises:
        ConfigError: a text or layer cannot be read, or the layers of the architecture are not found.
    """
    if at not in get_args(At):
        raise ConfigError(f"There is no position {at!r} to read.", nearest(str(at), get_args(At)))
    rows = token_ids(model, texts, tokenizer)
    net = network_of(model)
    places = _places(len(blocks_of(net)), layers)
    if switch_of(text_config(net)) is not None:
        at_once = 1  # positions depend on the length of the longest text: every text is read alone
    order = sorted(range(len(rows)), key=lambda n: len(rows[n]))
    batches = [order[start : start + at_once] for start in range(0, len(order), at_once)]
    read = Reader(net)
    found: NDArray[np.float32] | None = None
    with inference(net):
        for batch in batches:
            lengths = torch.tensor([len(rows[n]) for n in batch], device=net.device)
            # Padding stands at the end, where a causal model's earlier tokens cannot see it: no mask is needed.
            ids = pad_sequence([torch.tensor(rows[n]) for n in batch], batch_first=True).to(net.device)
            with _kept(net, places, lengths, at) as kept:
                read(ids)
            stream = torch.stack([kept[place] for place in places], dim=1).cpu().numpy()
            if found is None:
                found = np.empty((len(rows), *stream.shape[1:]), dtype=np.float32)
            found[batch] = stream
    assert found is not None
    return found


def blocks_of(net: Any) -> nn.ModuleList:
    """The layers of a network, in order.

    Raises:
        ConfigError: the network holds no list of as many layers as its config says.
    """
    base = base_of(net)
    count = getattr(text_config(net), "num_hidden_layers", None)
    for module in base.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ConfigError(
        f"The layers of a {type(base).__name__} are not found: it holds no list of {count} layers.",
        "Use a model whose layers stand in one list, as in most architectures of transformers.",
    )


def _places(count: int, layers: Sequence[int] | None) -> list[int]:
    """Layers from 0 to `count`."""
    if layers is None:
        return list(range(count + 1))
    for layer in layers:
        if not -count - 1 <= layer <= count:
            raise ConfigError(f"There is no layer {layer}.", f"The model has the layers 0 (embeddings) to {count}.")
    if not layers:
        raise ConfigError("No layer is to be read.", f"Name some of the layers 0 to {count}, or leave layers out.")
    return [layer % (count + 1) for layer in layers]


@contextmanager
def _kept(net: Any, places: Sequence[int], lengths: Tensor, at: At) -> Iterator[dict[int, Tensor]]:
    """While the context is open, hooks keep what the layers hand on: for each layer `[rows, hidden size]`."""
    kept: dict[int, Tensor] = {}

    def keep(place: int, stream: Tensor) -> None:
        if stream.shape[:2] == (len(lengths), int(lengths.max())):  # not a single step of a latent thought
            kept[place] = _at(stream.float(), lengths, at)

    def before(_: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        keep(0, args[0] if args else given["hidden_states"])

    with ExitStack() as hooks:
        blocks = blocks_of(net)
        for place in set(places):
            if place == 0:
                hook = blocks[0].register_forward_pre_hook(before, with_kwargs=True)
            else:
                hook = blocks[place - 1].register_forward_hook(
                    lambda _m, _a, out, place=place: keep(place, out if isinstance(out, Tensor) else out[0])
                )
            hooks.callback(hook.remove)
        yield kept


def _at(stream: Tensor, lengths: Tensor, at: At) -> Tensor:
    """What is read of `[rows, columns, hidden size]`, whose rows are padded at the end."""
    if at == "last":
        return stream[torch.arange(len(stream), device=stream.device), lengths - 1]
    own = torch.arange(stream.shape[1], device=stream.device) < lengths[:, None]
    return (stream * own[:, :, None]).sum(1) / lengths[:, None]
