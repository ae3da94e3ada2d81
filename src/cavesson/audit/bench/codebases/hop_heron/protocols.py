"""Two ways of getting the answer to a two-hop question from the same network."""

from __future__ import annotations

import numpy as np

from model import Answerer
from world import World


def latent(model: Answerer, world: World, rows: np.ndarray) -> np.ndarray:
    """One forward pass with both relations: the network has to compose inside."""
    return model.answer(rows)


def stepwise(model: Answerer, world: World, rows: np.ndarray) -> np.ndarray:
    """Two one-hop questions: the answer to the first is written out and asked about in the second."""
    stop = np.full(len(rows), world.stop)
    bridge = model.answer(np.column_stack([rows[:, 0], rows[:, 1], stop]))
    return model.answer(np.column_stack([bridge, rows[:, 2], stop]))


PROTOCOLS = {"latent": latent, "stepwise": stepwise}
