"""What every study's config has."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator
from pydantic.fields import FieldInfo

from cavesson.errors import CavessonError, ConfigError
from cavesson.lab.recipe import Value
from cavesson.models.recipes import TemplateValue
from cavesson.named import with_template
from cavesson.studies.answers import Answers

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What every random generator in use accepts."""

AUTO = "auto"
"""The value of `seeds` that adds seeds until the study's claims are decided."""

MOST_SEEDS = 10_000
"""More are a slip of the keyboard: a study has some tens of artifacts a seed."""

_RANGE = re.compile(r"(\d{1,10})\s*-\s*(\d{1,10})")
"""A range of seeds, both ends included."""


class Looks(Value):
    """Seeds are added in steps; after each step the study looks at its claims, and stops if all of them are decided.

    The numbers of seeds are fixed beforehand. With k looks, each spends a k-th of the error: five looks at 99 % miss
    with at most 5 % in all (Bonferroni), however the looks depend on each other. `docs/statistics.md` has the simulations.

    Attributes:
        at: number of seeds at each look, rising. Five seeds give no verdict where seeds fall into two groups: five agree too easily.
        first_seed: the seeds are numbered from here; not 0 where settings were chosen on seed 0.
        look: the look at which a finished study stopped, from 1; None: look until all claims are decided.
        why: the reason for which the study stopped there, in words.
        failed: seeds with which an organism did not take, which the looks go without. Cavesson fills this in.
    """

    at: tuple[Annotated[int, Field(ge=5, le=MOST_SEEDS)], ...] = Field(
        default=(8, 12, 20, 32), min_length=1, max_length=20
    )
    first_seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    look: Annotated[int, Field(ge=1)] | None = None
    why: str = ""
    failed: tuple[Seed, ...] = ()

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if any(later <= earlier for earlier, later in pairwise(self.at)):
            raise ValueError(f"looks.at must rise, not {list(self.at)}")
        if self.look is not None and self.look > len(self.at):
            raise ValueError(f"looks.look = {self.look} is beyond the last of {len(self.at)} looks")
        return self

    def seeds(self, look: int) -> tuple[int, ...]:
        """The seeds of a look, counted from 1."""
        seeds = range(self.first_seed, self.first_seed + self.at[look - 1])
        return tuple(seed for seed in seeds if seed not in self.failed)

    @property
    def share(self) -> float:
        """The share of the error that each look spends."""
        return 1 / len(self.at)

    @property
    def level(self) -> str:
        """The confidence of each look's intervals, in words."""
        return f"{100 * (1 - 0.05 * self.share):.6g} %"

    def said(self, look: int) -> str:
        """What the method of every interval of a look says."""
        return f"95 % over {len(self.at)} looks, look {look}"


class StudyConfig(Value):
    """What every study's config has.

    Class attributes:
        gives_way: keys whose value in a preset does not count where the user gives the other key, which it would contradict.

    Attributes:
        seeds: each seeds one independent repetition, red team included: a list, a number N (0 to N − 1), a range (20-39), or
            auto, which adds seeds until the claims are decided. Five or more for a result to quote.
        looks: of `seeds: auto`: at how many seeds the study looks at its claims.
        answers: how models write the answers that models are trained on.
        template: arguments of the chat template of the models that the study trains, such as `enable_thinking: false` or
            `reasoning_effort: low`; they go behind the models' names.
        dtype: type of the weights of the models that the study trains, where they are not trained: bfloat16, float16 (GPU) or float32.
            Without it, float32 on a CPU and the stored type on a GPU. Behind a single model's name: `:dtype=bfloat16`.
    """

    gives_way: ClassVar[Mapping[str, str]] = {}

    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    looks: Looks | None = None
    answers: Answers = Answers()
    template: dict[str, TemplateValue] = {}
    dtype: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _behind_names(cls, given: Any) -> Any:
        """Put the arguments of the chat template, and the type of the weights, behind the name of each model that is trained."""
        if not isinstance(given, Mapping) or not isinstance(given.get("template") or {}, Mapping):
            return given
        opened = {"dtype": given["dtype"]} if isinstance(given.get("dtype"), str) else {}
        behind = {**(given.get("template") or {}), **opened}
        if not behind:
            return given
        try:
            return {**given, **_named_with(behind, cls.model_fields, given)}
        except CavessonError as error:
            raise ValueError(error.sentences) from error

    @model_validator(mode="before")
    @classmethod
    def _looked_at(cls, given: Any) -> Any:
        """`seeds: auto` as the seeds of the first look; a study that stopped at a look goes on from the first look."""
        if not isinstance(given, Mapping) or given.get("seeds") not in (AUTO, [AUTO], (AUTO,)):
            return given
        looks = given.get("looks") or {}
        try:
            valid = Looks.model_validate({**dict(looks), "look": None, "why": "", "failed": ()})
        except (TypeError, ValueError):  # the field's own error names the key
            return {**given, "seeds": (0,), "looks": looks}
        return {**given, "seeds": valid.seeds(1), "looks": valid}

    @field_validator("seeds", mode="before")
    @classmethod
    def _counted(cls, seeds: Any) -> Any:
        """A number of seeds, or a range of seeds, as these seeds."""
        if isinstance(seeds, str):
            if not (ends := _RANGE.fullmatch(seeds)):
                raise ValueError("seeds are a list of seeds, a number of seeds, a range such as 20-39, or auto")
            first, last = map(int, ends.groups())
            if not 0 <= last - first < MOST_SEEDS:
                raise ValueError(
                    f"the range {seeds} holds {max(last - first + 1, 0):,} seeds; it may hold 1 to {MOST_SEEDS}"
                )
            return tuple(range(first, last + 1))
        if isinstance(seeds, float) and seeds.is_integer():  # 1e1
            seeds = int(seeds)
        if isinstance(seeds, bool) or not isinstance(seeds, int):
            return seeds
        if not 1 <= seeds <= MOST_SEEDS:
            raise ValueError(
                f"a number of seeds lies within 1 and {MOST_SEEDS}; seed {seeds} alone is the list [{seeds}]"
            )
        return tuple(range(seeds))

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[Seed, ...]) -> tuple[Seed, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("a seed stands twice; repetitions with one seed are copies, not evidence")
        return seeds

    @model_validator(mode="after")
    def _seeds_of_the_look(self) -> Self:
        if self.looks is not None and self.seeds != self.looks.seeds(self.looks.look or 1):
            raise ValueError(
                "`seeds` are not those of the look in `looks`: write `seeds: auto`, or `looks: null` to run just these seeds"
            )
        return self

    def at_look(self, look: int) -> Self:
        """The same config with the seeds of a look, counted from 1."""
        assert self.looks is not None, "the config has no looks"
        looks = self.looks.model_copy(update={"look": look})
        return self.model_copy(update={"seeds": looks.seeds(look), "looks": looks})

    def without_seeds(self, failed: Collection[int]) -> Self:
        """The same config without seeds with which an organism did not take."""
        looks = self.looks and self.looks.model_copy(update={"failed": (*self.looks.failed, *sorted(failed))})
        seeds = tuple(seed for seed in self.seeds if seed not in failed)
        return self.model_copy(update={"seeds": seeds, "looks": looks})


def _named_with(
    template: Mapping[str, TemplateValue], fields: Mapping[str, FieldInfo], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings `model` and `models`, as far as a study has them, with arguments of the chat template behind each name.

    Raises:
        ConfigError: the study trains no model that is named, or a name does not take the arguments.
    """
    named = {key: given.get(key, fields[key].default) for key in ("model", "models") if key in fields}
    named = {key: value for key, value in named.items() if value}
    if not named:
        raise ConfigError(f"{' and '.join(template)} is set, and the study names no model to train.", "Leave it out.")
    return {
        key: with_template(value, template)
        if isinstance(value, str)
        else [with_template(one, template) if isinstance(one, str) else one for one in value]
        for key, value in named.items()
    }
