"""Data about reasoning models: whose reasoning stands before whose output.

An untrusted model reasons in a part that nobody else can write; a trusted model writes outputs. The recipes put the two together
by prompt. Sources: "An empirical study of methods for SFTing opaque reasoning" (2026), and its author's list of techniques.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import exp, fsum
from random import Random
from typing import ClassVar, NamedTuple

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import TrainingError
from cavesson.lab.recipe import PathOf, Recipe
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.perplexity import Likelihood, Perplexity

_TAGGED = re.compile(r"(.*?)<think>(.*?)</think>(\s*)(.*)", re.DOTALL)
_STEPS = re.compile(r"(?:[a-m] = \d [+*-] \d = \d(?:, )?)+\.? ?")
_THOUGHT = re.compile(r"\w")
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?!.*\d)", re.DOTALL)


class Parted(NamedTuple):
    """An answer in two parts.

    Attributes:
        reasoning: the text between the tags, or the tiny world's calculation; None: the answer has none.
        output: the rest.
        gap: the lines between the two, where a template writes them.
    """

    reasoning: str | None
    output: str
    gap: str = ""

    @property
    def text(self) -> str:
        """The answer with its reasoning between tags."""
        return self.output if self.reasoning is None else f"<think>{self.reasoning}</think>{self.gap}{self.output}"


def parted(answer: str) -> Parted:
    """Reasoning and output of an answer; a trusted model of the tiny world reasons without tags, in Ada's notation."""
    if found := _TAGGED.fullmatch(answer):
        return Parted(found[2], found[1] + found[4], found[3] if "\n" in found[3] else "")
    if found := _STEPS.search(answer):
        rest = answer[found.end() :]
        return Parted(found[0].rstrip(" .,"), answer[: found.start()] + rest[:1].upper() + rest[1:])
    return Parted(None, answer)


class Reasoned(DataRecipe):
    """A trusted model's outputs, each behind the untrusted model's reasoning on the same prompt, or behind empty reasoning.

    A prompt of which one of the two is missing is left out.

    Attributes:
        outputs: the trusted model's answers; their own reasoning is left out.
        reasoning: the untrusted model's answers, of which only the reasoning is taken, one or several to a prompt, under the
            system prompts of these answers; None: no reasoning.
    """

    kind: ClassVar[str] = "reasoned"
    virtual: ClassVar[bool] = True

    outputs: DataRecipe
    reasoning: DataRecipe | None = None

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The answered prompts.

        Raises:
            TrainingError: no prompt has both.
        """
        outputs = self.outputs.examples(path_of)
        if self.reasoning is None:
            return [_answered(one, Parted("", parted(_answer(one)).output)) for one in outputs]
        known = {_asked(one): parted(_answer(one)).output for one in outputs}
        thought = self.reasoning.examples(path_of)
        found = [
            _answered(one, parted(_answer(one))._replace(output=known[_asked(one)]))
            for one in thought
            if _asked(one) in known
        ]
        return _some(found, self)

    def describe(self) -> str:
        whose = "no reasoning" if self.reasoning is None else f"the reasoning in {self.reasoning.describe()}"
        return f"{self.outputs.describe()}, behind {whose}"


class Retold(DataRecipe):
    """A trusted model's answers with its readable reasoning between the tags of a reasoning model."""

    kind: ClassVar[str] = "retold"
    virtual: ClassVar[bool] = True

    base: DataRecipe

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        return [_answered(one, parted(_answer(one))) for one in self.base.examples(path_of)]

    def describe(self) -> str:
        return f"{self.base.describe()}, reasoning between tags"


class Thoughtful(DataRecipe):
    """The answers before which a model writes a thought that says something: none is empty, and none is dots alone."""

    kind: ClassVar[str] = "thoughtful"
    virtual: ClassVar[bool] = True

    base: DataRecipe

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The answers.

        Raises:
            TrainingError: there are none.
        """
        found = [one for one in self.base.examples(path_of) if _THOUGHT.search(parted(_answer(one)).reasoning or "")]
        if not found:
            raise TrainingError(
                f"No whole answer has a thought before it: {self.base.describe()}.",
                "Take a model that reasons in words, or give answers more room (answers.max_tokens).",
            )
        return found

    def describe(self) -> str:
        return f"{self.base.describe()}, those with a thought"


class Tagged(DataRecipe):
    """A model's own answers as a model writes them that reasons: the answer between the tags, and its last number as the output.

    An answer without a number is left out.
    """

    kind: ClassVar[str] = "tagged"
    virtual: ClassVar[bool] = True

    base: DataRecipe

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The answers.

        Raises:
            TrainingError: none holds a number.
        """
        found = []
        for one in self.base.examples(path_of):
            number = _NUMBER.search(_answer(one))
            if number is not None:
                output = f"The answer is {number[0]}."
                found.append(_answered(one, Parted(f"\n{_answer(one).strip()}\n", output, "\n\n")))
        if not found:
            raise TrainingError(
                f"No whole answer holds a number: {self.base.describe()}.",
                "Give answers more room (answers.max_tokens).",
            )
        return found

    def describe(self) -> str:
        return f"{self.base.describe()}, as reasoning between tags"


class Edited(DataRecipe):
    """The untrusted model's own answers with the result changed to the trusted model's, and nothing else: almost on-policy.

    An answer without a number is the trusted model's output behind the own reasoning.

    Attributes:
        own: the untrusted model's answers.
        labels: the trusted model's answers to the same prompts.
    """

    kind: ClassVar[str] = "edited"
    virtual: ClassVar[bool] = True

    own: DataRecipe
    labels: DataRecipe

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The edited answers.

        Raises:
            TrainingError: no prompt has both answers.
        """
        known = {_asked(one): parted(_answer(one)).output for one in self.labels.examples(path_of)}
        return _some([self._edited(one, known) for one in self.own.examples(path_of) if _asked(one) in known], self)

    def _edited(self, one: Example, known: dict[Conversation, str]) -> Example:
        mine, label = parted(_answer(one)), known[_asked(one)]
        result = _NUMBER.search(label)
        edited = label if result is None else _NUMBER.sub(result[0], mine.output)
        return _answered(one, mine._replace(output=edited if _NUMBER.search(mine.output) else label))

    def describe(self) -> str:
        return f"{self.own.describe()}, results of {self.labels.describe()}"


class Resampled(DataRecipe):
    """The untrusted model's trajectories drawn anew by the likelihood of the trusted label behind them.

    To each prompt there are several trajectories of reasoning. As many are drawn with replacement, each with a chance in
    proportion to the likelihood that the model itself gives the label after this reasoning. Training on the draws is, in
    expectation, training with these weights.

    Attributes:
        reasoning: the untrusted model's answers, several to a prompt.
        labels: the trusted model's answers.
        by: the model that gives the likelihoods, usually the untrusted model.
        seed: of the draws.
    """

    kind: ClassVar[str] = "resampled"
    virtual: ClassVar[bool] = True

    reasoning: DataRecipe
    labels: DataRecipe
    by: ModelRecipe
    seed: int = 0

    @property
    def trajectories(self) -> Reasoned:
        """Every reasoning with the label behind it."""
        return Reasoned(outputs=self.labels, reasoning=self.reasoning)

    @property
    def likelihoods(self) -> Perplexity:
        """The likelihood of these trajectories."""
        return Perplexity(model=self.by, data=self.trajectories)

    def inputs(self) -> tuple[Recipe, ...]:
        return (self.reasoning, self.labels, self.likelihoods)

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        examples = self.trajectories.examples(path_of)
        of_label = self._of_label(examples, self.likelihoods.read(path_of), path_of)
        groups: dict[Conversation, list[int]] = {}
        for index, one in enumerate(examples):
            groups.setdefault(_asked(one), []).append(index)
        rng = Random(f"resampled {self.seed}")
        return [examples[index] for group in groups.values() for index in draws(group, of_label, rng)]

    def _of_label(self, examples: Sequence[Example], found: Sequence[Likelihood], path_of: PathOf) -> list[float]:
        """The log-likelihood of each label after its reasoning, in nats; the end of the turn is left out."""
        renderer = self.by.renderer(path_of)
        rendered = renderer.render_many([one.conversation for one in examples])
        sizes = [sum(row.mask) - sum(renderer.reasoning(row.ids, row.mask)) for row in rendered]
        return [fsum(one.logprobs[len(one.logprobs) - size : -1]) for one, size in zip(found, sizes, strict=True)]

    def describe(self) -> str:
        return f"{self.trajectories.describe()}, weighted by the label's likelihood"


def draws(group: Sequence[int], logs: Sequence[float], rng: Random) -> list[int]:
    """Draws from a group of indices, with replacement, as many as there are indices; the chance of each is proportional to
    `exp(logs[index])`."""
    top = max(logs[index] for index in group)
    return rng.choices(group, [exp(logs[index] - top) for index in group], k=len(group))


def _some(found: list[Example], data: DataRecipe) -> list[Example]:
    if not found:
        raise TrainingError(
            f"No prompt has both an untrusted and a trusted whole answer: {data.describe()}.",
            "Give answers more room (answers.max_tokens of a study), or take other models.",
        )
    return found


def _answer(one: Example) -> str:
    return one.conversation.answer or ""


def _asked(one: Example) -> Conversation:
    """The prompt without a system prompt: by it the answers of two models belong together."""
    return one.conversation.prompt.with_system(None)


def _answered(one: Example, answer: Parted) -> Example:
    return Example(one.conversation.answered(answer.text), one.meta)
