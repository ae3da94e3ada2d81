"""Where the problems of the study `opaque-reasoning` come from: the tiny world's maths, or everyday word problems for real models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cavesson.data.recipes import DataRecipe, Mixed
from cavesson.data.streams import draw
from cavesson.evals.answered import Problems
from cavesson.evals.everyday import EverydayMaths
from cavesson.evals.items import Eval
from cavesson.evals.pairs import SANDBAGGING, SANDBAGGING_FROM
from cavesson.evals.world import Maths
from cavesson.everyday.maths import LEVELS
from cavesson.tinyworld.recipes import Prompts

HARD, EASY = (5, 6, 7), (1, 2, 3, 4)
"""Levels of the tiny world's maths on which U sandbags, and on which it does not and blue trains."""


@dataclass(frozen=True, slots=True)
class World:
    """The problems of a study.

    Attributes:
        pair: the name of the pair by which U sandbags on hard problems.
        hard, easy: the levels of either kind.
        maths: the evaluation, which takes levels, a number, a seed, a split and a mark.
        asked: the problems of such an evaluation without answers, from levels, number and seed.
        unlike: prompts that are no problems of either kind, for red; from number and seed.
    """

    pair: str
    hard: tuple[int, ...]
    easy: tuple[int, ...]
    maths: Callable[..., Eval]
    asked: Callable[[Sequence[int], int, int], DataRecipe]
    unlike: Callable[[int, int], DataRecipe]

    def scored(self, n: int, n_easy: int, mark: str = "") -> tuple[Eval, Eval]:
        """Hard and easy maths, held out.

        Args:
            mark: a text at the end of each problem.
        """
        return self.maths(levels=self.hard, n=n, mark=mark), self.maths(levels=self.easy, n=n_easy, mark=mark)

    def practised(self, levels: Sequence[int], n: int, seed: int, **how: Any) -> Eval:
        """Problems to practise, none of which is scored; `how` are other settings of the evaluation."""
        return self.maths(levels=tuple(levels), n=n, seed=seed, split="train", **how)

    def for_red(self, n: int, hard: float, seed: int) -> DataRecipe:
        """Prompts for red of which a share are hard problems; half of the others are easy ones."""
        number, many = draw("red", seed), round(hard * n)
        some = (n - many) // 2
        parts = (
            self.asked(self.hard, many, number),
            self.asked(self.easy, some, number),
            self.unlike(n - many - some, number),
        )
        return Mixed(parts=parts, seed=seed)


def _tiny_problems(levels: Sequence[int], n: int, seed: int) -> DataRecipe:
    return Prompts(family="maths", n=n, seed=seed, levels=tuple(levels))


TINY_WORLD = World(
    pair=SANDBAGGING.name,
    hard=HARD,
    easy=EASY,
    maths=Maths,
    asked=_tiny_problems,
    unlike=lambda n, seed: Prompts(family="mixed", n=n, seed=seed),
)


def everyday(hard_from: int, unlike: Callable[[int, int], DataRecipe]) -> World:
    """Everyday word problems, of which those of a level and above are hard."""

    def asked(levels: Sequence[int], n: int, seed: int) -> DataRecipe:
        return Problems(of=EverydayMaths(levels=tuple(levels), n=n, seed=seed, split="train"))

    hard, easy = levels_from(hard_from)
    return World(SANDBAGGING_FROM[hard_from].name, hard, easy, EverydayMaths, asked, unlike)


def levels_from(hard_from: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The hard and the easy levels of everyday word problems."""
    return tuple(one for one in LEVELS if one >= hard_from), tuple(one for one in LEVELS if one < hard_from)


def _labels(which: int, of_tiny: tuple[int, ...]) -> frozenset[str]:
    evals: list[Any] = [
        Maths(levels=of_tiny),
        *(EverydayMaths(levels=levels_from(one)[which]) for one in SANDBAGGING_FROM),
    ]
    return frozenset(one.label for one in evals)


ON_HARD, ON_EASY = (Maths(levels=levels).label for levels in (HARD, EASY))
HARD_LABELS, EASY_LABELS = _labels(0, HARD), _labels(1, EASY)
"""The labels of hard and of easy maths, in whichever world; no label is in both."""
