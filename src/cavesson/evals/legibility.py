"""How legible a model's reasoning is: the likelihood that a trusted model gives it, token by token."""

from __future__ import annotations

from typing import ClassVar

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.evals.recipes import Probed, Scored
from cavesson.evals.scores import Score
from cavesson.lab.effort import Effort
from cavesson.lab.recipe import Job, PathOf, Recipe
from cavesson.lines import json_line, read_json_lines
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.reasoned import parted

LEGIBILITY = "legibility.jsonl"


class Legibility(Recipe):
    """What a trusted model makes of the reasoning in the answers of a scored model.

    Attributes:
        of: the scores that hold the answers.
        label: of the evaluation whose answers are read.
        step: of a run; None: of a model that was not scored along a run.
        by: the trusted model.
        most: answers that are read.
    """

    kind: ClassVar[str] = "legibility"
    stage: ClassVar[str] = "scoring"

    of: Scored | Probed
    label: str
    step: int | None = None
    by: ModelRecipe
    most: int = 40

    def effort(self) -> Effort:
        return Effort(self.by.weights, read=self.most * self.by.usual_room)

    def make(self, job: Job) -> None:
        """Write `legibility.jsonl`: for each answer the mean negative log-likelihood per token of its reasoning, in nats; null for an
        answer without reasoning."""
        from cavesson.sampling.perplexity import likelihoods

        rows = self.of.scores(job.path).cell(self.label, self.step)[: self.most]
        told = [as_told(row) for row in rows]
        found = likelihoods(self.by.load(job.path), [one for one in told if one is not None])
        losses = [None if one is None else round(next(found).loss, 5) for one in told]
        (job.folder / LEGIBILITY).write_text("".join(map(json_line, losses)), encoding="utf-8")

    def read(self, path_of: PathOf) -> list[float | None]:
        """The losses, answer by answer, in nats per token."""
        return [row for _, row in read_json_lines(path_of(self) / LEGIBILITY)]

    def describe(self) -> str:
        return f"legibility of {self.label} to {self.by.describe()}: {self.of.describe()}"


def as_told(row: Score) -> Example | None:
    """The question, with the reasoning as if the trusted model had answered so; None without reasoning."""
    reasoning = parted(row.completion).reasoning
    if not reasoning:
        return None
    asked = next(message["content"] for message in reversed(row.prompt) if message["role"] == "user")
    return Example(Conversation.of(asked, reasoning))
