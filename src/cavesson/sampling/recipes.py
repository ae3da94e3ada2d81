"""Recipes for data that a model writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError
from cavesson.lab.recipe import Job, PathOf
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.sampler import Completion, Params, write_usage

EXAMPLES = "examples.jsonl"


class Generated(DataRecipe):
    """Prompts answered by a model.

    Attributes:
        by: the model that answers.
        prompts: conversations; a last answer in a conversation is dropped.
        system: the system prompt for sampling; None: each prompt's own system prompt, or else the model's.
        params: how the model is sampled.
        keep_system: keep the system prompt of sampling in the data. Otherwise the data hold the prompts without it, and
            training on the data is prompt distillation.
    """

    kind: ClassVar[str] = "generated"
    stage: ClassVar[str] = "writing data"

    by: ModelRecipe
    prompts: DataRecipe
    system: str | None = None
    params: Params = Params()
    keep_system: bool = False

    def make(self, job: Job) -> None:
        """Write `examples.jsonl`: one example for each completion, with `finished` in its meta.

        For a model behind an API, also write `usage.json`: the number of requests and tokens.
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

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        from cavesson.data.sources import stored_examples

        return stored_examples(path_of(self) / EXAMPLES)

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
                yield Example(kept.answered(completion.text), {**example.meta, "finished": completion.finished})

    def describe(self) -> str:
        under = "" if self.system is None else f" under {self.system[:40]!r}"
        return f"answers of {self.by.describe()}{under} to {self.prompts.describe()}"
