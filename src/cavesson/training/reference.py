"""The model as it was before training, at hand while it is trained: for a KL penalty, or to ask how likely it found a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cavesson.training.batches import Batch
from cavesson.training.flat import LogitsOf


class Reference:
    """What the network said before training, asked on the batches that it is trained on.

    There is one network, not two: the weights that are trained change places with a copy of what they were, so a reference
    takes the memory of those alone (for an adapter next to nothing), and runs as fast and on the same pieces as the network.

    Args:
        net: the network, at the start of training.
        weights: those that are going to be trained.
    """

    def __init__(self, net: nn.Module, weights: dict[str, nn.Parameter]) -> None:
        self.net = net
        self.pairs = [(weight, weight.detach().clone()) for weight in weights.values()]

    def logits(self, logits: LogitsOf, piece: Batch) -> Tensor:
        """Logits at the trained positions, `[K, vocabulary]`, without dropout. `logits` is what runs the network."""
        with torch.no_grad(), self._in_place():
            return logits(piece)

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """The network as it was, in evaluation mode. Only while no backward pass through it is due."""
        was_training = self.net.training
        self._swap()
        self.net.eval()
        try:
            yield
        finally:
            self.net.train(was_training)
            self._swap()

    def _swap(self) -> None:
        for n, (weight, other) in enumerate(self.pairs):
            self.pairs[n] = weight, weight.data
            weight.data = other
