"""What every study's config has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from cavesson.lab.recipe import Value

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What every random generator in use accepts."""


class StudyConfig(Value):
    """What every study's config has.

    Class attributes:
        gives_way: keys whose value in a preset does not count where the user gives the other key, which it would contradict.

    Attributes:
        seeds: each seeds one independent repetition, red team included. Three or more for a result to quote.
    """

    gives_way: ClassVar[Mapping[str, str]] = {}

    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1)

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[Seed, ...]) -> tuple[Seed, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("a seed stands twice; repetitions with one seed are copies, not evidence")
        return seeds
