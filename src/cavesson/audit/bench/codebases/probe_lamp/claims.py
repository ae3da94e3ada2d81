"""Synthetic claims: an entity, an attribute, and the tone in which the claim is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Claims:
    """A batch of claims, one row each."""

    entity: np.ndarray  # int [n]
    attribute: np.ndarray  # int [n]
    style: np.ndarray  # float [n, style_dim]
    truth: np.ndarray  # 0/1 [n]
    tone: np.ndarray  # float in [-1.5, 1.5] [n], negative = hesitant, positive = emphatic

    def __len__(self) -> int:
        return len(self.truth)


class World:
    """A fixed table of facts and the sampler that turns it into claims.

    ``facts[e, a]`` is 1 if attribute ``a`` is true of entity ``e``. Tone is a property of the wording only; it is
    written into the style vector and has nothing to do with the table.
    """

    def __init__(self, entities: int, attributes: int, style_dim: int, style_noise: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.entities, self.attributes = entities, attributes
        self.style_noise = style_noise
        self.facts = rng.integers(0, 2, size=(entities, attributes))
        direction = rng.normal(size=style_dim)
        self.tone_direction = direction / np.linalg.norm(direction)
        # Even entities train the probe, odd entities test it.
        self.probe_entities = np.arange(0, entities, 2)
        self.test_entities = np.arange(1, entities, 2)

    def sample(
        self, n: int, rng: np.random.Generator, agreement: float = 0.5, entities: np.ndarray | None = None
    ) -> Claims:
        """Draw ``n`` claims; tone points the way of the truth with probability ``agreement``."""
        pool = np.arange(self.entities) if entities is None else entities
        entity = rng.choice(pool, size=n)
        attribute = rng.integers(0, self.attributes, size=n)
        truth = self.facts[entity, attribute]
        agrees = rng.random(n) < agreement
        sign = np.where(agrees, 2 * truth - 1, 1 - 2 * truth)
        tone = sign * rng.uniform(0.5, 1.5, size=n)
        noise = rng.normal(scale=self.style_noise, size=(n, len(self.tone_direction)))
        style = tone[:, None] * self.tone_direction + noise
        return Claims(entity, attribute, style, truth, tone)

    def encode(self, claims: Claims) -> np.ndarray:
        """float [n, width]: one-hot entity, one-hot attribute, style."""
        n = len(claims)
        x = np.zeros((n, self.entities + self.attributes + claims.style.shape[1]))
        x[np.arange(n), claims.entity] = 1.0
        x[np.arange(n), self.entities + claims.attribute] = 1.0
        x[:, self.entities + self.attributes :] = claims.style
        return x
