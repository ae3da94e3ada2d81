"""Fields that the configs of several studies have: names that a registry knows, and lists that make sense.

A field of such a type is refused with the registry's own message, under the key and with the value that were given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field

from cavesson.data.named import data_named
from cavesson.errors import CavessonError
from cavesson.evals.pairs import pair_named
from cavesson.named import model_named
from cavesson.redteam.constructions import construction
from cavesson.sampling.openai import PREFIX

T = TypeVar("T")
N = TypeVar("N", int, float)


def checked(look_up: Callable[[Any], object], name: object) -> None:
    """Let a registry's own error message become a validation error."""
    try:
        look_up(name)
    except CavessonError as error:
        raise ValueError(f"{error.problem} {error.remedy}") from error


def known_to(look_up: Callable[[Any], object]) -> AfterValidator:
    """Validates a name by a registry: `Annotated[str, known_to(construction)]`."""

    def known(name: str) -> str:
        checked(look_up, name)
        return name

    return AfterValidator(known)


def trainable(name: str) -> str:
    """The name of a model, if it is one that can be trained."""
    checked(model_named, name)
    if name.startswith(PREFIX):
        raise ValueError(f"{name!r} is behind an API: it can be the teacher, but it cannot be trained")
    return name


def distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    """The values if no two are the same: a copy of a run is no further evidence."""
    twice = [value for value in values if values.count(value) > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} stands twice")
    return values


def check_within(probes: tuple[int, ...], steps: int) -> None:
    """Refuse probes beyond the end of a run."""
    late = [probe for probe in probes if not 0 <= probe <= steps]
    if late:
        raise ValueError(f"probe {late[0]} lies outside the run of {steps} steps; raise steps or drop the probe")


def rising(values: tuple[N, ...]) -> tuple[N, ...]:
    """Numbers of which none stands twice, in rising order."""
    return tuple(sorted(distinct(values)))


ModelName = Annotated[str, known_to(model_named)]
TrainableName = Annotated[str, AfterValidator(trainable)]
DataName = Annotated[str, known_to(data_named)]
PairName = Annotated[str, known_to(pair_named)]
ConstructionName = Annotated[str, known_to(construction)]

Once = AfterValidator(distinct)
"""For a list in which nothing may stand twice: `Annotated[tuple[PairName, ...], Once]`."""

Rising = AfterValidator(rising)
"""For numbers of which none may stand twice: in rising order."""

LearningRates = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Once]
"""Learning rates of a sweep."""
