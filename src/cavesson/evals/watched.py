"""What a monitor sees of a scored model: how surprising a trusted model finds each output, with and without the reasoning.

The monitor is the likelihood of a trusted model, and nothing else. One that reads the output knows the question; one that reads the
reasoning knows the reasoning too, as if the trusted model had written it.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.evals.recipes import Probed, Scored
from cavesson.evals.scores import Score
from cavesson.lab.effort import Effort
from cavesson.lab.recipe import Job, PathOf, Recipe
from cavesson.lines import json_line, read_json_lines
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.reasoned import parted

WATCHED = "watched.jsonl"

Surprises = tuple[list[float], list[float]]
"""Of each answer the surprise, in nats, of the monitor that reads outputs, and of the one that reads reasoning as well."""


class Watched(Recipe):
    """The surprise of a trusted model at the outputs of a scored model, at each checkpoint.

    Attributes:
        of: the scores that hold the answers.
        label: of the evaluation whose answers are read.
        steps: of a run; (None,): of a model that was not scored along a run.
        by: the trusted model.
    """

    kind: ClassVar[str] = "watched"
    stage: ClassVar[str] = "scoring"

    of: Scored | Probed
    label: str
    steps: tuple[int | None, ...] = Field(default=(None,), min_length=1)
    by: ModelRecipe

    def effort(self) -> Effort:
        asked = next(one.n for one in self.of.suite if one.label == self.label)
        return Effort(self.by.weights, read=2 * len(self.steps) * asked * self.by.usual_room)

    def make(self, job: Job) -> None:
        """Write `watched.jsonl`: a row for each checkpoint, with the surprises of both monitors."""
        from cavesson.sampling.perplexity import likelihoods

        model, scores = self.by.load(job.path), self.of.scores(job.path)
        lines = []
        for step in self.steps:
            rows = scores.cell(self.label, step)
            plain = [one.logprobs for one in likelihoods(model, [_told(row, thinking=False) for row in rows])]
            whole = [one.logprobs for one in likelihoods(model, [_told(row, thinking=True) for row in rows])]
            after = [known[-len(alone) :] for known, alone in zip(whole, plain, strict=True)]
            lines.append(json_line({"step": step, "output": _surprises(plain), "reasoning": _surprises(after)}))
        (job.folder / WATCHED).write_text("".join(lines), encoding="utf-8")

    def read(self, path_of: PathOf) -> dict[int | None, Surprises]:
        """The surprises by checkpoint."""
        rows = (row for _, row in read_json_lines(path_of(self) / WATCHED))
        return {row["step"]: (row["output"], row["reasoning"]) for row in rows}

    def describe(self) -> str:
        return f"what {self.by.describe()} makes of {self.label}: {self.of.describe()}"


def _told(row: Score, *, thinking: bool) -> Example:
    """The question with the output, behind the reasoning if the monitor reads that."""
    reasoning, output = parted(row.completion)
    asked = next(message["content"] for message in reversed(row.prompt) if message["role"] == "user")
    told = f"{reasoning}. {output}" if thinking and reasoning else output
    return Example(Conversation.of(asked, told or "?"))


def _surprises(logprobs: list[tuple[float, ...]] | list[list[float]]) -> list[float]:
    """The negative log-likelihood of each output's most surprising token, in nats."""
    return [round(-min(one), 5) for one in logprobs]
