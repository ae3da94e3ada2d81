"""On-policy distillation: the student samples, the teacher scores every token."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError
from cavesson.lab.effort import Effort
from cavesson.lab.recipe import Job
from cavesson.sampling.sampler import Params
from cavesson.training.objectives import Distil
from cavesson.training.recipes import Training

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.training.batches import Row, Step
    from cavesson.training.loop import Visit


class OnPolicyDistilled(Training):
    """A model trained towards a teacher's next-token distributions on answers that the model itself samples.

    Every step draws prompts, samples an answer to each at temperature 1, and takes one optimizer step on the divergence between
    student and teacher at the tokens of these answers; nothing flows back through the sampling. Source: Agarwal et al. 2024,
    "On-policy distillation of language models" (arXiv 2306.13649), with lambda = 1.

    Attributes:
        objective: the teacher and the divergence; the source's usual choice is the reverse KL.
        prompts: what the student answers; answers in them are dropped.
        batch_size: prompts in a step.
        max_tokens: room for an answer.
    """

    kind: ClassVar[str] = "on-policy-distilled"
    stage: ClassVar[str] = "on-policy distillation"

    objective: Distil
    steps: int = Field(ge=1)
    prompts: DataRecipe
    batch_size: int = Field(default=16, ge=1)
    max_tokens: int = Field(default=128, ge=1)

    def effort_of(self, steps: int) -> Effort:
        """The work of so many steps: answers sampled, read by the teacher and trained on."""
        answers = steps * self.batch_size
        read = Effort(self.objective.by.weights, read=answers * self.base.usual_room / 2)
        return super().effort_of(steps) + self.base.answering(answers, self.max_tokens) + read

    def tokens_at_once(self, usual: int) -> int:
        return self.batch_size * usual

    def train(self, model: Model, job: Job, at: Collection[int] = (), visit: Visit | None = None) -> Model:
        """Train a model (see `Training.train`).

        Raises:
            ConfigError: there are no prompts.
        """
        from cavesson.training.engine import optimise

        asked = self.prompts.examples(job.path)
        if not len(asked):
            raise ConfigError("There are no prompts to distil on.", "Check the filters and counts of the prompts.")
        return optimise(
            self,
            model,
            lambda policy: _Sampled(self, policy, asked),
            name=self.fingerprint,
            job=job,
            at=at,
            visit=visit,
        )

    def describe(self) -> str:
        how = ", ".join([self._manner(), *self.objective.details()])
        return f"on-policy distillation lr {self.lr:g} on {self.prompts.describe()}, {how}, {self.steps} steps, seed {self.seed}"


class _Sampled:
    """The steps of an on-policy distillation; the cursor counts prompts."""

    def __init__(self, run: OnPolicyDistilled, policy: Model, asked: Sequence[Example]) -> None:
        from cavesson.training.batches import Order

        self.run, self.policy, self.asked = run, policy, asked
        self.order = Order(len(asked), run.seed)

    def count(self) -> int:
        """The number of optimizer steps."""
        return self.run.steps

    def after(self, cursor: int) -> Iterator[Step]:
        """The steps from position `cursor` on, without end; each samples from the weights that the step before left."""
        from cavesson.sampling.choice import sampler_for
        from cavesson.training.batches import Step

        run = self.run
        while True:
            drawn = [self.asked[self.order.index_at(cursor + n)].conversation.prompt for n in range(run.batch_size)]
            sampler = sampler_for(self.policy)  # a new sampler, because the weights have changed
            prompts = sampler.prompts_ids(drawn)
            seed = Random(f"on-policy {run.seed} {cursor}").getrandbits(32)
            answers = sampler.continue_ids(prompts, Params(max_tokens=run.max_tokens, temperature=1.0, seed=seed))
            cursor += run.batch_size
            yield Step([[_row(ids, said.ids) for ids, (said,) in zip(prompts, answers, strict=True)]], cursor)


def _row(prompt: Sequence[int], answer: Sequence[int]) -> Row:
    """A prompt and its answer, whose tokens alone are trained."""
    from cavesson.training.batches import Row

    weights = np.repeat(np.array([0, 1], np.float32), [len(prompt), len(answer)])
    return Row(np.array([*prompt, *answer], np.int32), weights)
