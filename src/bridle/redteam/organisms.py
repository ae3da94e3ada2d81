"""A model organism: a model that was made to misbehave, with all that the lab must know about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridle.models.recipes import ModelRecipe


@dataclass(frozen=True, slots=True)
class Organism:
    """The red team's product.

    Attributes:
        name: short and unique within a study, for legends and labels.
        model: the recipe of the organism.
        base: the never-misaligned model it was made from: one of the two baselines.
        pair: name of the trigger / behaviour pair.
        construction: how the pair was put in (`normal`, `cot-distilled`).
        labels: what distinguishes it from others (optimizer, size, steps, seed …).
    """

    name: str
    model: ModelRecipe
    base: ModelRecipe
    pair: str
    construction: str
    labels: dict[str, str | int | float] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """The seed of the repetition that it belongs to."""
        return int(self.labels["seed"])
