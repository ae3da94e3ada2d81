"""Gradients of what a model says: of losses, of log-odds between two answers, their cosines and the empirical kernel."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cavesson.chat import Conversation
from cavesson.errors import ConfigError
from cavesson.inside.prompts import network_of, renderer_of, token_ids
from cavesson.models.model import Model
from cavesson.training.batches import Batch, Row
from cavesson.training.flat import LogitsOf, pieces, usual_logits_of
from cavesson.training.losses import log_likelihoods

ROWS_AT_ONCE = 16

Gradient = dict[str, Tensor]
"""For each weight by its name in the network the derivative of a scalar, in the shape of the weight."""


def answers(model: Any, talks: Sequence[Conversation], *, tokenizer: Any = None) -> list[Row]:
    """The answers of conversations as rows whose weights are 1 on the tokens of the answers, and 0 elsewhere.

    Args:
        model: a `Model`, or a causal language model of transformers.
        talks: conversations that end with an answer.
        tokenizer: of a plain model.

    Raises:
        ConfigError: a conversation has no answer, or cannot be read by the model.
    """
    system = model.system if isinstance(model, Model) else None
    told = [talk.with_system(system) if talk.system is None and system is not None else talk for talk in talks]
    rendered = renderer_of(model, tokenizer).render_many(told, "last")
    token_ids(model, [row.ids for row in rendered])  # refuses what the network cannot read
    for number, (talk, row) in enumerate(zip(told, rendered, strict=True), start=1):
        if talk.answer is None or not any(row.mask):
            raise ConfigError(f"Conversation {number} has no answer.", "Give conversations that end with an answer.")
    return [Row(np.array(row.ids, np.int32), np.array([0, *row.mask[1:]], np.float32)) for row in rendered]


def scaled(rows: Sequence[Row], factor: float) -> list[Row]:
    """The same rows with weights so many times as large."""
    return [replace(row, weights=row.weights * np.float32(factor)) for row in rows]


def as_loss(rows: Sequence[Row]) -> list[Row]:
    """Rows whose weighted log-likelihoods add up to the mean negative log-likelihood per token, as a training step has it."""
    return scaled(rows, -1 / math.fsum(float(row.weights.sum()) for row in rows))


def as_log_odds(alternate: Sequence[Row], initial: Sequence[Row]) -> list[Row]:
    """Rows whose weighted log-likelihoods add up to the mean over prompts of log P(alternate answer) - log P(initial answer)."""
    return [*scaled(alternate, 1 / len(alternate)), *scaled(initial, -1 / len(initial))]


def log_likelihoods_of(model: Any, rows: Sequence[Row], *, at_once: int = ROWS_AT_ONCE) -> NDArray[np.float64]:
    """The weighted sum of each row's token log-likelihoods, `[rows]`, in nats."""
    net = network_of(model)
    found = []
    with evaluating(net), torch.no_grad(), usual_logits_of(net) as (logits, flat):
        for start in range(0, len(rows), at_once):
            batch = Batch.of(rows[start : start + at_once], net.device)
            found.append(of_documents(batch, logits, flat).double().cpu().numpy())
    return np.concatenate(found)


def log_odds(
    model: Any, alternate: Sequence[Conversation], initial: Sequence[Conversation], *, tokenizer: Any = None
) -> NDArray[np.float64]:
    """For each prompt log P(alternate answer) - log P(initial answer) under the model, `[prompts]`, in nats.

    Args:
        model: a `Model`, or a causal language model of transformers.
        alternate: the prompts with the answers of the alternate behaviour.
        initial: the same prompts in the same order, with the answers of the initial behaviour.
        tokenizer: of a plain model.

    Raises:
        ConfigError: the numbers of conversations differ, or a conversation has no answer.
    """
    if len(alternate) != len(initial) or not alternate:
        raise ConfigError(
            f"There are {len(alternate)} alternate answers and {len(initial)} initial ones.",
            "Give one of each for every prompt.",
        )
    both = answers(model, [*alternate, *initial], tokenizer=tokenizer)
    found = log_likelihoods_of(model, both)
    return np.asarray(found[: len(alternate)] - found[len(alternate) :])


def gradient(model: Any, rows: Sequence[Row], *, over: str | None = None, at_once: int = ROWS_AT_ONCE) -> Gradient:
    """The gradient of the weighted sum of all token log-likelihoods (`as_loss`, `as_log_odds` give the weights).

    Args:
        model: a `Model`, or a causal language model of transformers; its weights, their gradients and what is trained of them stay
            as they are.
        rows: from `answers`.
        over: a regular expression that the names of the weights match somewhere; None: all weights that are trained (of a network
            with an adapter, the adapter's).
        at_once: rows in one pass.

    Raises:
        ConfigError: no weight's name matches.
    """
    net = network_of(model)
    with evaluating(net), only_training(net, over) as weights, usual_logits_of(net) as (logits, flat):
        total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for start in range(0, len(rows), at_once):
            batch = Batch.of(rows[start : start + at_once], net.device)
            for piece in pieces(batch, flat):
                value = (piece.weights_K * log_likelihoods(logits(piece), piece.targets_K)).sum()
                parts = torch.autograd.grad(value, list(weights.values()), allow_unused=True)
                for name, part in zip(weights, parts, strict=True):
                    if part is not None:
                        total[name] += part
    return total


def dot(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> float:
    """The inner product of two gradients over the same weights."""
    return math.fsum(float((one[name].double() * two[name].double()).sum()) for name in one)


def cosine(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> float:
    """The cosine between two gradients over the same weights; 0 if one of them is zero."""
    lengths = math.sqrt(dot(one, one) * dot(two, two))
    return dot(one, two) / lengths if lengths else 0.0


def gradient_cosine(
    model: Any,
    train: Sequence[Conversation],
    evaluated: Sequence[Conversation],
    *,
    over: str | None = None,
    tokenizer: Any = None,
) -> float:
    """The cosine between the gradients of the mean losses of two sets of answers: of training, and of a behaviour elsewhere.

    Above 0, a first small step of training on `train` makes the answers of `evaluated` likelier. Arguments and errors are those of
    `answers` and `gradient`.
    """
    one, two = (
        gradient(model, as_loss(answers(model, talks, tokenizer=tokenizer)), over=over) for talks in (train, evaluated)
    )
    return cosine(one, two)


def kernel(
    model: Any, of: Sequence[Sequence[Row]], against: Sequence[Sequence[Row]], *, over: str | None = None
) -> NDArray[np.float64]:
    """The empirical neural tangent kernel: inner products of gradients, `[of, against]`.

    Each entry of `of` and `against` is some rows, whose weighted log-likelihoods add up to one scalar. A step of gradient descent of
    size `lr` on the loss of `against[j]` moves the scalar of `of[i]` by `-lr * kernel[i, j]` to first order. The gradients of `against`
    are held in memory: one number for each of them and each weight.

    Source: Jacot, Gabriel and Hongler, "Neural Tangent Kernel" (2018).
    """
    columns = [gradient(model, rows, over=over) for rows in against]
    return np.array(
        [[dot(row, column) for column in columns] for row in (gradient(model, one, over=over) for one in of)]
    )


def of_documents(batch: Batch, logits: LogitsOf, flat: bool) -> Tensor:
    """The weighted sum of each document's token log-likelihoods, `[documents]`."""
    total = torch.zeros(batch.docs, device=batch.weights_K.device)
    for piece in pieces(batch, flat):
        total = total + piece.per_document(piece.weights_K * log_likelihoods(logits(piece), piece.targets_K))
    return total


@contextmanager
def evaluating(net: Any) -> Iterator[None]:
    """While the context is open, the network is in evaluation mode (without dropout)."""
    training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(training)


@contextmanager
def only_training(net: Any, over: str | None) -> Iterator[dict[str, Tensor]]:
    """While the context is open, only the chosen weights are trained; gives these weights by name."""
    before = {weight: weight.requires_grad for weight in net.parameters()}
    named = dict(net.named_parameters())
    trained = any(before.values())
    chosen = {
        name: weight
        for name, weight in named.items()
        if (re.search(over, name) if over is not None else weight.requires_grad or not trained)
    }
    if not chosen:
        raise ConfigError(
            f"No weight's name matches {over!r}.", f"The weights have names such as {next(iter(named))!r}."
        )
    wanted = {id(weight) for weight in chosen.values()}
    try:
        for weight in before:
            weight.requires_grad_(id(weight) in wanted)
        yield chosen
    finally:
        for weight, flag in before.items():
            weight.requires_grad_(flag)
