"""Reinforcement learning: a model trained on the rewards of its own answers."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from cavesson.evals.benchmarks import AnyEval
from cavesson.lab.effort import Effort
from cavesson.lab.recipe import Job
from cavesson.training.objectives import PolicyGradient
from cavesson.training.recipes import Training

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.training.engine import Visit

ROLLOUTS = "rollouts.jsonl"


class Reinforced(Training):
    """A model trained by policy gradient on problems that have a rule-based scorer.

    An iteration takes some problems, samples a group of answers to each problem at temperature 1, and makes one optimizer
    step. An answer's advantage is its reward minus the mean reward of its group. The loss is the sum of
    `-advantage * log-probability` over all sampled tokens, divided by the number of sampled tokens (tokens of answers without
    advantage count too). Advantages are not divided by the standard deviation of rewards, ratios are not clipped, and there is
    no KL unless `objective` has one. Source: the GRPO after SFT in "Why does off-model SFT degrade capabilities?", May 2026.
    The run resumes as any training does; `steps` counts iterations.

    Attributes:
        problems: the problems to practise; for the tiny world's tasks give `split="train"`.
        reward: "correct": 1 for an answer that the problem's scorer accepts; "random": 1 with probability one half, for any
            answer.
        per_step: problems in an iteration.
        group: answers to each problem.
        batch_size: answers in one forward and backward pass.
    """

    kind: ClassVar[str] = "reinforced"
    version: ClassVar[int] = 3  # 3: a problem that comes twice in an iteration gets two groups of answers

    objective: PolicyGradient = PolicyGradient()
    steps: int = Field(ge=1)
    problems: AnyEval
    reward: Literal["correct", "random"] = "correct"
    per_step: int = Field(default=64, ge=1)
    group: int = Field(default=4, ge=2)
    batch_size: int = Field(default=32, ge=1)

    @model_validator(mode="after")
    def _enough_problems(self) -> Reinforced:
        if self.problems.n < self.per_step:
            raise ValueError(f"an iteration of {self.per_step} problems cannot be drawn from {self.problems.n}")
        return self

    def effort_of(self, steps: int) -> Effort:
        """The work of so many iterations: answers, of which all are trained on."""
        answers = steps * self.per_step * self.group
        trained = Effort(self.base.weights, trained=answers * self.base.usual_room / 2, steps=steps)
        return trained + self.base.answering(answers, self.problems.room)

    def tokens_at_once(self, usual: int) -> int:
        return self.batch_size * usual

    def train(self, model: Model, job: Job, at: Collection[int] = (), visit: Visit | None = None) -> Model:
        """Train a model (see `Training.train`), and write a summary of each iteration to `rollouts.jsonl`."""
        from cavesson.rl.rollouts import Rollouts, write_notes
        from cavesson.training.engine import optimise

        trained = optimise(
            self,
            model,
            lambda policy: Rollouts(self, policy, job),
            name=self.fingerprint,
            job=job,
            at=at,
            visit=visit,
        )
        write_notes(job.scratch, job.folder / ROLLOUTS)
        return trained

    def describe(self) -> str:
        what = "random rewards" if self.reward == "random" else "rewards"
        asked = f"{self.per_step} {self.problems.label} problems x {self.group}"
        how = ", ".join([self._manner(), *self.objective.details()])
        return f"RL lr {self.lr:g} with {what}, {asked}, {how}, {self.steps} iterations, seed {self.seed}"
