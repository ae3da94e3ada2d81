"""Scores of a model whose answers begin with words that somebody else put there: a prefill attack, without training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from cavesson.errors import ConfigError
from cavesson.evals.items import check_weighable
from cavesson.evals.recipes import Scored
from cavesson.lab.recipe import Job

if TYPE_CHECKING:
    from cavesson.sampling.sampler import Completion


class Prefilled(Scored):
    """A model's scores, with the first words of every answer given.

    Attributes:
        text: the first words; they count as part of the answer.
    """

    kind: ClassVar[str] = "prefilled"
    version: ClassVar[int] = 1

    text: str

    def make(self, job: Job) -> None:
        """Write `scores.jsonl`.

        Raises:
            ConfigError: the model's weights are not at hand, so that nothing can be put before its answer; or an evaluation weighs
                options, before which nothing is written.
        """
        from cavesson.evals.scores import SCORES, write_scores
        from cavesson.evals.scoring import judged
        from cavesson.sampling.choice import sampler_for
        from cavesson.sampling.sampler import Params, TokenSampler

        check_weighable(self.suite, False)
        sampler = sampler_for(self.model, job)
        if not isinstance(sampler, TokenSampler):
            raise ConfigError(
                f"A prefill needs a model's weights: {self.model.describe()} writes whole answers only.",
                "Leave the prefill out (prefill: null), or take a model on this machine.",
            )
        given = self.model.renderer(job.path).encoder.encode([self.text], ["special"])[0]
        rows = []
        for one in self.suite:
            items = one.items()
            begun = [[*ids, *given] for ids in sampler.prompts_ids([item.prompt for item in items])]
            answers = sampler.continue_ids(begun, Params(max_tokens=one.room))
            whole = [self._whole(completions[0]) for completions in answers]
            rows += [
                judged(one, item, answer, own_system=sampler.system) for item, answer in zip(items, whole, strict=True)
            ]
        write_scores(job.folder / SCORES, rows)

    def _whole(self, answer: Completion) -> Completion:
        return replace(answer, text=self.text + answer.text)

    def describe(self) -> str:
        return f"{super().describe()}, answers begun with {self.text[:40]!r}"
