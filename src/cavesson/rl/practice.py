"""Problems to practise, ready for either team: reinforcement learning with the dose of a training on data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cavesson.data.recipes import DataRecipe
from cavesson.evals.accepted import Accepted
from cavesson.evals.items import Eval
from cavesson.models.recipes import ModelRecipe
from cavesson.rl.reinforced import Reinforced
from cavesson.training.dose import Dose
from cavesson.training.hyper import Hyperparameters

GROUP = 4
"""Answers to each problem."""


@dataclass(frozen=True, slots=True)
class Practice:
    """Problems, whose scorer stays with them.

    Attributes:
        problems: what is practised; none of it may be scored afterwards.
    """

    problems: Eval

    def reinforced(self, base: ModelRecipe, dose: Dose, *, reward: Any = "correct", **changes: Any) -> Reinforced:
        """The recipe of `base` trained by RL with a dose.

        A step trains on as many answers as the dose has conversations in a step, `GROUP` to each problem. Learning rate, steps,
        optimizer, schedule, adapter and seed are the dose's; its objective and what it says of data are left out.

        Args:
            reward: as in `Reinforced`.
            changes: settings of `Reinforced` in place of these.
        """
        same = {name: getattr(dose, name) for name in Hyperparameters.model_fields if name != "objective"}
        problems = max(1, dose.batch_size * dose.accumulate // GROUP) * int(changes.get("minibatches", 1))
        sizes = {"per_step": problems, "group": GROUP, "batch_size": dose.batch_size}
        return Reinforced(base=base, problems=self.problems, reward=reward, **{**same, **sizes, **changes})

    def accepted(self, answers: DataRecipe, n: int) -> Accepted:
        """The first `n` of some answers to these problems that their scorer accepts."""
        return Accepted(answers=answers, problems=self.problems, n=n)
