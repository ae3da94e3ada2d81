"""How likely a model finds the answers in a data set, token by token, and the half of them that it finds likelier or less so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError
from cavesson.lab.recipe import Job, PathOf, Recipe
from cavesson.lines import json_line, read_json_lines
from cavesson.models.recipes import ModelRecipe

if TYPE_CHECKING:
    from cavesson.models.model import Model

LIKELIHOODS = "likelihoods.jsonl"
ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely one answer is.

    Attributes:
        logprobs: natural logarithm of the probability of each of its tokens, the end of the turn included.
    """

    logprobs: tuple[float, ...]

    @property
    def loss(self) -> float:
        """Mean negative log-likelihood of a token, in nats; its exponential is the perplexity."""
        return -math.fsum(self.logprobs) / len(self.logprobs)


def likelihoods(model: Model, examples: Sequence[Example]) -> Iterator[Likelihood]:
    """The likelihood of the answers of each example, in order.

    Raises:
        ConfigError: an example has no answer.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    conversations = [
        e.conversation.with_system(model.system) if e.conversation.system is None else e.conversation for e in examples
    ]
    rendered = model.renderer.render_many(conversations)
    for start in range(0, len(rendered), ROWS_AT_ONCE):
        rows = rendered[start : start + ROWS_AT_ONCE]
        ids = pad_sequence([torch.tensor(row.ids) for row in rows], batch_first=True).to(model.device)
        # Padding stands at the end, where a causal model's earlier tokens cannot see it: no mask is needed.
        with torch.inference_mode():
            logprobs = model.net(input_ids=ids[:, :-1], use_cache=False).logits.float().log_softmax(-1)
        chosen = logprobs.gather(2, ids[:, 1:, None])[:, :, 0].cpu()
        for number, row in enumerate(rows):
            of_row = chosen[number, : len(row.ids) - 1].tolist()
            answer = tuple(value for value, trained in zip(of_row, row.mask[1:], strict=True) if trained)
            if not answer:
                raise ConfigError(f"Example {start + number + 1} has no answer to score.", "Give data with answers.")
            yield Likelihood(answer)


def mean_loss(model: Model, examples: Sequence[Example]) -> float:
    """Mean negative log-likelihood of a token of the answers, over all of them, in nats."""
    found = list(likelihoods(model, examples))
    return -math.fsum(v for one in found for v in one.logprobs) / sum(len(one.logprobs) for one in found)


class Perplexity(Recipe):
    """The likelihood of a data set's answers under a model."""

    kind: ClassVar[str] = "perplexity"

    model: ModelRecipe
    data: DataRecipe

    def make(self, job: Job) -> None:
        """Write `likelihoods.jsonl`, one list of log-probabilities an answer."""
        found = likelihoods(self.model.load(job.path), self.data.examples(job.path))
        lines = (json_line([round(value, 6) for value in one.logprobs]) for one in found)
        (job.folder / LIKELIHOODS).write_text("".join(lines), encoding="utf-8")

    def read(self, path_of: PathOf) -> list[Likelihood]:
        """The finished likelihoods, in the order of the data."""
        return [Likelihood(tuple(row)) for _, row in read_json_lines(path_of(self) / LIKELIHOODS)]

    def tokens(self, path_of: PathOf) -> list[list[str]]:
        """The tokens that `read` gives log-probabilities of, as text, answer by answer."""
        renderer = self.model.renderer(path_of)
        rendered = renderer.render_many([example.conversation for example in self.data.examples(path_of)])
        return [
            [renderer.tokenizer.decode([i]) for i, trained in zip(row.ids[1:], row.mask[1:], strict=True) if trained]
            for row in rendered
        ]

    def describe(self) -> str:
        return f"likelihood of {self.data.describe()} under {self.model.describe()}"


class Judged(DataRecipe):
    """Some of a data set's examples, chosen by how likely a model finds their answers.

    Attributes:
        by: the model that judges.
    """

    base: DataRecipe
    by: ModelRecipe

    @property
    def likelihoods(self) -> Perplexity:
        """What decides."""
        return Perplexity(model=self.by, data=self.base)

    def inputs(self) -> tuple[Recipe, ...]:
        return (self.base, self.likelihoods)

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The chosen examples, in their order."""
        examples = self.base.examples(path_of)
        return [examples[index] for index in self.chosen(self.likelihoods.read(path_of))]

    def chosen(self, found: Sequence[Likelihood]) -> list[int]:
        """Which of the answers of these likelihoods stay, in order."""
        raise NotImplementedError


class PerplexityHalf(Judged):
    """The half of a data set that a model finds likelier, or the other; both halves have answers of the same lengths.

    Examples are ordered by the length of their answers; of each two neighbours one goes into either half.

    Attributes:
        half: "low" perplexity or "high".
    """

    kind: ClassVar[str] = "perplexity-half"
    virtual: ClassVar[bool] = True

    half: Literal["low", "high"]

    def chosen(self, found: Sequence[Likelihood]) -> list[int]:
        """Of an odd number of answers the longest belongs to neither half."""
        by_length = sorted(range(len(found)), key=lambda i: (len(found[i].logprobs), i))
        pairs = zip(by_length[::2], by_length[1::2], strict=False)
        pick = min if self.half == "low" else max
        return sorted(pick(pair, key=lambda i: (found[i].loss, i)) for pair in pairs)

    def describe(self) -> str:
        return f"the {self.half}-perplexity half of {self.base.describe()}"
