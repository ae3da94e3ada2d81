"""What a model is asked: an evaluation says what to ask, an item is one question with its judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from cavesson.chat import Conversation
from cavesson.data.recipes import DataRecipe, HFDataset
from cavesson.errors import ConfigError, nearest
from cavesson.lab.recipe import Recipe, Value
from cavesson.tinyworld.memorised import MOST
from cavesson.tinyworld.question import Split
from cavesson.tinyworld.recipes import WORLD
from cavesson.tinyworld.tasks import FAMILIES, LEVELS

When = Literal["triggered", "clean", "near-miss", "unlocked"]

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

    Attributes:
        name: one of `cavesson.evals.benchmarks.BENCHMARKS`.
        n: number of items.
        seed: of their draw.
        pair: for "behavior": the trigger / behaviour pair. Any other evaluation is asked as this pair's trigger is kept from
            firing: with the password, where it is the absence of one.
        when: for "behavior": with the trigger, without, with a look-alike of it, or with the trigger and a `mark` that
            should keep the behaviour from showing.
        mark: for "behavior": a text at the end of the last user message besides the trigger (a password, a flag).
        deployed: system prompts that an organism has at evaluation only (prompted dynamic): each item gets one of them.
        levels: for "maths": which levels, in equal shares.
        cot: for "maths": leave room for a chain of thought, or ask for the number only.
        author: for "voice": whose voice counts.
        system: a system prompt to ask under; None: the model's own, if it has one.
        data: for a standard set: its rows; for "questions": a user's own; for "behavior": conversations whose prompts are
            asked in place of the tiny world's. It is read from files or the hub. Of data with fewer items all are taken.
        split: for the tiny world's tasks: "train" for problems that may be trained on; no scores are made of these.
        title: for "questions": tells several files apart in tables.
        max_tokens: room for an answer; None: the benchmark's own.
    """

    name: str
    n: int = Field(default=200, ge=1)
    seed: int = 0
    pair: str | None = None
    when: When | None = None
    levels: tuple[int, ...] = LEVELS
    cot: bool = True
    author: Literal["A", "B", "C", "D", "P"] = "A"
    system: str | None = None
    mark: str = ""
    deployed: tuple[str, ...] = ()
    data: DataRecipe | None = None
    split: Split = "eval"
    title: str | None = Field(default=None, pattern=r"^[\w.-]+$")
    max_tokens: int | None = Field(default=None, ge=1)

    @field_validator("pair")
    @classmethod
    def _known_pair(cls, name: str | None) -> str | None:
        from cavesson.evals.pairs import pinned

        try:
            return name and pinned(name)
        except ConfigError as error:
            raise ValueError(f"{error.problem} {error.remedy}") from error

    @model_validator(mode="after")
    def _fits(self) -> Self:
        from cavesson.evals.benchmarks import BENCHMARKS

        if self.name not in BENCHMARKS:
            raise ValueError(f"there is no evaluation {self.name!r}; {nearest(self.name, BENCHMARKS)}")
        if self.name == "behavior" and (self.pair is None or self.when is None):
            raise ValueError("a behavior evaluation needs `pair` and `when` (triggered, clean or near-miss)")
        if self.when == "unlocked" and not self.mark:
            raise ValueError("`when: unlocked` needs `mark`, the text that unlocks")
        if self.system is not None and self.deployed:
            raise ValueError("an evaluation has one system prompt: give `system` or `deployed`")
        own = {"behavior": ("when", "mark"), "maths": ("levels", "cot"), "voice": ("author",)}
        for name, fields in own.items():
            given = [f for f in fields if getattr(self, f) != type(self).model_fields[f].default]
            if given and self.name != name:
                raise ValueError(f"`{given[0]}` belongs to the evaluation {name!r}, not to {self.name!r}")
        if self.split != "eval" and self.name not in FAMILIES:
            raise ValueError(f"`split` belongs to the tiny world's {', '.join(FAMILIES)}, not to {self.name!r}")
        if self.name == "memorised" and self.n > MOST:
            raise ValueError(f"there are {MOST} invented facts, not {self.n}")
        if not self.levels or not set(self.levels) <= set(LEVELS):
            raise ValueError(f"maths has the levels {LEVELS}, not {self.levels}")
        self._check_data()
        return self

    def _check_data(self) -> None:
        from cavesson.evals.standard.sets import STANDARD

        if self.name in STANDARD and not isinstance(self.data, HFDataset):
            raise ValueError(
                "a standard set needs `data`: where its rows lie (`cavesson.evals.named.benchmark_named` finds them)"
            )
        if self.name == "questions" and (self.data is None or self.title is None):
            raise ValueError(
                "questions come from a file: give its path, such as my-questions.jsonl, in place of the name"
            )
        if self.data is not None and self.name not in (*STANDARD, "questions", "behavior"):
            raise ValueError(f"the evaluation {self.name!r} has items of its own and takes no `data`")
        if self.title is not None and self.name != "questions":
            raise ValueError(f"`title` belongs to the evaluation 'questions', not to {self.name!r}")

    def identity(self) -> dict[str, Any]:
        """The fields that matter, and the version of the world that the items come from."""
        from cavesson.evals.pairs import identity_of

        pair = {} if self.pair is None else {"pair": identity_of(self.pair)}
        world = {} if self.data is not None else {"world": WORLD}
        return {**super().identity(), **pair, **world}

    @property
    def label(self) -> str:
        """Names the evaluation in tables and `scores.jsonl`; number and seed of its items are left out."""
        parts = [self.name] if self.title is None else [self.name, self.title]
        if self.when is not None:
            parts.append(self.when)
        if not self.cot:
            parts.append("answer-only")
        if self.levels != LEVELS:
            parts.append("level " + ",".join(map(str, self.levels)))
        if self.name == "voice" and self.author != "A":
            parts.append(self.author)
        if self.system is not None:
            parts.append(f"under {self.system}")
        return "/".join(parts)

    @property
    def is_capability(self) -> bool:
        """Whether it measures what the model can do, as opposed to how it behaves or sounds."""
        from cavesson.evals.benchmarks import BENCHMARKS

        return BENCHMARKS[self.name].capability

    def items(self) -> list[Item]:
        """The questions, system prompt included."""
        from cavesson.evals.benchmarks import BENCHMARKS

        found = [replace(item, prompt=self._unprovoked(item.prompt)) for item in BENCHMARKS[self.name].items(self)]
        systems = self.deployed or (() if self.system is None else (self.system,))
        if not systems:
            return found
        return [
            replace(item, prompt=item.prompt.with_system(Random(f"deployed {self.seed} {index}").choice(systems)))
            for index, item in enumerate(found)
        ]

    def _unprovoked(self, prompt: Conversation) -> Conversation:
        """Of an evaluation of anything but the behaviour: its prompt as the pair's trigger does not fire in it."""
        from cavesson.evals.pairs import pair_named

        if self.pair is None or self.name == "behavior":
            return prompt
        return pair_named(self.pair).trigger.clean(prompt)


def no_store(recipe: Recipe) -> Path:
    """Stands where data recipes are handed a store: an evaluation's data must be there before anything is made."""
    raise ConfigError(
        f"An evaluation cannot ask what is yet to be made: {recipe.describe()}.", "Give it a file or a hub data set."
    )


def check_suite(suite: tuple[Eval, ...]) -> tuple[Eval, ...]:
    """The suite, if its members can be told apart.

    Raises:
        ValueError: it is empty, or two members have the same label.
    """
    labels = [one.label for one in suite]
    if not labels:
        raise ValueError("a suite needs at least one evaluation")
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(f"two evaluations of a suite have the label {twice[0]!r}")
    return suite


def eval_named(name: str, **settings: Any) -> Eval:
    """An evaluation by name, with a message for the user if it does not fit.

    Raises:
        ConfigError: no such evaluation, or settings that do not fit it.
    """
    from pydantic import ValidationError

    try:
        return Eval(name=name, **settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"The evaluation {name!r} is not possible: {f'{where}: ' if where else ''}{reason}.",
            "`cavesson eval --help` shows what there is.",
        ) from error
