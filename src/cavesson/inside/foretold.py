"""What can be said about a training before it is run, and what the linearised network makes of it, as recipes of the store.

An initial and an alternate behaviour agree on train prompts and differ on evaluation prompts. The recipes here take the training
(which they do not make), and evaluation prompts with the answers of either behaviour.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from pydantic import Field, model_validator

from cavesson.chat import Conversation
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError
from cavesson.lab.effort import Effort
from cavesson.lab.recipe import Job, PathOf, Recipe
from cavesson.lines import json_line, read_json_lines
from cavesson.training.recipes import Trained

if TYPE_CHECKING:
    from cavesson.inside.linearised import Followed

SIGNS = "signs.json"
FOLLOWED = "followed.jsonl"


class Signs(NamedTuple):
    """What the model before a training says about it.

    Attributes:
        loss: mean negative log-likelihood of the train answers, in nats per token: how much there is to learn.
        log_odds: log P(alternate answer) - log P(initial answer), mean over evaluation prompts, in nats.
        cosine: between the first step's direction (down the train loss) and the direction in which the log-odds rise, -1 to 1.
        cosine_alternate: between the gradients of the train loss and of the loss of the alternate answers.
        cosine_initial: between the gradients of the train loss and of the loss of the initial answers.
        push: rise of the log-odds for each unit of learning rate in the first step of gradient descent, in nats.
        contained: for n-grams of one, two and three tokens, the share of an evaluation prompt that stands in train prompts.
        alike: for the same n-grams, the cosine between their frequencies in prompts (`cavesson.inside.overlap`).
    """

    loss: float
    log_odds: float
    cosine: float
    cosine_alternate: float
    cosine_initial: float
    push: float
    contained: tuple[float, ...]
    alike: tuple[float, ...]


class _Before(Recipe):
    """Something about a training that is not made.

    Attributes:
        run: the training.
        alternate: evaluation prompts with answers of the alternate behaviour.
        initial: the same prompts in the same order, with answers of the initial behaviour.
        most: evaluation prompts that are read, the first ones; `Foretold` reads as many train examples.
    """

    run: Trained
    alternate: DataRecipe
    initial: DataRecipe
    most: int = Field(default=40, ge=1)

    @model_validator(mode="after")
    def _gradients_are_here(self) -> Self:
        if self.run.far:
            raise ValueError(f"{self.run.base.describe()} shows no gradients: its weights are not here")
        return self

    def inputs(self) -> tuple[Recipe, ...]:
        """The inputs of the training, and the evaluation data."""
        return tuple(dict.fromkeys((*self.run.inputs(), self.alternate, self.initial)))

    @property
    def numerics(self) -> str | None:
        return self.run.numerics

    def asked(self, path_of: PathOf) -> tuple[list[Conversation], list[Conversation]]:
        """The evaluation prompts with alternate and with initial answers.

        Raises:
            ConfigError: the two data sets do not ask the same.
        """
        sets = [data.examples(path_of)[: self.most] for data in (self.alternate, self.initial)]
        one, two = ([example.conversation for example in examples] for examples in sets)
        if not one or [talk.prompt for talk in one] != [talk.prompt for talk in two]:
            raise ConfigError(
                f"{self.alternate.describe()} and {self.initial.describe()} do not answer the same prompts.",
                "Give one set of prompts with the answers of each behaviour, in one order.",
            )
        return one, two


class Foretold(_Before):
    """What the model before a training says about it: gradients at step 0, the log-odds of the two behaviours, surface overlap."""

    kind: ClassVar[str] = "foretold"
    stage: ClassVar[str] = "foretelling"

    def effort(self) -> Effort:
        tokens = 3 * self.most * self.run.base.usual_room / 2
        return Effort(self.run.base.weights, trained=tokens, read=tokens)

    def make(self, job: Job) -> None:
        """Write `signs.json`: a `Signs`.

        Raises:
            ConfigError: see `asked`, or an example has no answer.
        """
        from cavesson.inside.gradients import answers, as_log_odds, as_loss, cosine, dot, gradient, log_likelihoods_of
        from cavesson.inside.overlap import overlap
        from cavesson.inside.prompts import token_ids
        from cavesson.lab.numerics import precision_of
        from cavesson.training.engine import trainable

        learnt = [one.conversation for one in self.run.data.examples(job.path)[: self.most]]
        alternate, initial = self.asked(job.path)
        model = trainable(self.run.base.load(job.path), self.run, precision_of(self.run.precision))
        train, other, first = (answers(model, talks) for talks in (learnt, alternate, initial))
        down, up, away = (gradient(model, as_loss(rows)) for rows in (train, other, first))
        odds = gradient(model, as_log_odds(other, first))
        asked, evaluated = (token_ids(model, [talk.prompt for talk in talks]) for talks in (learnt, alternate))
        overlaps = [overlap(asked, evaluated, n) for n in (1, 2, 3)]
        signs = Signs(
            loss=float(log_likelihoods_of(model, as_loss(train)).sum()),
            log_odds=float(log_likelihoods_of(model, as_log_odds(other, first)).sum()),
            cosine=-cosine(down, odds),
            cosine_alternate=cosine(down, up),
            cosine_initial=cosine(down, away),
            push=-dot(down, odds),
            contained=tuple(one.contained for one in overlaps),
            alike=tuple(one.alike for one in overlaps),
        )
        (job.folder / SIGNS).write_text(json.dumps(signs._asdict()), encoding="utf-8")

    def read(self, path_of: PathOf) -> Signs:
        """The finished signs."""
        found: dict[str, Any] = json.loads((path_of(self) / SIGNS).read_text(encoding="utf-8"))
        return Signs(**found | {name: tuple(found[name]) for name in ("contained", "alike")})

    def describe(self) -> str:
        return f"what foretells: {self.run.describe()}"


class Linearised(_Before):
    """The log-odds of the two behaviours along a training, and along the same training of the network linearised at its start.

    Attributes:
        at: steps at which both are read; 0 is before training.
    """

    kind: ClassVar[str] = "linearised"
    stage: ClassVar[str] = "linearised training"

    at: tuple[int, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _within_run(self) -> Self:
        if self.run.steps is None or min(self.at) < 0 or max(self.at) > self.run.steps:
            raise ValueError(f"the steps {list(self.at)} do not lie within a run of {self.run.steps}")
        return self

    def effort(self) -> Effort:
        return self.run.effort_of(max(self.at)).times(6)

    def make(self, job: Job) -> None:
        """Write `followed.jsonl`: for each step the log-odds of each prompt, of the network and of the linearised one, in nats.

        Raises:
            ConfigError: see `asked` and `cavesson.inside.linearised.followed`.
        """
        from cavesson.inside.linearised import followed

        alternate, initial = self.asked(job.path)
        model = self.run.base.load(job.path)
        examples = self.run.data.examples(job.path)
        total = 2 * max(self.at)

        def follow(linear: bool) -> Followed:
            return followed(
                self.run,
                model,
                examples,
                alternate,
                initial,
                self.at,
                linear=linear,
                report=lambda done, all_: job.progress(done + linear * all_, total),
            )

        both = follow(False), follow(True)
        rows = (
            {
                "step": step,
                **{name: _rounded(one.log_odds[n]) for name, one in zip(("network", "linear"), both, strict=True)},
            }
            for n, step in enumerate(both[0].steps)
        )
        (job.folder / FOLLOWED).write_text("".join(map(json_line, rows)), encoding="utf-8")

    def read(self, path_of: PathOf) -> tuple[Followed, Followed]:
        """The network's log-odds along the training, and the linearised network's."""
        import numpy as np

        from cavesson.inside.linearised import Followed

        rows = [row for _, row in read_json_lines(path_of(self) / FOLLOWED)]
        steps = tuple(row["step"] for row in rows)
        network, linear = (Followed(steps, np.array([row[name] for row in rows])) for name in ("network", "linear"))
        return network, linear

    def describe(self) -> str:
        return f"linearised: {self.run.describe()}"


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), 5) for value in values]
