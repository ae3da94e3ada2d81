"""Fields that the configs of several studies have: names that a registry knows, and lists that make sense.

A field of such a type is refused with the registry's own message, under the key and with the value that were given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, model_validator

from cavesson.data.named import data_named, with_columns
from cavesson.data.shapes import parse_columns
from cavesson.errors import CavessonError
from cavesson.evals.pairs import pair_named
from cavesson.named import model_named
from cavesson.redteam.constructions import construction
from cavesson.studies.config import StudyConfig

T = TypeVar("T")
N = TypeVar("N", int, float)


def checked(look_up: Callable[[Any], object], name: object) -> None:
    """Let a registry's own error message become a validation error."""
    try:
        look_up(name)
    except CavessonError as error:
        raise ValueError(error.sentences) from error


def known_to(look_up: Callable[[Any], object]) -> AfterValidator:
    """Validates a name by a registry: `Annotated[str, known_to(construction)]`."""

    def known(name: str) -> str:
        checked(look_up, name)
        return name

    return AfterValidator(known)


def trainable(name: str) -> str:
    """The name of a model, if it is one that can be trained."""
    checked(model_named, name)
    if not model_named(name).has_weights:
        raise ValueError(f"{name!r} only writes answers: it can be the teacher, but it cannot be trained")
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


def readable(name: str) -> None:
    """Read every row of a data set, so that a row that does not fit is refused before anything is made.

    Raises:
        ConfigError: there is no such data set, or a row cannot be read.
    """
    data_named(name).read()


class TakesData(StudyConfig):
    """What a study has whose data sets may lie in columns of any name.

    Attributes:
        columns: which columns of the data sets to use, such as prompt=question,response=a; none: the shape of the
            rows is recognised. One data set alone: its name, and then the columns in brackets.
    """

    columns: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_columns(cls, given: Any) -> Any:
        """Put the columns behind the name of every data set; sets that give prompts alone need no answers."""
        if not isinstance(given, Mapping) or not given.get("columns"):
            return given
        columns = given["columns"]
        text = ",".join(f"{key}={value}" for key, value in columns.items()) if isinstance(columns, Mapping) else columns
        if not isinstance(text, str):
            raise ValueError(f"columns is given {text!r}, which is neither a text nor keys and values")
        checked(parse_columns, text)
        asked = ",".join(
            part for part in text.split(",") if part.split("=")[0].strip() in ("messages", "prompt", "system")
        )
        wanted = {"prompts": asked, "other_prompts": asked, "responses": text, "traces": text}
        names = {key: given[key] for key in wanted if isinstance(given.get(key), str)}
        if not names:
            raise ValueError("`columns` say what is what in a data set, and the study is given none")
        return {**given, "columns": text, **{key: with_columns(name, wanted[key]) for key, name in names.items()}}


ModelName = Annotated[str, known_to(model_named)]
TrainableName = Annotated[str, AfterValidator(trainable)]
DataName = Annotated[str, known_to(readable)]
PairName = Annotated[str, known_to(pair_named)]
ConstructionName = Annotated[str, known_to(construction)]

Once = AfterValidator(distinct)
"""For a list in which nothing may stand twice: `Annotated[tuple[PairName, ...], Once]`."""

Rising = AfterValidator(rising)
"""For numbers of which none may stand twice: in rising order."""

LearningRates = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Once]
"""Learning rates of a sweep."""
