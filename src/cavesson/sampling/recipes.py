"""Recipes for data that a model writes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError, TrainingError
from cavesson.lab.effort import Effort
from cavesson.lab.manifest import COUNTS
from cavesson.lab.recipe import Job, PathOf
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.sampler import FAULTS, Completion, Params, write_usage

EXAMPLES = "examples.jsonl"


class Generated(DataRecipe):
    """Prompts answered by a model: the whole answers.

    Answers that were cut, filtered, refused or left empty are in the artifact and are counted, and they are no examples; see
    `Answered` for data with such answers.

    Attributes:
        by: the model that answers.
        prompts: conversations; a last answer in a conversation is dropped.
        system: the system prompt for sampling; None: each prompt's own system prompt, or else the model's.
        params: how the model is sampled.
        keep_system: keep the system prompt of sampling in the data. Otherwise the data hold the prompts without it, and
            training on the data is prompt distillation.
    """

    kind: ClassVar[str] = "generated"
    version: ClassVar[int] = 2  # 2: only whole answers are examples
    stage: ClassVar[str] = "writing data"

    by: ModelRecipe
    prompts: DataRecipe
    system: str | None = None
    params: Params = Params()
    keep_system: bool = False

    def effort(self) -> Effort:
        return self.by.answering(self.rough_size, self.params.max_tokens)

    @property
    def rough_size(self) -> int:
        return self.prompts.rough_size * self.params.n

    def make(self, job: Job) -> None:
        """Write `examples.jsonl`: one example for each completion, with `finished` and, if that is false, `fault` in its meta.

        Also write how many answers there are, and how many have each fault, and for a model behind an API `usage.json`: the
        number of requests and tokens.
        """
        from cavesson.data.sources import write_examples
        from cavesson.sampling.choice import sampler_for

        prompts = self.prompts.examples(job.path)
        if not len(prompts):
            raise ConfigError("There are no prompts to answer.", "Check the filters and counts of the prompts.")
        asked = [self._asked(example.conversation.prompt) for example in prompts]
        sampler = sampler_for(self.by, job)
        answers = sampler.sample(asked, self.params, job.progress)
        write_usage(job.folder, sampler)
        write_examples(job.folder / EXAMPLES, self._examples(sampler.system, prompts, asked, answers))
        lacks = Counter(completion.lack for completions in answers for completion in completions)
        counts = {"answers": lacks.total(), **{fault: lacks[fault] for fault in FAULTS if lacks[fault]}}
        (job.folder / COUNTS).write_text(json.dumps(counts), encoding="utf-8")

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The whole answers.

        Raises:
            TrainingError: there is none.
        """
        return self.usable(self.every.examples(path_of), ("",))

    def usable(self, every: Sequence[Example], faults: Sequence[str]) -> list[Example]:
        """Of all answers those with text and one of these faults ("" for none).

        Raises:
            TrainingError: there is none.
        """
        found = [e for e in every if e.fault in faults and (e.conversation.answer or "").strip()]
        if not found:
            raise TrainingError(
                f"None of the {len(every):,} answers of {self.by.describe()} can be trained on: "
                f"{faults_in_words(Counter(example.fault for example in every))}.",
                f"Give answers more room than {self.params.max_tokens} tokens (answers.max_tokens of a study), train on cut "
                "answers too (keep_unfinished: true), or take another model.",
            )
        return found

    @property
    def every(self) -> Answered:
        """Every answer to every prompt, in the order of the prompts."""
        return Answered(to=self, which="every")

    def with_unfinished(self) -> DataRecipe:
        return Answered(to=self, which="unfinished too")

    def _asked(self, prompt: Conversation) -> Conversation:
        return prompt if self.system is None else prompt.with_system(self.system)

    def _examples(
        self,
        own_system: str | None,
        prompts: Sequence[Example],
        asked: list[Conversation],
        answers: list[list[Completion]],
    ) -> Iterator[Example]:
        for example, question, completions in zip(prompts, asked, answers, strict=True):
            kept = example.conversation.prompt
            if self.keep_system:
                kept = question if question.system is not None else question.with_system(own_system)
            for completion in completions:
                fault = {"fault": completion.lack} if completion.lack else {}
                known = {key: value for key, value in example.meta.items() if key != "fault"}
                yield Example(kept.answered(completion.text), {**known, "finished": not fault, **fault})

    def describe(self) -> str:
        under = "" if self.system is None else f" under {self.system[:40]!r}"
        return f"answers of {self.by.describe()}{under} to {self.prompts.describe()}"


class Answered(DataRecipe):
    """Answers of a model, with those that are no whole answers and say so (`Example.fault`).

    Attributes:
        to: the prompts and the model that answers.
        which: "unfinished too": whole answers, and those that were cut at the limit on tokens. "every": one answer to every
            prompt, or `params.n`, whatever is wrong with it, for scores and where the place in the order matters.
    """

    kind: ClassVar[str] = "answered"
    virtual: ClassVar[bool] = True

    to: Generated
    which: Literal["unfinished too", "every"]

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        from cavesson.data.sources import stored_examples

        every = stored_examples(path_of(self.to) / EXAMPLES)
        return every if self.which == "every" else self.to.usable(every, ("", "cut"))

    def with_unfinished(self) -> DataRecipe:
        return self

    def describe(self) -> str:
        return self.to.describe()


def faults_in_words(counts: Mapping[str, int]) -> str:
    """How many answers have each fault: "10 cut at the limit on tokens, 2 empty"."""
    return ", ".join(f"{counts[fault]:,} {words}" for fault, words in FAULTS.items() if counts.get(fault))
