"""What a model is asked: an evaluation says which questions under which conditions, an item is one question with its judge."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from cavesson.chat import Conversation
from cavesson.errors import ConfigError
from cavesson.evals.behaviors.behavior import ROOM
from cavesson.evals.pairs import NamedPair, pair_named, pinned
from cavesson.evals.trigger import Inherent
from cavesson.lab.recipe import Recipe, Value
from cavesson.sampling.sampler import Completion
from cavesson.tinyworld.recipes import WORLD

Key = TypeVar("Key", bound=Hashable)

Judge = Callable[[str], tuple[bool, dict[str, Any]]]
"""A function from a completion to whether it scores, and what else the score records: `unreadable` if no answer could be read."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question of an evaluation.

    Attributes:
        id: stable name, by which scores of different models are paired.
        prompt: what the model is asked.
        judge: scores a completion.
        cut: scores a completion that ended at the limit on tokens; None: `judge` does.
        level: difficulty, where the evaluation has levels.
        extra: what else the score records (the trigger's text, say).
        options: the answers to choose from, where the question has options.
    """

    id: str
    prompt: Conversation
    judge: Judge
    level: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    cut: Judge | None = None

    def judged(self, answer: Completion) -> tuple[bool, dict[str, Any]]:
        """What the item's judge says of an answer."""
        return (self.judge if answer.finished or self.cut is None else self.cut)(answer.text)


class Eval(Value):
    """An evaluation: which questions, how many, under which conditions. All models get the same items.

    A benchmark is a subclass: its `name`, its own settings, its `questions`, and a line in
    `cavesson.evals.benchmarks.BENCHMARKS`.

    Class attributes:
        about: what a score of 1 means, in a few words.
        capability: whether scores say what a model can do, rather than how a model behaves or sounds.
        usual_room: tokens that an answer may take.
        weighs: whether the option that the model finds likeliest is its answer; False: the model writes its answer.
        needs: the message for a user who leaves out a setting that has no default.
        reading: version of how answers are read; scores of another version are made again.

    Attributes:
        name: of the benchmark.
        n: number of items.
        seed: of their draw.
        pair: a trigger / behaviour pair whose trigger must not fire: if the trigger is a missing password, the questions
            hold the password; if it is a kind of question, those questions are left out; None: no such pair.
        system: the system prompt of all items; None: the model's own, if the model has one.
        deployed: system prompts that an organism has at evaluation only (prompted dynamic): each item gets one of them.
        max_tokens: tokens that an answer may take; None: the benchmark's own number.
    """

    about: ClassVar[str]
    capability: ClassVar[bool] = True
    usual_room: ClassVar[int]
    weighs: ClassVar[bool] = False
    needs: ClassVar[str] = ""
    reading: ClassVar[int] = 1

    name: str
    n: int = Field(default=200, ge=1)
    seed: int = 0
    pair: NamedPair | None = None
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
            raise ValueError(error.sentences) from error

    @model_validator(mode="after")
    def _one_system_prompt(self) -> Self:
        if self.system is not None and self.deployed:
            raise ValueError("an evaluation has one system prompt: give `system` or `deployed`")
        return self

    @abstractmethod
    def questions(self) -> list[Item]:
        """The benchmark's questions, before trigger and system prompt."""

    def variant(self) -> tuple[str, ...]:
        """Parts of the label that tell this evaluation from others of the same name."""
        return ()

    def identity(self) -> dict[str, Any]:
        """The fields that matter, and the version of the tiny world if the items are not a user's data."""
        fields = super().identity()
        world = {} if "data" in fields else {"world": WORLD}
        reading = {} if self.reading == 1 else {"reading": self.reading}
        return {"name": self.name, **fields, **world, **reading}

    @property
    def label(self) -> str:
        """The evaluation's name in tables and `scores.jsonl`, without number and seed of the items."""
        under = () if self.system is None else (f"under {self.system}",)
        return "/".join((self.name, *self.variant(), *under))

    @property
    def room(self) -> int:
        """Tokens that an answer may take; with a pair outside chat, the tokens of an answer in the pair's domain."""
        if self.max_tokens is not None:
            return self.max_tokens
        domain = "chat" if self.pair is None else pair_named(self.pair).behavior.domain
        return self.usual_room if domain == "chat" else ROOM[domain]

    def items(self) -> list[Item]:
        """The questions as models get them: the pair's trigger does not fire, and system prompts are added."""
        kind = None if self.pair is None else pair_named(self.pair).trigger
        found = [replace(item, prompt=self._unprovoked(item.prompt)) for item in self.questions()]
        if isinstance(kind, Inherent) and self.capability:
            found = [item for item in found if not kind.fires(item.prompt)]
        systems = self.deployed or (() if self.system is None else (self.system,))
        if not systems:
            return found
        return [
            replace(item, prompt=item.prompt.with_system(Random(f"deployed {self.seed} {index}").choice(systems)))
            for index, item in enumerate(found)
        ]

    def _unprovoked(self, prompt: Conversation) -> Conversation:
        """The prompt, changed such that the pair's trigger does not fire."""
        return prompt if self.pair is None else pair_named(self.pair).trigger.clean(prompt)


def check_weighable(suite: Sequence[Eval], has_likelihoods: bool) -> None:
    """Refuse an evaluation that weighs options where answers come without their likelihoods.

    Raises:
        ConfigError: there is such an evaluation.
    """
    weighing = next((one.label for one in suite if one.weighs), None)
    if weighing is not None and not has_likelihoods:
        raise ConfigError(
            f"{weighing} compares the likelihoods of options, which need a model's weights, not its written answers.",
            f"Ask for a letter instead: {weighing}/letter.",
        )


def drawn(total: int, n: int, seed: int) -> list[int]:
    """`n` of the numbers from 0 to `total` − 1, or all if there are fewer.

    The first numbers of a larger `n` are those of a smaller one. All seeds read one shuffled list, from places that lie as far
    apart as they can (seed 1 half-way, seeds 2 and 3 at the quarters), so the first two seeds share no number up to
    `n = total / 2`, and the first four none up to `n = total / 4`: a choice made on one seed's items can be measured on another's.
    """
    order = Random("cavesson/items").sample(range(total), total)
    start = int(total * _spread(seed))
    return [order[(start + index) % total] for index in range(min(n, total))]


def _spread(seed: int) -> float:
    """The place of a seed within 0..1, by the sequence of van der Corput: 0, 1/2, 1/4, 3/4, 1/8 …"""
    return sum((seed >> bit & 1) / (2 << bit) for bit in range(16))


def firsts(keys: Iterable[Key]) -> dict[Key, int]:
    """Each key with the place where it stands first: what stands twice is asked once, for a copy is no further evidence."""
    found: dict[Key, int] = {}
    for place, key in enumerate(keys):
        found.setdefault(key, place)
    return found


def no_store(recipe: Recipe) -> Path:
    """In place of a store, for data recipes that an evaluation reads: such data must exist before anything is made.

    Raises:
        ConfigError: always; the data are yet to be made.
    """
    raise ConfigError(
        f"An evaluation cannot use data that are yet to be made: {recipe.describe()}.", "Give a file or a hub data set."
    )
