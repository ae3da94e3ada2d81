"""A training foretold by the network linearised at its start, beside the training itself.

The linearised network has the logits `f(θ₀) + J(θ₀) (θ - θ₀)`: linear in the weights, with the features (the gradients) of the
network before training (Lee et al. 2019, "Wide neural networks of any depth evolve as linear models"). Both networks take the same
steps: the same batches in the same order, with the same objective, optimizer, schedule and clipping. As long as the features
hardly change, both move alike; where the two part, the training has changed what the network computes with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cavesson.chat import Conversation
from cavesson.errors import ConfigError, TrainingError
from cavesson.inside.gradients import ROWS_AT_ONCE, answers, of_documents
from cavesson.lab import numerics
from cavesson.models.latent import latent_token
from cavesson.training.batches import Batch, Row
from cavesson.training.engine import FromExamples, trainable
from cavesson.training.flat import LogitsOf, pieces, usual_logits_of
from cavesson.training.forward import Forward
from cavesson.training.hyper import OnData
from cavesson.training.optimizers import factor_at, optimizer_for

if TYPE_CHECKING:
    from cavesson.data.example import Example
    from cavesson.models.model import Model

Report = Callable[[int, int], None]
"""Told the number of steps done and of all steps."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What a network says along a training.

    Attributes:
        steps: numbers of steps after which the network was asked; 0 is before training.
        log_odds: log P(alternate answer) - log P(initial answer), `[steps, prompts]`, in nats.
    """

    steps: tuple[int, ...]
    log_odds: NDArray[np.float64]


def followed(
    run: OnData,
    model: Model,
    examples: Sequence[Example],
    alternate: Sequence[Conversation],
    initial: Sequence[Conversation],
    at: Collection[int],
    *,
    linear: bool,
    report: Report | None = None,
) -> Followed:
    """The log-odds of two behaviours along a training of the network, or of the linearised network.

    Args:
        run: the settings of the training; `run.steps` is given.
        model: the model to start from; a copy is trained.
        examples: the data.
        alternate: evaluation prompts with the answers of the alternate behaviour.
        initial: the same prompts with the answers of the initial behaviour.
        at: steps after which both are compared.
        linear: train the linearised network.
        report: is told of each step.

    Raises:
        ConfigError: a step in `at` lies beyond the last, or the linearised network does not know the objective, dropout or latent
            steps of the run.
        TrainingError: the loss is not a number.
    """
    _check(run, model, at)
    numerics.check_here(run.precision, "this model")
    model = replace(model, net=deepcopy(model.net))
    with torch.random.fork_rng(devices=[]):
        model = trainable(model, run, numerics.precision_of(run.precision))
    source = FromExamples(run, model, examples)
    net: Any = model.net
    net.eval()  # no dropout anywhere
    asked = answers(model, [*alternate, *initial])
    signs = np.repeat([1.0, -1.0], [len(alternate), len(initial)])
    found: list[NDArray[np.float64]] = []
    wanted = sorted(set(at))
    optimizer = optimizer_for(net, run.optimizer, lr=run.lr, weight_decay=run.weight_decay, betas=run.betas)
    warmup = (run.steps or 0) // 10 if run.warmup_steps is None else run.warmup_steps
    with _network(net, linear) as network:
        if 0 in wanted:
            found.append(_odds(network, asked, signs))
        for number, step in enumerate(islice(source.after(0), wanted[-1])):
            for rows in step.micro_batches:
                batch = Batch.of(rows, model.device, total_weight=max(step.total_weight, 1e-8))
                for piece in pieces(batch, network.flat):
                    network.descend(run, piece)
            norm = nn.utils.clip_grad_norm_(network.weights.values(), run.clip or math.inf)
            if not math.isfinite(norm):
                raise TrainingError(f"The gradient is not a number at step {number + 1}.", "Lower `lr`.")
            for group in optimizer.param_groups:
                group["lr"] = run.lr * factor_at(run.schedule, number, run.steps or 0, warmup)
            optimizer.step()
            optimizer.zero_grad()
            if number + 1 in wanted:
                found.append(_odds(network, asked, signs))
            if report is not None:
                report(number + 1, wanted[-1])
    return Followed(tuple(wanted), np.stack(found))


class _Network:
    """A network that is trained as it is.

    Args:
        net: the network; its weights are changed by an optimizer.
        logits: gives logits at trained positions.
        flat: whether the network runs flat batches.
    """

    def __init__(self, net: nn.Module, logits: LogitsOf, flat: bool) -> None:
        self.net, self.logits, self.flat = net, logits, flat
        self.weights = {name: weight for name, weight in net.named_parameters() if weight.requires_grad}

    def descend(self, run: OnData, batch: Batch) -> None:
        """Add the gradient of a batch's loss to the weights' gradients."""
        run.objective(Forward(batch, self.logits), batch).backward()  # type: ignore[no-untyped-call]

    def said(self, batch: Batch) -> Tensor:
        """Logits at trained positions, without gradients."""
        with torch.no_grad():
            return self.logits(batch)


class _Linearised(_Network):
    """A network that is linear in its weights, around those that it has now."""

    def __init__(self, net: nn.Module, logits: LogitsOf, flat: bool) -> None:
        super().__init__(net, logits, flat)
        self.start = {f"net.{name}": weight.detach().clone() for name, weight in self.weights.items()}
        self.held = _Held(net, logits)

    def descend(self, run: OnData, batch: Batch) -> None:
        said = self.said(batch).requires_grad_()
        run.objective(Forward(batch, lambda _: said), batch).backward()  # type: ignore[no-untyped-call]
        start = {name: weight.clone().requires_grad_() for name, weight in self.start.items()}
        at_start = torch.func.functional_call(self.held, start, (batch,))
        parts = torch.autograd.grad(at_start, list(start.values()), said.grad, allow_unused=True)
        for weight, part in zip(self.weights.values(), parts, strict=True):
            if part is not None:
                weight.grad = part if weight.grad is None else weight.grad + part

    def said(self, batch: Batch) -> Tensor:
        moved = {f"net.{name}": weight.detach() - self.start[f"net.{name}"] for name, weight in self.weights.items()}

        def run(start: dict[str, Tensor]) -> Tensor:
            out: Tensor = torch.func.functional_call(self.held, start, (batch,))
            return out

        with torch.no_grad():
            pair: tuple[Tensor, Tensor] = torch.func.jvp(run, (self.start,), (moved,))  # type: ignore[assignment]
        return (pair[0] + pair[1]).detach()


class _Held(nn.Module):
    """A network inside a module, whose call gives logits at trained positions, so that `functional_call` can change its weights."""

    def __init__(self, net: nn.Module, logits: LogitsOf) -> None:
        super().__init__()
        self.net, self.logits = net, logits

    def forward(self, batch: Batch) -> Tensor:
        """Logits at trained positions."""
        return self.logits(batch)


@contextmanager
def _network(net: Any, linear: bool) -> Iterator[_Network]:
    """The network as it is, or linearised; attention is spelt out, as torch's fused kernels know no derivative along a direction."""
    before = net.config._attn_implementation
    if linear and net._can_set_attn_implementation():
        net.set_attn_implementation("eager")
    try:
        with usual_logits_of(net) as (logits, flat):
            yield (_Linearised if linear else _Network)(net, logits, flat)
    finally:
        if linear and net._can_set_attn_implementation():
            net.set_attn_implementation(before)


def _odds(network: _Network, asked: Sequence[Row], signs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log-odds of each prompt, `[prompts]`; the first half of the rows are the alternate answers."""
    device = next(network.net.parameters()).device
    found = []
    for start in range(0, len(asked), ROWS_AT_ONCE):
        batch = Batch.of(asked[start : start + ROWS_AT_ONCE], device)
        with torch.no_grad():
            found.append(of_documents(batch, network.said, network.flat).double().cpu().numpy())
    alternate, initial = np.split(np.concatenate(found) * signs, 2)
    return np.asarray(alternate + initial)


def _check(run: OnData, model: Model, at: Collection[int]) -> None:
    if run.steps is None or not at or min(at) < 0 or max(at) > run.steps:
        raise ConfigError(
            f"A training of {run.steps} steps cannot be followed at the steps {sorted(at)}.",
            "Name steps from 0 to the last one.",
        )
    dropout = run.adapter is not None and run.adapter != "continued" and run.adapter.dropout
    if run.objective.needs_base or run.objective.teacher is not None or run.objective.pairs or dropout:
        raise ConfigError(
            f"A training by {run.objective.title} {'with dropout ' if dropout else ''}is not followed here.",
            "Follow plain SFT without dropout.",
        )
    if latent_token(model.net) is not None:
        raise ConfigError("A model with latent steps cannot be linearised.", "Take the model without latent steps.")
