"""The model as it was before training, available during training: for a KL penalty, or for the likelihood of a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cavesson.training.batches import Batch
from cavesson.training.flat import LogitsOf
from cavesson.training.sharing import own_part


class Reference:
    """Logits of the network before training, on the batches of the training.

    There is one network, not two: the trained weights change places with a copy of their first values. A reference therefore
    takes the memory of the trained weights alone (little for an adapter), and runs as fast as the network. Of weights that several
    processes share, each process keeps and exchanges its own part.

    Args:
        net: the network, at the start of training.
        weights: the weights that are going to be trained.
    """

    def __init__(self, net: nn.Module, weights: dict[str, nn.Parameter]) -> None:
        self.net = net
        with torch.no_grad():
            self.pairs = [(weight, own_part(weight).detach().clone()) for weight in weights.values()]

    def logits(self, logits: LogitsOf, piece: Batch) -> Tensor:
        """Logits at the trained positions, `[K, vocabulary]`, without dropout; `logits` runs the network."""
        with torch.no_grad(), self._in_place():
            return logits(piece)

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """While the context is open (with no backward pass pending), the network has its first weights, in evaluation mode."""
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
            if (part := own_part(weight)) is weight:
                self.pairs[n] = weight, weight.data
                weight.data = other
            else:  # FSDP2 gathers from where the part lies, so the values move and not the tensor
                self.pairs[n] = weight, part.clone()
                part.copy_(other)
