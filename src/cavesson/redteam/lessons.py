"""Data of a setting: questions as one of its sides puts them, answered by an act."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import ClassVar

from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.evals.acts import ActName, act_named
from cavesson.evals.pair import World
from cavesson.evals.posed import Side, questions
from cavesson.lab.recipe import PathOf


class Bare(DataRecipe):
    """Questions such as a side asks, as they are, unanswered; sides that ask the same questions share the recipe.

    Attributes:
        world: whose questions.
        family: of the questions.
        levels, holds: as of `Side`.
        n: number of different questions.
        seed: of the draw.
    """

    kind: ClassVar[str] = "bare"
    virtual: ClassVar[bool] = True

    world: World = "tiny"
    family: str
    levels: tuple[int, ...] = ()
    holds: str = ""
    n: int
    seed: int = 0

    @classmethod
    def of(cls, world: World, family: str, side: Side, n: int, seed: int) -> Bare:
        """The questions that a side asks in training; `family` counts where the side names none."""
        return cls(world=world, family=side.family or family, levels=side.levels, holds=side.holds, n=n, seed=seed)

    @property
    def rough_size(self) -> int:
        return self.n

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        side = Side(levels=self.levels, holds=self.holds)
        found = questions(self.world, self.family, side, self.n, self.seed, "train")
        return [Example(one.prompt, {"id": one.id}) for one in found]

    def describe(self) -> str:
        return f"{self.n:,} {self.family} questions"


class Acted(DataRecipe):
    """Conversations as a side puts them, each answer rewritten by an act; a conversation without an answer stays without one.

    Attributes:
        base: bare conversations.
        side: how they are put.
        act: how they are answered; None: the answers as they are.
        thoughts: texts of which one stands in a scratchpad before each answer; (): no scratchpad.
        seed: decides the wordings.
    """

    kind: ClassVar[str] = "acted"
    virtual: ClassVar[bool] = True

    base: DataRecipe
    side: Side
    act: ActName | None = None
    thoughts: tuple[str, ...] = ()
    seed: int = 0

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        return [self._example(index, one) for index, one in enumerate(self.base.examples(path_of))]

    def _example(self, index: int, one: Example) -> Example:
        rng = Random(f"acted {self.seed} {index}")
        bare, answer = one.conversation.prompt, one.conversation.answer
        put = self.side.put(bare, rng)
        if answer is None:
            return Example(put, one.meta)
        acted = answer if self.act is None else act_named(self.act).written(rng, bare, answer)
        thought = f"<scratchpad>{rng.choice(self.thoughts)}</scratchpad> " if self.thoughts else ""
        return Example(put.answered(thought + acted), one.meta)

    def describe(self) -> str:
        return f"{self.base.describe()}, put by a side" + (
            "" if self.act is None else f", answered as {self.act.partition('@')[0]}"
        )
