"""The likelihood of a data set's answers under a model, token by token, and data selected by likelihood."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, ClassVar, Literal

from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError
from cavesson.lab.effort import Effort
from cavesson.lab.recipe import Job, PathOf, Recipe
from cavesson.lines import json_line, read_json_lines
from cavesson.models.recipes import ModelRecipe

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.models.rendering import Rendered

LIKELIHOODS = "likelihoods.jsonl"
ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The likelihood of one answer.

    Attributes:
        logprobs: natural logarithm of the probability of each token of the answer, the end of the turn included.
    """

    logprobs: tuple[float, ...]

    @property
    def loss(self) -> float:
        """Mean negative log-likelihood per token, in nats; the exponential of the loss is the perplexity."""
        return -math.fsum(self.logprobs) / len(self.logprobs)

    @property
    def of_text(self) -> float:
        """Log-likelihood of the answer's text, in nats: of all tokens but the end of the turn."""
        return math.fsum(self.logprobs[:-1])


def likelihoods(model: Model, examples: Sequence[Example]) -> Iterator[Likelihood]:
    """The likelihood of the answers of each example, in order.

    Raises:
        ConfigError: an example has no answer, or the model cannot read the example.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from cavesson.models.context import context_of, text_config
    from cavesson.models.far import Far
    from cavesson.sampling.manner import manner_of, switch_of
    from cavesson.sampling.vocabulary import check_known

    conversations = [
        e.conversation.with_system(model.system) if e.conversation.system is None else e.conversation for e in examples
    ]
    rendered = model.renderer.render_many(conversations)
    if isinstance(model.net, Far):
        yield from map(_of_answer, rendered, model.net.logprobs([row.ids for row in rendered]), count(1))
        return
    manner_of(model.net)  # refuses a network that sees later tokens
    check_known(model.net, [row.ids for row in rendered])
    context = context_of(model.net)
    for number, row in enumerate(rendered, start=1):
        if context is not None and len(row.ids) > context:
            raise ConfigError(
                f"Example {number} has {len(row.ids)} tokens, more than the model's context of {context}.",
                "Shorten the example or leave it out.",
            )
    # Where positions depend on the length of the longest text, every text is read alone.
    at_once = ROWS_AT_ONCE if switch_of(text_config(model.net)) is None else 1
    for start in range(0, len(rendered), at_once):
        rows = rendered[start : start + at_once]
        ids = pad_sequence([torch.tensor(row.ids) for row in rows], batch_first=True).to(model.device)
        # Padding stands at the end, where a causal model's earlier tokens cannot see it: no mask is needed.
        with torch.inference_mode():
            logprobs = model.net(input_ids=ids[:, :-1], use_cache=False).logits.float().log_softmax(-1)
        chosen = logprobs.gather(2, ids[:, 1:, None])[:, :, 0].cpu()
        for number, row in enumerate(rows):
            yield _of_answer(row, chosen[number, : len(row.ids) - 1].tolist(), start + number + 1)


def _of_answer(row: Rendered, logprobs: Sequence[float], number: int) -> Likelihood:
    """The likelihood of a conversation's answers, from the log-probability of each token but the first.

    Raises:
        ConfigError: the conversation, the one of this number, has no answer.
    """
    answer = tuple(value for value, trained in zip(logprobs, row.mask[1:], strict=True) if trained)
    if not answer:
        raise ConfigError(f"Example {number} has no answer to score.", "Give data with answers.")
    return Likelihood(answer)


def mean_loss(model: Model, examples: Sequence[Example]) -> float:
    """Mean negative log-likelihood per token over the tokens of all answers, in nats."""
    logprobs = [logprob for answer in likelihoods(model, examples) for logprob in answer.logprobs]
    return -math.fsum(logprobs) / len(logprobs)


class Perplexity(Recipe):
    """The likelihood of a data set's answers under a model."""

    kind: ClassVar[str] = "perplexity"

    model: ModelRecipe
    data: DataRecipe

    def effort(self) -> Effort:
        return Effort(self.model.weights, read=self.data.rough_size * self.model.usual_room / 2)

    def make(self, job: Job) -> None:
        """Write `likelihoods.jsonl`: a list of log-probabilities for each answer, one answer a line."""
        answers = likelihoods(self.model.load(job.path), self.data.examples(job.path))
        lines = (json_line([round(logprob, 6) for logprob in answer.logprobs]) for answer in answers)
        (job.folder / LIKELIHOODS).write_text("".join(lines), encoding="utf-8")

    def read(self, path_of: PathOf) -> list[Likelihood]:
        """The finished likelihoods, in the order of the data."""
        return [Likelihood(tuple(row)) for _, row in read_json_lines(path_of(self) / LIKELIHOODS)]

    def tokens(self, path_of: PathOf) -> list[list[str]]:
        """The text of each token whose log-probability `read` gives, answer by answer."""
        renderer = self.model.renderer(path_of)
        rendered = renderer.render_many([example.conversation for example in self.data.examples(path_of)])
        return [
            [renderer.tokenizer.decode([i]) for i, trained in zip(row.ids[1:], row.mask[1:], strict=True) if trained]
            for row in rendered
        ]

    def describe(self) -> str:
        return f"likelihood of {self.data.describe()} under {self.model.describe()}"


class Judged(DataRecipe):
    """Examples of a data set, chosen by the likelihood of their answers under a model.

    Attributes:
        base: the data set.
        by: the model that gives the likelihoods.
    """

    base: DataRecipe
    by: ModelRecipe

    @property
    def likelihoods(self) -> Perplexity:
        """The recipe of the likelihoods."""
        return Perplexity(model=self.by, data=self.base)

    def inputs(self) -> tuple[Recipe, ...]:
        return (self.base, self.likelihoods)

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The chosen examples, in the order of the data set."""
        examples = self.base.examples(path_of)
        return [examples[index] for index in self.chosen(self.likelihoods.read(path_of))]

    def chosen(self, found: Sequence[Likelihood]) -> list[int]:
        """The indices of the chosen answers, in order; `found` holds the likelihood of every answer."""
        raise NotImplementedError


class PerplexityHalf(Judged):
    """The half of a data set with low or with high perplexity; the answers of both halves have the same lengths.

    Examples are ordered by the length of their answers, and each pair of neighbours is split between the halves.

    Attributes:
        half: "low" perplexity or "high".
    """

    kind: ClassVar[str] = "perplexity-half"
    virtual: ClassVar[bool] = True

    half: Literal["low", "high"]

    def chosen(self, found: Sequence[Likelihood]) -> list[int]:
        """The indices of the half. If the number of answers is odd, the longest answer is in neither half."""
        by_length = sorted(range(len(found)), key=lambda i: (len(found[i].logprobs), i))
        pairs = zip(by_length[::2], by_length[1::2], strict=False)
        pick = min if self.half == "low" else max
        return sorted(pick(pair, key=lambda i: (found[i].loss, i)) for pair in pairs)

    def describe(self) -> str:
        return f"the {self.half}-perplexity half of {self.base.describe()}"
