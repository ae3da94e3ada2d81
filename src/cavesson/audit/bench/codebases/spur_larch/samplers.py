"""Which samples make up a batch."""

from abc import ABC, abstractmethod

import torch


class BatchSampler(ABC):
    """
    Endless source of batches of indices.

    :param dataset: where to sample from
    :param batch_size: samples per batch
    :param generator: source of randomness
    """

    def __init__(self, dataset, batch_size: int, generator: torch.Generator) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.generator = generator

    @abstractmethod
    def next_batch(self) -> torch.Tensor:
        """Indices of the next batch."""


class UniformSampler(BatchSampler):
    """Every sample with the same probability, with replacement."""

    def next_batch(self) -> torch.Tensor:
        return torch.randint(0, len(self.dataset), (self.batch_size,), generator=self.generator)


class BalancedSampler(BatchSampler):
    """Every stratum with the same probability, then a sample of the stratum, with replacement."""

    def __init__(self, dataset, batch_size: int, generator: torch.Generator) -> None:
        super().__init__(dataset, batch_size, generator)
        keys = self.strata()
        self.members = [torch.nonzero(keys == key).flatten() for key in keys.unique()]

    def strata(self) -> torch.Tensor:
        """The stratum of every sample."""
        return self.dataset.groups

    def next_batch(self) -> torch.Tensor:
        chosen = torch.randint(0, len(self.members), (self.batch_size,), generator=self.generator)
        offsets = torch.rand(self.batch_size, generator=self.generator)
        return torch.stack(
            [self.members[c][int(o * len(self.members[c]))] for c, o in zip(chosen.tolist(), offsets.tolist())]
        )
