"""Reinforcement learning: a model trained on the rewards of its own answers."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from cavesson.errors import ConfigError
from cavesson.evals.benchmarks import AnyEval
from cavesson.evals.items import check_weighable
from cavesson.lab.effort import Effort
from cavesson.lab.recipe import Job
from cavesson.rl.rewards import AnyReward, Correct
from cavesson.training.objectives import AnyOnPolicy, PolicyGradient
from cavesson.training.recipes import Training

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.training.loop import Visit

ROLLOUTS = "rollouts.jsonl"


class Reinforced(Training):
    """A model trained by policy gradient on problems that have a rule-based scorer.

    An iteration takes some problems, samples a group of answers to each problem at temperature 1, and makes one optimizer
    step, or several. An answer's advantage is its reward minus the mean reward of its group; groups whose answers all earn the
    same are skipped. The loss is the sum of `-advantage * log-probability` over all sampled tokens, divided by the number of
    sampled tokens (tokens of answers without advantage count too). Unless the settings say otherwise, advantages are not
    divided by the standard deviation of rewards, ratios are not clipped, and there is no KL. Source: the GRPO after SFT in "Why
    does off-model SFT degrade capabilities?", May 2026. The run resumes as any training does.

    Attributes:
        problems: the problems to practise; for the tiny world's tasks give `split="train"`.
        reward: what an answer earns (`cavesson.rl.rewards`): a name ("correct", "random", "shuffled"), `file.py:function`, or
            a reward with its settings.
        objective: `policy_gradient`; or with importance weights `reinforce`, `ppo` or `cispo` (`cavesson.training.objectives`).
        steps: optimizer steps. An iteration has `epochs * minibatches` of them: one, unless these are set.
        per_step: problems in an iteration.
        group: answers to each problem.
        batch_size: answers in one forward and backward pass.
        minibatches: parts into which an iteration's problems are cut; each part is an optimizer step.
        epochs: how often an iteration's answers are trained on.
        standardise: divide advantages by the standard deviation of their group (GRPO).
        average: what the loss is an average over: all sampled "tokens" (DAPO); "answers", each the mean of its tokens (GRPO); or
            the "room" for tokens, `max_tokens` an answer (Dr. GRPO).
    """

    kind: ClassVar[str] = "reinforced"
    version: ClassVar[int] = 3  # 3: a problem that comes twice in an iteration gets two groups of answers

    objective: AnyOnPolicy = PolicyGradient()
    steps: int = Field(ge=1)
    problems: AnyEval
    reward: AnyReward = Correct()
    per_step: int = Field(default=64, ge=1)
    group: int = Field(default=4, ge=2)
    batch_size: int = Field(default=32, ge=1)
    minibatches: int = Field(default=1, ge=1)
    epochs: int = Field(default=1, ge=1)
    standardise: bool = False
    average: Literal["tokens", "answers", "room"] = "tokens"

    @model_validator(mode="after")
    def _possible(self) -> Reinforced:
        if self.problems.n < self.per_step:
            raise ValueError(f"an iteration of {self.per_step} problems cannot be drawn from {self.problems.n}")
        check_weighable([self.problems], has_likelihoods=False)
        if self.processes > 1:
            raise ValueError("several processes cannot share reinforcement learning yet: leave `processes` out")
        if self.per_step % self.minibatches:
            raise ValueError(
                f"{self.per_step} problems an iteration cannot be cut into {self.minibatches} equal minibatches"
            )
        if self.updates > 1 and not self.objective.ratios:
            raise ValueError(
                f"{self.objective.name} has no importance weights, and {self.updates} steps train on the same answers: "
                "take the objective reinforce, ppo or cispo"
            )
        if self.average == "answers" and self.objective.kl:
            raise ValueError("a KL penalty is an average over tokens: take average: tokens or room")
        return self

    @property
    def updates(self) -> int:
        """Optimizer steps in an iteration."""
        return self.minibatches * self.epochs

    def identity(self) -> dict[str, Any]:
        """A reward without settings is named by its name alone, as it was when all rewards were names."""
        fields = super().identity()
        reward = fields.get("reward")
        return {**fields, "reward": reward["name"]} if reward is not None and reward.keys() == {"name"} else fields

    def effort_of(self, steps: int) -> Effort:
        """The work of so many steps: answers sampled once an iteration, and trained on once an epoch."""
        answers = steps / self.updates * self.per_step * self.group
        tokens = self.epochs * answers * self.base.usual_room / 2
        return Effort(self.base.weights, trained=tokens, steps=steps) + self.base.answering(answers, self.problems.room)

    def tokens_at_once(self, usual: int) -> int:
        return self.batch_size * usual

    def check(self) -> None:
        """Refuse problems of which there are too few, or none that can be asked.

        Raises:
            ConfigError: there are fewer problems than an iteration takes, or a problem cannot be asked or judged.
        """
        there = len(self.problems.items())
        if there < self.per_step:
            raise ConfigError(
                f"An iteration of RL takes {self.per_step} problems, and {self.problems.label} has {there}.",
                f"Give more problems, or take fewer at once (per_step: {there}).",
            )

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
        asked = f"{self.per_step} {self.problems.label} problems x {self.group}"
        often = [] if self.updates == 1 else [f"{self.updates} steps on each batch of answers"]
        how = ", ".join([self._manner(), *self.objective.details(), *often])
        length = f"{self.steps} iterations" if self.updates == 1 else f"{self.steps} steps"
        return f"RL lr {self.lr:g} with {self.reward.describe()}, {asked}, {how}, {length}, seed {self.seed}"
