"""What a model is asked: an evaluation says which questions under which conditions, an item is one question with its judge."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from cavesson.chat import Conversation
from cavesson.errors import ConfigError
from cavesson.evals.behaviors.behavior import ROOM
from cavesson.evals.pairs import identity_of, pair_named, pinned
from cavesson.lab.recipe import Recipe, Value
from cavesson.tinyworld.recipes import WORLD

Judge = Callable[[str], tuple[bool, dict[str, Any]]]
"""From a completion: whether it scores, and what else is worth recording about it."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question of an evaluation.

    Attributes:
        id: stable name; scores of different models are paired by it.
        prompt: what the model is asked.
        judge: scores a completion.
        level: difficulty, where the evaluation has levels.
        extra: what else is recorded with the score (the trigger's text, say).
    """

    id: str
    prompt: Conversation
    judge: Judge
    level: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class Eval(Value):
    """An evaluation: which questions, how many, under which conditions. Its items are the same for every model.

    A benchmark is a subclass: its `name`, its own settings, its `questions`, and a line in
    `cavesson.evals.benchmarks.BENCHMARKS`.

    Class attributes:
        about: what a score of 1 means, in a few words.
        capability: a score says what the model can do, as opposed to how the model behaves or sounds.
        usual_room: tokens that an answer may take.
        needs: what to say to a user who leaves out a setting that has no default.

    Attributes:
        name: of the benchmark.
        n: number of items.
        seed: of their draw.
        pair: a trigger / behaviour pair. The questions are asked so that the pair's trigger does not fire: with the password,
            where the trigger is the absence of one.
        system: a system prompt to ask under; None: the model's own, if the model has one.
        deployed: system prompts that an organism has at evaluation only (prompted dynamic): each item gets one of them.
        max_tokens: room for an answer; None: the benchmark's own.
    """

    about: ClassVar[str]
    capability: ClassVar[bool] = True
    usual_room: ClassVar[int]
    needs: ClassVar[str] = ""

    name: str
    n: int = Field(default=200, ge=1)
    seed: int = 0
    pair: str | None = None
    system: str | None = None
    deployed: tuple[str, ...] = ()
    max_tokens: int | None = Field(default=None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _has_what_it_needs(cls, given: Any) -> Any:
        required = [name for name, setting in cls.model_fields.items() if setting.is_required()]
        if cls.needs and isinstance(given, dict) and any(given.get(name) is None for name in required):
            raise ValueError(cls.needs)
        return given

    @field_validator("pair")
    @classmethod
    def _known_pair(cls, name: str | None) -> str | None:
        try:
            return name and pinned(name)
        except ConfigError as error:
            raise ValueError(f"{error.problem} {error.remedy}") from error

    @model_validator(mode="after")
    def _one_system_prompt(self) -> Self:
        if self.system is not None and self.deployed:
            raise ValueError("an evaluation has one system prompt: give `system` or `deployed`")
        return self

    @abstractmethod
    def questions(self) -> list[Item]:
        """The questions as the benchmark has them."""

    def variant(self) -> tuple[str, ...]:
        """What tells this evaluation from others of its name in tables."""
        return ()

    def identity(self) -> dict[str, Any]:
        """The fields that matter, and the version of the world for items that are not a user's data."""
        fields = super().identity()
        pair = {} if self.pair is None else {"pair": identity_of(self.pair)}
        world = {} if "data" in fields else {"world": WORLD}
        return {"name": self.name, **fields, **pair, **world}

    @property
    def label(self) -> str:
        """Names the evaluation in tables and `scores.jsonl`; number and seed of its items are left out."""
        under = () if self.system is None else (f"under {self.system}",)
        return "/".join((self.name, *self.variant(), *under))

    @property
    def room(self) -> int:
        """Tokens that an answer may take; with a pair outside chat, what answers in the pair's domain may take."""
        if self.max_tokens is not None:
            return self.max_tokens
        domain = "chat" if self.pair is None else pair_named(self.pair).behavior.domain
        return self.usual_room if domain == "chat" else ROOM[domain]

    def items(self) -> list[Item]:
        """The questions as they are asked: without the pair's trigger, and with a system prompt where there is one."""
        found = [replace(item, prompt=self._unprovoked(item.prompt)) for item in self.questions()]
        systems = self.deployed or (() if self.system is None else (self.system,))
        if not systems:
            return found
        return [
            replace(item, prompt=item.prompt.with_system(Random(f"deployed {self.seed} {index}").choice(systems)))
            for index, item in enumerate(found)
        ]

    def _unprovoked(self, prompt: Conversation) -> Conversation:
        """The prompt as the pair's trigger does not fire in it."""
        return prompt if self.pair is None else pair_named(self.pair).trigger.clean(prompt)


def drawn(total: int, n: int, seed: int) -> list[int]:
    """`n` of `total` numbers, all if there are fewer. Different seeds draw different ones as long as they last.

    All seeds cut their pieces from one shuffled list, one behind the other, so that what is chosen on one seed's items
    can be measured on another's.
    """
    order = Random("cavesson/items").sample(range(total), total)
    n = min(n, total)
    return [order[(seed * n + index) % total] for index in range(n)]


def no_store(recipe: Recipe) -> Path:
    """Stands where data recipes are handed a store: an evaluation's data must be there before anything is made."""
    raise ConfigError(
        f"An evaluation cannot ask what is yet to be made: {recipe.describe()}.", "Give it a file or a hub data set."
    )
