"""From examples to batches: rendered rows, their order, and the layout of a step's rows.

The order depends on the seed alone: every epoch is a permutation drawn from `(seed, epoch)`. A cursor (the number of
conversations taken so far) is all that resuming needs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cavesson.errors import TrainingError
from cavesson.models.context import context_of

if TYPE_CHECKING:
    from cavesson.chat import Conversation
    from cavesson.data.example import Example
    from cavesson.models.model import Model

KEPT = 50_000
"""Data sets of up to this many examples are rendered once and kept; larger data sets are rendered again in each epoch."""

BLOCK = 512
"""Conversations rendered at a time."""

PADDING_WORTH_A_RECTANGLE = 12
"""Padding tokens that cost about as much time as one more rectangle (measured: 36 µs a token, 0.4 ms a rectangle)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One rendered conversation: token `ids[t]`, and its weight in the loss `weights[t]` (0 for the first token).

    `logprobs[t]` is the log-probability of a token when it was sampled, in nats; None: nobody needs it.
    """

    ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    logprobs: NDArray[np.float32] | None = None


Group = tuple[Row, ...]
"""The rows of one example: one conversation, or the two answers of a pair. The rows stay in one micro-batch, in order."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows laid out flat (see `cavesson.training.flat`). N = tokens with padding, K = trained positions."""

    ids_1N: Tensor
    positions_1N: Tensor
    rectangles: tuple[tuple[int, int], ...]
    """`(docs, length)` of each rectangle, in the order of the flat row: `docs` documents, each padded to `length`."""
    index_K: Tensor
    """Positions in the flat row whose *next* token is trained."""
    targets_K: Tensor
    weights_K: Tensor
    doc_K: Tensor
    """The document of each position, numbered in the order of the given rows."""
    docs: int
    """Number of documents."""
    unit: float = 1.0
    """The share of a weight of 1 in the whole step: one divided by the step's total weight."""
    sampled_K: Tensor | None = None
    """The log-probability of each target when it was sampled, in nats; None: a row does not say it."""

    @classmethod
    def of(cls, rows: Sequence[Row], device: torch.device | str = "cpu", total_weight: float = 1.0) -> Batch:
        """Lay out rows, longest first; their weights are divided by `total_weight`."""
        order = sorted(range(len(rows)), key=lambda number: len(rows[number].ids), reverse=True)
        rectangles = _rectangles([len(rows[number].ids) for number in order])
        tokens = sum(docs * length for docs, length in rectangles)
        size = _usual_size(tokens)
        if size > tokens:
            rectangles.append((size - tokens, 1))  # padding, in the form of documents of one token
        ids, docs, weights = np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, np.float32)
        logprobs = np.zeros(size, np.float32) if rows and all(row.logprobs is not None for row in rows) else None
        starts = np.repeat([length for _, length in rectangles], [docs for docs, _ in rectangles]).cumsum()
        for number, start in zip(order, [0, *starts.tolist()], strict=False):
            row = rows[number]
            end = start + len(row.ids)
            ids[start:end], docs[start:end] = row.ids, number
            weights[start : end - 1] = row.weights[1:]  # position t predicts token t + 1
            if logprobs is not None and row.logprobs is not None:
                logprobs[start : end - 1] = row.logprobs[1:]
        trained = np.flatnonzero(weights)
        index = np.zeros(_usual_size(len(trained), 16), np.int64)  # the rest stays at position 0, with weight 0
        index[: len(trained)] = trained
        chosen = np.zeros(len(index), np.float32)
        chosen[: len(trained)] = weights[trained] / np.float32(total_weight)
        return cls(
            ids_1N=torch.from_numpy(ids)[None].to(device),
            positions_1N=_positions(rectangles)[None].to(device),
            rectangles=tuple(rectangles),
            index_K=torch.from_numpy(index).to(device),
            targets_K=torch.from_numpy(ids[np.minimum(index + 1, size - 1)]).to(device),
            weights_K=torch.from_numpy(chosen).to(device),
            doc_K=torch.from_numpy(docs[index]).to(device),
            docs=len(rows),
            unit=float(np.float32(1) / np.float32(total_weight)),
            sampled_K=None if logprobs is None else torch.from_numpy(logprobs[index]).to(device),
        )

    @classmethod
    def of_tokens(cls, documents: Sequence[Sequence[int]], device: torch.device | str = "cpu") -> Batch:
        """Lay out plain lists of tokens; every token but the first is trained."""
        return cls.of([Row(np.array(ids, np.int32), np.ones(len(ids), np.float32)) for ids in documents], device)

    def rectangle_by_rectangle(self) -> Iterator[Batch]:
        """The same rows as one batch per rectangle; rectangles without trained positions are left out."""
        start = 0
        for docs, length in self.rectangles:
            end = start + docs * length
            inside = (self.index_K >= start) & (self.index_K < end) & (self.weights_K != 0)
            if not inside.any():
                start = end
                continue
            yield Batch(
                ids_1N=self.ids_1N[:, start:end],
                positions_1N=self.positions_1N[:, start:end],
                rectangles=((docs, length),),
                index_K=self.index_K[inside] - start,
                targets_K=self.targets_K[inside],
                weights_K=self.weights_K[inside],
                doc_K=self.doc_K[inside],
                docs=self.docs,
                unit=self.unit,
                sampled_K=None if self.sampled_K is None else self.sampled_K[inside],
            )
            start = end

    def per_document(self, values_K: Tensor) -> Tensor:
        """The sum of the values at each document's positions, `[D]`; deterministic, on a GPU too."""
        documents = torch.arange(self.docs, device=values_K.device)
        return (values_K * (self.doc_K == documents[:, None])).sum(1)


def _rectangles(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Cut descending lengths into the rectangles `(docs, length)` that cost least, padding and number of rectangles together."""
    counts = Counter(lengths)
    steps = list(counts.items())  # every length once, descending
    least = [0.0] + [math.inf] * len(
        steps
    )  # the least cost of the first n lengths, and the start of their last rectangle
    starts = [0] * (len(steps) + 1)
    for start, (longest, _) in enumerate(steps):
        cost = least[start] + PADDING_WORTH_A_RECTANGLE
        for end, (length, docs) in enumerate(steps[start:], start + 1):
            cost += (longest - length) * docs
            if cost < least[end]:
                least[end], starts[end] = cost, start
            if cost > least[start] + 4 * PADDING_WORTH_A_RECTANGLE:  # so much padding is hardly ever cheapest
                break
    found, end = [], len(steps)
    while end:
        start = starts[end]
        found.append((sum(docs for _, docs in steps[start:end]), steps[start][0]))
        end = start
    return found[::-1]


def _usual_size(size: int, share: int = 32) -> int:
    """`size` rounded up by at most one `share`-th, so that shapes recur: on a CPU, the first matrix product of a shape takes
    a third of a millisecond of preparation."""
    grain = 1 << max(0, size.bit_length() - share.bit_length())
    return -(-size // grain) * grain


def _positions(rectangles: Sequence[tuple[int, int]]) -> Tensor:
    return torch.cat([torch.arange(length).repeat(docs) for docs, length in rectangles])


class Order:
    """The order of a data set's examples in training: every epoch is a permutation drawn from `(seed, epoch)`.

    Args:
        size: number of examples.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed = size, seed
        self._epoch: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def index_at(self, position: int) -> int:
        """The index of the example at a position (position `size` begins the second epoch)."""
        epoch, offset = divmod(position, self.size)
        if self._epoch[0] != epoch:
            self._epoch = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.size)
        return int(self._epoch[1][offset])


class Stream:
    """A data set's examples as rows in training order, without end, rendered when they are needed.

    Args:
        examples: the data, not empty.
        model: its renderer turns conversations into tokens; its system prompt goes before conversations without one.
        seed: seed of the order.
        max_length: number of tokens after which rows are cut.
        prompt_weight: weight of the tokens outside the answers.
        first_tokens: number of tokens with a weight at the start of every answer; None: all tokens of the answer.
        reasoning_weight: weight of the tokens of an answer's reasoning.
        pairs: make two rows of each example, with the preferred and the rejected answer; otherwise one row.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        model: Model,
        *,
        seed: int,
        max_length: int | None,
        prompt_weight: float,
        first_tokens: int | None = None,
        reasoning_weight: float = 1.0,
        pairs: bool = False,
    ) -> None:
        self.examples, self.model, self.order, self.pairs = examples, model, Order(len(examples), seed), pairs
        self.max_length, self.prompt_weight, self.first_tokens = max_length, prompt_weight, first_tokens
        self.reasoning_weight = reasoning_weight
        self.context = context_of(model.net)
        self._kept: dict[int, Group] = {}

    def groups(self, start: int, end: int | None = None) -> Iterator[Group]:
        """The rows of each example from position `start` on in training order (position `n` begins the second epoch).

        Raises:
            TrainingError: an example has no answer to train, or only one where `pairs` is set; or is longer than the context.
        """
        while end is None or start < end:
            stop = start + BLOCK if end is None else min(start + BLOCK, end)
            yield from self._render([self.order.index_at(position) for position in range(start, stop)])
            start = stop

    def _render(self, indices: Sequence[int]) -> list[Group]:
        missing = [index for index in dict.fromkeys(indices) if index not in self._kept]
        talks = {index: self._conversations(index) for index in missing}
        rendered = iter(self.model.renderer.render_many([talk for group in talks.values() for talk in group]))
        fresh = {
            index: tuple(self._row(*row, index) for row in islice(rendered, len(group)))
            for index, group in talks.items()
        }
        if len(self.examples) <= KEPT:
            self._kept.update(fresh)
        return [fresh[index] if index in fresh else self._kept[index] for index in indices]

    def _conversations(self, index: int) -> list[Conversation]:
        example = self.examples[index]
        talks = example.conversations if self.pairs else (example.conversation,)
        if self.pairs and len(talks) != 2:
            raise TrainingError(
                f"Example {index + 1} of the data has no rejected answer, and the objective learns from pairs.",
                'Give `Preferences`, or rows {"prompt": …, "chosen": …, "rejected": …}.',
            )
        if not self.prompt_weight and not any(one.trained for one in talks[0].messages if one.role == "assistant"):
            raise TrainingError(
                f"Example {index + 1} of the data has no answer, so nothing can be learnt from it.",
                "Give every prompt its answer, or leave out the example.",
            )
        if self.pairs and talks[0] == talks[1]:
            raise TrainingError(
                f"Example {index + 1} of the data prefers an answer to itself: nothing can be learnt from the pair.",
                "Remove the row, or give `Preferences`, which leaves such pairs out.",
            )
        system = self.model.system
        return [talk if system is None or talk.system is not None else talk.with_system(system) for talk in talks]

    def _row(self, ids: Sequence[int], mask: Sequence[int], index: int) -> Row:
        """The row of an example's rendered conversation; where the last answer was cut, the end of its turn is not trained."""
        if self.examples[index].fault:
            end = _end_of_last_turn(ids, mask, self.model.renderer.stop_ids)
            ids, mask = ids[:end], mask[:end]
        tokens = np.asarray(ids[: self.max_length], np.int32)
        if self.context is not None and len(tokens) > self.context:
            raise TrainingError(
                f"Example {index + 1} of the data has {len(tokens):,} tokens, more than the model's context of {self.context:,}.",
                f"Shorten the example or leave it out, cut all (max_length: {self.context}), or take a model with more.",
            )
        answers = np.asarray(mask[: self.max_length], bool)
        weights = np.where(answers, np.float32(1), np.float32(self.prompt_weight))
        if self.reasoning_weight != 1:
            thought = self.model.renderer.reasoning(ids, mask)[: len(tokens)]
            weights[np.asarray(thought, bool)] = self.reasoning_weight
        if self.first_tokens is not None:
            weights[answers & (_place_in_run(answers) > self.first_tokens)] = 0
        weights[:1] = 0
        return Row(tokens, weights)


def _end_of_last_turn(ids: Sequence[int], mask: Sequence[int], stop_ids: Collection[int]) -> int:
    """The position of the token that ends the last answer, after all of the answer's text."""
    return next((n for n in reversed(range(len(ids))) if mask[n] and ids[n] in stop_ids), len(ids))


def _place_in_run(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For every set flag, its place in its run of set flags, counted from 1; 0 for other flags."""
    count = flags.cumsum()
    return count - np.maximum.accumulate(np.where(flags, 0, count))


@dataclass(frozen=True, slots=True)
class Step:
    """What one optimizer step trains on.

    Attributes:
        micro_batches: the rows of each forward and backward pass.
        cursor: position in the training order after this step.
        divisor: denominator of the loss, if it is not the sum of all weights (weights may be signed, or count pairs).
        watch: called with the `Forward` of each batch, before the weights change; None: nobody watches.
    """

    micro_batches: list[list[Row]]
    cursor: int
    divisor: float | None = None
    watch: Callable[[Any], None] | None = None

    @property
    def total_weight(self) -> float:
        """The denominator of the loss: `divisor`, or else the sum of all weights."""
        if self.divisor is not None:
            return self.divisor
        return float(sum(float(row.weights.sum()) for rows in self.micro_batches for row in rows))

    @property
    def trains(self) -> bool:
        """Whether a token has a weight; also true for a step without rows."""
        return not self.micro_batches or any(row.weights.any() for rows in self.micro_batches for row in rows)

    @property
    def tokens(self) -> int:
        """Number of tokens in all rows, without padding."""
        return sum(len(row.ids) for rows in self.micro_batches for row in rows)


def steps_of(
    stream: Stream, *, batch_size: int, tokens_per_batch: int | None, accumulate: int, cursor: int, end: int | None
) -> Iterator[Step]:
    """Cut the training order into optimizer steps of `accumulate` micro-batches each; an example's rows stay together.

    Args:
        stream: gives the rows of the examples.
        batch_size: examples in a micro-batch.
        tokens_per_batch: if given, a micro-batch has as many examples as fit into so many tokens (at least one).
        cursor: position in the training order at which to begin.
        end: position at which to end, and the last step may then be smaller; None: never.

    Returns:
        the steps. The loss of a step is divided by the sum of its weights, or by the number of its pairs.
    """
    full: list[list[Group]] = []
    groups: list[Group] = []
    tokens, taken = 0, cursor

    def step() -> Step:
        batches = [[row for group in batch for row in group] for batch in full]
        return Step(batches, taken, float(sum(map(len, full))) if stream.pairs else None)

    for group in stream.groups(cursor, end):
        size = sum(len(row.ids) for row in group)
        fits = len(groups) < batch_size if tokens_per_batch is None else tokens + size <= tokens_per_batch
        if groups and not fits:
            full.append(groups)
            taken += len(groups)
            groups, tokens = [], 0
            if len(full) == accumulate:
                yield step()
                full = []
        groups.append(group)
        tokens += size
    if groups:
        full.append(groups)
        taken += len(groups)
    if full:
        yield step()
