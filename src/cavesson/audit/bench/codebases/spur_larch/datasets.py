"""Synthetic images of two classes whose background usually, but not always, goes with the class."""

import torch
from torch.utils.data import Dataset


class BackgroundDataset(Dataset):
    """
    Feature vectors made of a noisy *core* part and a clearer *background* part.

    :param size: number of samples
    :param agreement: probability that the background goes with the class
    :param generator: source of randomness
    :param core: number of core features
    :param background: number of background features
    :param core_noise: standard deviation of the noise on the core
    :param background_noise: standard deviation of the noise on the background
    """

    def __init__(
        self,
        size: int,
        agreement: float,
        generator: torch.Generator,
        core: int = 10,
        background: int = 10,
        core_noise: float = 2.5,
        background_noise: float = 0.8,
    ) -> None:
        self.labels = torch.randint(0, 2, (size,), generator=generator)
        agrees = torch.rand(size, generator=generator) < agreement
        self.places = torch.where(agrees, self.labels, 1 - self.labels)
        signs = 2.0 * self.labels.float() - 1.0
        place_signs = 2.0 * self.places.float() - 1.0
        self.features = torch.cat(
            [
                signs[:, None] + core_noise * torch.randn(size, core, generator=generator),
                place_signs[:, None] + background_noise * torch.randn(size, background, generator=generator),
            ],
            dim=1,
        )

    def subset(self, kept: torch.Tensor) -> "BackgroundDataset":
        """The samples that a mask or a slice keeps, in their order."""
        part = object.__new__(BackgroundDataset)
        part.labels, part.places, part.features = self.labels[kept], self.places[kept], self.features[kept]
        return part

    @property
    def groups(self) -> torch.Tensor:
        """Class and background in one number: 0 to 3."""
        return 2 * self.labels + self.places

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index):
        return self.features[index], self.labels[index]
