"""Images: ten blurred prototypes that the teacher learns, and noise images that the student sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Split:
    """Flattened images and their classes."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


def prototypes(rng: np.random.Generator, classes: int, side: int) -> np.ndarray:
    """One random image per class, blurred with a 2 x 2 box (periodic at the border), unit pixel variance."""
    raw = rng.normal(size=(classes, side, side))
    right, down = np.roll(raw, 1, axis=2), np.roll(raw, 1, axis=1)
    return (raw + right + down + np.roll(right, 1, axis=1)) / 2


def sample(rng: np.random.Generator, protos: np.ndarray, n: int, pixel_noise: float) -> Split:
    """Prototypes moved by up to one pixel in each direction (wrapping round), with Gaussian pixel noise."""
    y = rng.integers(0, len(protos), n)
    moves = rng.integers(-1, 2, size=(n, 2))
    x = np.stack([np.roll(protos[c], tuple(m), axis=(0, 1)) for c, m in zip(y, moves)])
    x += pixel_noise * rng.normal(size=x.shape)
    return Split(x.reshape(n, -1), y)


def noise_images(rng: np.random.Generator, n: int, side: int, grid: int, amplitude: float) -> np.ndarray:
    """Images without any class: a grid x grid pattern of uniform values, enlarged to side x side."""
    pattern = rng.uniform(-amplitude, amplitude, size=(n, grid, grid))
    block = np.ones((1, side // grid, side // grid))
    return np.kron(pattern, block).reshape(n, side * side)
