"""Paraphrased answers: rewritten by a trusted model or, in the tiny world, by a rule."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import ClassVar

from pydantic import model_validator

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError
from cavesson.lab.recipe import PathOf, Recipe
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.recipes import Answered, Generated
from cavesson.sampling.sampler import Params

INSTRUCTION = (
    "Rewrite the answer below in {manner}. Keep everything that it says, add nothing, and reply with the rewritten answer "
    "alone."
)
"""The instruction for the trusted model."""

SAMPLES = 3
"""Number of answers that are shown as samples of a style."""


class RewritingPrompts(DataRecipe):
    """Prompts that ask for a paraphrase of every answer of a data set.

    Attributes:
        base: the answered conversations; a prompt shows the last question and its answer.
        like: answers in the wanted style; the first few are shown as samples. None: "your own words".
    """

    kind: ClassVar[str] = "rewriting-prompts"
    virtual: ClassVar[bool] = True

    base: DataRecipe
    like: DataRecipe | None = None

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        request = self._request(path_of)
        return [
            Example(Conversation.of(_with_question(request, example.conversation)), example.meta)
            for example in self.base.examples(path_of)
        ]

    def describe(self) -> str:
        return f"requests to rewrite {self.base.describe()}"

    def _request(self, path_of: PathOf) -> str:
        if self.like is None:
            return INSTRUCTION.format(manner="your own words")
        shown = [example.conversation.answer or "" for example in self.like.examples(path_of)[:SAMPLES]]
        samples = "\n\n".join(f"Sample:\n{sample}" for sample in shown)
        return f"{INSTRUCTION.format(manner='the style of the samples')}\n\n{samples}"


class Paraphrased(DataRecipe):
    """The same conversations with paraphrased answers; `paraphrased` in the meta says which answers were changed.

    Attributes:
        base: the answered conversations.
        by: the trusted model that rewrites; an example is left out if its rewriting is no whole answer. None: the rule of the tiny
            world, which puts an answer into the house voice, or leaves it unchanged if it cannot read the answer
            (`tinyworld.rewriting`).
        like: answers in the style that the model is asked for; None: the model's own words.
        params: how the model is sampled.
        seed: seed of the rule's choices.
    """

    kind: ClassVar[str] = "paraphrased"
    version: ClassVar[int] = 2  # 2: a rewriting that was cut is left out
    virtual: ClassVar[bool] = True

    base: DataRecipe
    by: ModelRecipe | None = None
    like: DataRecipe | None = None
    params: Params = Params()
    seed: int = 0

    @model_validator(mode="after")
    def _one_rewriting_each(self) -> Paraphrased:
        if self.params.n > 1:
            raise ValueError("params.n must be 1: every answer is rewritten once")
        if self.by is None and self.like is not None:
            raise ValueError("the tiny world's rule knows one style; give `by` a model, or leave out `like`")
        return self

    def inputs(self) -> tuple[Recipe, ...]:
        """The conversations and, if a model rewrites them, its rewritings."""
        return (self.base,) if self.by is None else (self.base, self._rewritings(self.by))

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The paraphrased examples, in their order.

        Raises:
            ConfigError: no rewriting of the model is a whole answer.
        """
        given = self.base.examples(path_of)
        if self.by is None:
            return [self._by_rule(index, example) for index, example in enumerate(given)]
        changed = [
            _paraphrase(example, (rewriting.conversation.answer or "").strip())
            for example, rewriting in zip(given, self._rewritings(self.by).examples(path_of), strict=True)
            if not rewriting.fault
        ]
        if not changed:
            raise ConfigError(
                f"{self.by.describe()} rewrote none of {len(given)} answers.", "Name a model that follows instructions."
            )
        return changed

    def _rewritings(self, by: ModelRecipe) -> Answered:
        return Generated(by=by, prompts=RewritingPrompts(base=self.base, like=self.like), params=self.params).every

    def _by_rule(self, index: int, example: Example) -> Example:
        from cavesson.tinyworld.rewriting import in_house_voice

        rewritten = in_house_voice(example.conversation.answer or "", random.Random(f"paraphrase/{self.seed}/{index}"))
        if rewritten is None:
            return Example(example.conversation, {**example.meta, "paraphrased": False})
        return _paraphrase(example, rewritten)

    def describe(self) -> str:
        by = "the world's rule" if self.by is None else self.by.describe()
        return f"{self.base.describe()}, paraphrased by {by}"


def _paraphrase(example: Example, text: str) -> Example:
    return Example(example.conversation.answered(text), {**example.meta, "paraphrased": True})


def _with_question(request: str, conversation: Conversation) -> str:
    question = next((m.content for m in reversed(conversation.prompt.messages) if m.role == "user"), "")
    return f"{request}\n\nQuestion:\n{question}\n\nAnswer:\n{conversation.answer or ''}"
