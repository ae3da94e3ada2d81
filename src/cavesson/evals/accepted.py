"""Verified samples: answers that a problem's own scorer accepts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import TrainingError
from cavesson.evals.benchmarks import AnyEval
from cavesson.lab.recipe import PathOf


class Accepted(DataRecipe):
    """The first answers that are right, as a verifier of few samples would pass them.

    Attributes:
        answers: answered problems.
        problems: the same problems with their scorer, matched by prompt.
        n: number of answers.
    """

    kind: ClassVar[str] = "accepted"
    virtual: ClassVar[bool] = True

    answers: DataRecipe
    problems: AnyEval
    n: int = Field(ge=1)

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The accepted answers.

        Raises:
            TrainingError: fewer than `n` answers are right.
        """
        known = {item.prompt: item for item in self.problems.items()}
        found: list[Example] = []
        for one in self.answers.examples(path_of):
            problem = known.get(one.conversation.prompt)
            if problem is not None and problem.judge(one.conversation.answer or "")[0]:
                found.append(one)
            if len(found) == self.n:
                return found
        raise TrainingError(
            f"Of {self.answers.describe()} only {len(found)} are right, and {self.n} verified samples are wanted.",
            "Take more problems (blue.prompts), or a stronger trusted model (teacher).",
        )

    def describe(self) -> str:
        return f"{self.n} verified of {self.answers.describe()}"
