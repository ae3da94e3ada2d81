"""Scores of stored answers, which a model behind an API or a user's file gave."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, ClassVar

from pydantic import model_validator

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError
from cavesson.evals.benchmarks import AnyEval
from cavesson.evals.items import Eval, Item, check_weighable
from cavesson.evals.standard.sets import THINK
from cavesson.lab.recipe import Job, PathOf, Recipe
from cavesson.sampling.sampler import Completion

if TYPE_CHECKING:
    from cavesson.evals.scores import Scores

ENOUGH = 10
"""Fewer answers than this show neither a writer's ability nor its style."""


class Problems(DataRecipe):
    """The questions of an evaluation, as a data set of prompts."""

    kind: ClassVar[str] = "problems"
    version: ClassVar[int] = 2  # 2: other questions of user data for seeds above 0
    virtual: ClassVar[bool] = True

    of: AnyEval

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        return [Example(item.prompt) for item in self.of.items()]

    def describe(self) -> str:
        return f"the problems of {self.of.label}"


class ScoredAnswers(Recipe):
    """The scores of stored answers to an evaluation's questions; `Scored` asks a model instead.

    Attributes:
        answers: conversations that answer the questions (`answers_to` matches them); a question without an answer has no
            score.
        to: the evaluation.
    """

    kind: ClassVar[str] = "scored-answers"
    version: ClassVar[int] = 2  # as `Scored`
    stage: ClassVar[str] = "scoring"

    answers: DataRecipe
    to: AnyEval

    @model_validator(mode="after")
    def _is_of_text(self) -> ScoredAnswers:
        check_weighable([self.to], has_likelihoods=False)
        return self

    def make(self, job: Job) -> None:
        """Write `scores.jsonl`.

        Raises:
            ConfigError: too few questions are answered.
        """
        from cavesson.evals.scores import SCORES, write_scores
        from cavesson.evals.scoring import judged

        found = answers_to(self.to, self.answers, job.path)
        write_scores(job.folder / SCORES, (judged(self.to, item, answer) for item, answer in found))

    def scores(self, path_of: PathOf) -> Scores:
        """The finished scores."""
        from cavesson.evals.scores import read_scores

        return read_scores(path_of(self))

    def describe(self) -> str:
        return f"scores on {self.to.label}: {self.answers.describe()}"


def answers_to(one: Eval, data: DataRecipe, path_of: PathOf) -> list[tuple[Item, Completion]]:
    """The questions of an evaluation that a data set answers, each with its first answer.

    A conversation answers a question if both have the same text; white space, a system prompt and the benchmark's own request
    to think step by step make no difference.

    Raises:
        ConfigError: fewer than `ENOUGH` questions, and not all, are answered.
    """
    items, answers = one.items(), dict[tuple[str, ...], Completion]()
    for example in data.examples(path_of):
        text = example.conversation.answer
        if text is not None:
            answer = Completion(text, (), bool(example.meta.get("finished", True)))
            answers.setdefault(_question(example.conversation.prompt), answer)
    found = [(item, answers[_question(item.prompt)]) for item in items if _question(item.prompt) in answers]
    if len(found) < min(ENOUGH, len(items)):
        first = shorten(items[0].prompt.messages[-1].content, 200, placeholder=" …")
        raise ConfigError(
            f"{data.describe()} has answers to {len(found)} of the {len(items)} problems of {one.label}; at least "
            f"{min(ENOUGH, len(items))} are needed.",
            f"Give answers to these problems, word for word; the first is {first!r}.",
        )
    return found


def _question(prompt: Conversation) -> tuple[str, ...]:
    """The messages of a prompt, without layout, system prompt and request to think."""
    texts = [" ".join(message.content.split()) for message in prompt.with_system(None).messages]
    return tuple(text.removesuffix(THINK).rstrip() for text in texts)
