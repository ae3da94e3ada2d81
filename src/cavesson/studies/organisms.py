"""Organisms that a study builds from pairs and constructions by name: the parts of a config, and the recipe."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

from cavesson.data.recipes import DataRecipe
from cavesson.data.streams import draw
from cavesson.lab.recipe import Value
from cavesson.named import model_named
from cavesson.redteam.organisms import Organism, organism
from cavesson.redteam.recipes import red_prompts
from cavesson.studies import settings
from cavesson.studies.fields import ConstructionName, PairName, distinct


class Built(Value):
    """An organism: a pair put into a model by one of Cavesson's constructions."""

    pair: PairName
    construction: ConstructionName

    @property
    def name(self) -> str:
        """Names the organism in tables, all seeds together."""
        return f"{self.pair}, {self.construction}"


B = TypeVar("B", bound=Built)


def _own_names(organisms: tuple[B, ...]) -> tuple[B, ...]:
    distinct(tuple(one.name for one in organisms))
    return organisms


Each = AfterValidator(_own_names)
"""For a list of organisms: no pair stands twice with one construction."""

Organisms = Annotated[tuple[Built, ...], Each]


class Red(settings.Red):
    """How red trains the organisms.

    Attributes:
        took_from: triggered rate before blue training from which on an organism took; others are left out.
    """

    took_from: float = Field(default=0.5, ge=0, le=1)

    def build(self, spec: Built, model: str, seed: int, prompts: DataRecipe | None = None) -> Organism:
        """A pair put into a model, with one seed.

        Args:
            prompts: what red answers; None: the tiny world's, as in `robust-organisms`, so that the studies share organisms.
        """
        return organism(
            spec.construction,
            model_named(model),
            prompts or red_prompts(spec.pair, self.prompts, draw("red", seed)),
            spec.pair,
            self.dose(self.lr, seed),
            name=spec.name,
            labels={"model": model, "construction": spec.construction, "seed": seed},
        )
