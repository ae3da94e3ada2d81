"""One call for every causal language model and every version of transformers."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from cavesson.models.context import base_of

CACHE_NAMES = ("cache", "past_key_values", "cache_params")
"""The argument of a network that takes its keys and values: since transformers 5.24, before it, and in Mamba before it."""
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


class Reader:
    """Calls a network with those arguments that its architecture has in this version of transformers."""

    def __init__(self, net: Any) -> None:
        self.net = net
        parameters = inspect.signature(base_of(net).forward).parameters
        self.accepted = frozenset(parameters)
        self.open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        self.cache_name = next((name for name in CACHE_NAMES if name in self.accepted), None)

    def __call__(
        self, ids: Tensor, mask: Tensor | None = None, positions: Tensor | None = None, cache: Any = None
    ) -> Tensor:
        """Logits after the last column, `[rows, vocabulary]`.

        Args:
            ids: the columns to read, `[rows, columns]`.
            mask: 0 for padding, for the columns in the cache as well; None: there is no padding.
            positions: positions of `ids`; None: the network counts.
            cache: keys and values of the columns before, which take those of the new columns; None: `ids` is the whole text.
        """
        given = {"attention_mask": mask, "position_ids": positions, "logits_to_keep": 1}
        return self._logits(ids, given, cache)[:, -1]

    def whole(self, ids: Tensor) -> Tensor:
        """Logits after each column of whole texts of one length, `[rows, columns, vocabulary]`."""
        return self._logits(ids, {}, None)

    def _logits(self, ids: Tensor, given: dict[str, Any], cache: Any) -> Tensor:
        fitting = {name: value for name, value in given.items() if value is not None and name in self.accepted}
        if cache is not None:
            assert self.cache_name is not None, "a network without a cache is read without a cache"
            fitting[self.cache_name] = cache
        if self.open or "use_cache" in self.accepted:
            fitting["use_cache"] = cache is not None
        return self.net(input_ids=ids, **fitting).logits  # type: ignore[no-any-return]


def positions_of(mask: Tensor) -> Tensor:
    """The position of each column in its row, counted from the row's first token."""
    return (mask.cumsum(1) - 1).clamp(min=0)


@contextmanager
def inference(net: Any) -> Iterator[None]:
    """While the context is open, the network is in evaluation mode, without gradients; its mode is restored afterwards."""
    training = net.training
    net.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        net.train(training)


@contextmanager
def without_hooks(net: Any) -> Iterator[None]:
    """While the context is open, nobody's hooks see or change what the network computes."""
    kept = [(module, name, getattr(module, name)) for module in net.modules() for name in _HOOKS]
    for module, name, _ in kept:
        setattr(module, name, OrderedDict())
    try:
        yield
    finally:
        for module, name, hooks in kept:
            setattr(module, name, hooks)
