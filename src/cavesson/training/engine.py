"""The training loop: one for every objective, optimizer and adapter.

A training is named after its numerics (`cavesson.lab.numerics`): with "fp32-…" everything is float32, with "bf16-…" products are
bfloat16 (autocast) while weights and optimizer stay float32. A machine with other numerics refuses to train under that name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import nn

from cavesson.errors import TrainingError
from cavesson.lab import numerics
from cavesson.lab.manifest import COUNTS
from cavesson.lab.ranks import Leave
from cavesson.lab.recipe import Job
from cavesson.models.adapters import attach, continued
from cavesson.models.far import is_far
from cavesson.models.model import merged
from cavesson.training.batches import Batch, Row, Step, Stream, steps_of
from cavesson.training.flat import pieces
from cavesson.training.forward import Forward, forwards
from cavesson.training.freed import give_back, keep_freed_memory
from cavesson.training.hyper import LEFT_OUT, Hyperparameters, OnData
from cavesson.training.loop import TOO_HIGH, Loop, Steps, Visit, key_at, teacher_of
from cavesson.training.optimizers import optimizer_for
from cavesson.training.reference import Reference
from cavesson.training.resume import Saver
from cavesson.training.sharing import Part, whole

if TYPE_CHECKING:
    from cavesson.data.example import Example
    from cavesson.models.model import Model
    from cavesson.models.recipes import ModelRecipe


def train(
    run: OnData,
    model: Model,
    examples: Sequence[Example],
    *,
    name: str,
    job: Job,
    at: Collection[int] = (),
    visit: Visit | None = None,
) -> Model:
    """Train `model` (in place) on examples with the settings `run`: `optimise` with steps that are cut from data.

    Args:
        run: the settings of the training.
        model: the model to start from. Its system prompt goes before conversations without one.
        examples: the data.
        name: name of the run (its recipe's fingerprint), for its saved state and its weights.

    Raises:
        TrainingError: there are no examples, none has a whole answer, an example lacks the second answer that the objective
            needs, the first batch has no token to train, or the loss is not a number. No state is left.
    """
    if not len(examples):
        raise TrainingError("The data set is empty.", "Check the data's filters and counts.")
    examples = _learnt_from(run, examples, job)
    return optimise(
        run, model, lambda policy: FromExamples(run, policy, examples), name=name, job=job, at=at, visit=visit
    )


def optimise(
    run: Hyperparameters,
    model: Model,
    steps: Callable[[Model], Steps],
    *,
    name: str,
    job: Job,
    at: Collection[int] = (),
    visit: Visit | None = None,
) -> Model:
    """Train `model` (in place) with the settings `run`.

    The state is saved in `job.scratch` about every half minute, before every visit, and when the user stops the run. A run
    that finds its saved state goes on from there, and ends with the same weights, bit for bit, as an uninterrupted run.

    Args:
        run: the settings of the training.
        model: the model to start from.
        steps: makes the source of steps from the model in training, so that steps may depend on the model's outputs.
        name: name of the run (its recipe's fingerprint), for its saved state and its weights.
        job: gives `scratch` for the state and `folder` for `losses.jsonl`, which grows by a line a step; takes reports of
            progress.
        at: steps at which to call `visit`; 0 is before training.
        visit: called at the steps `at`, in order. After a kill, the last call may be repeated; earlier calls are not, so
            `visit` must keep its results in `job.scratch`.

    Returns:
        the trained model in evaluation mode, with its adapter if `run` has an adapter.

    Raises:
        ConfigError: a step in `at` lies beyond the last step, the objective's teacher does not fit the model, or the run is
            named after the numerics of another machine.
        TrainingError: the first step has no token to train, or the loss is not a number. No state is left.
        Stopped: the user asked to stop; the state is saved.
    """
    if is_far(model):
        from cavesson.training.tinker import RunThere

        return RunThere(run, model, steps, name, job).go(frozenset(at), visit)
    if model.device.type == "cpu":
        keep_freed_memory()
    try:
        with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
            return Run(run, model, steps, name, job).go(frozenset(at), visit)
    finally:
        if model.device.type == "cpu":
            give_back()


def _learnt_from(run: OnData, examples: Sequence[Example], job: Job) -> Sequence[Example]:
    """The examples whose answers are whole, or with `keep_unfinished` at least cut; notes how many others there are."""
    if getattr(examples, "whole", False):  # millions of documents, each written when it is read: nobody has to look
        return examples
    usable = ("", "cut") if run.keep_unfinished else ("",)
    kept = [index for index, example in enumerate(examples) if example.fault in usable]
    left_out = len(examples) - len(kept)
    if not kept:
        raise TrainingError(
            f"None of the data's {left_out:,} answers is a whole answer (`finished` is false).",
            "Take other data, or train on cut answers too (keep_unfinished: true).",
        )
    if not left_out:
        return examples
    (job.folder / COUNTS).write_text(json.dumps({LEFT_OUT: left_out}), encoding="utf-8")
    return [examples[index] for index in kept]


class FromExamples:
    """Steps cut from a data set."""

    def __init__(self, run: OnData, model: Model, examples: Sequence[Example]) -> None:
        self.run = run
        self.stream = Stream(
            examples,
            model,
            seed=run.seed,
            max_length=run.max_length,
            prompt_weight=run.prompt_weight,
            first_tokens=run.first_tokens,
            reasoning_weight=run.reasoning_weight,
            pairs=run.objective.pairs,
        )

    def count(self) -> int:
        """The run's number of steps, or the steps of one epoch if the run has no number."""
        if self.run.steps is not None:
            return self.run.steps
        if not self.run.packing:
            return math.ceil(len(self.stream.examples) / (self.run.batch_size * self.run.accumulate))
        return sum(1 for _ in self.after(0))

    def after(self, cursor: int) -> Iterator[Step]:
        run = self.run
        return steps_of(
            self.stream,
            batch_size=run.batch_size,
            tokens_per_batch=run.tokens_per_batch if run.packing else None,
            accumulate=run.accumulate,
            cursor=cursor,
            end=len(self.stream.examples) if run.steps is None else None,
        )


class Run(Loop):
    """A run whose steps this process computes: its network and optimizer."""

    def __init__(
        self, run: Hyperparameters, model: Model, steps: Callable[[Model], Steps], name: str, job: Job
    ) -> None:
        numerics.check_here(run.precision, "this model")
        precision = numerics.precision_of(run.precision)
        self.product_type = torch.bfloat16 if precision == "bf16" else None
        super().__init__(run, trainable(model, run, precision), steps, name, job)
        self.net: nn.Module = self.model.net
        self.whole_net = self.ranks.divide(self.net)
        self.optimizer = optimizer_for(
            self.net, run.optimizer, lr=run.lr, weight_decay=run.weight_decay, betas=run.betas
        )
        self.weights = {name: weight for name, weight in self.net.named_parameters() if weight.requires_grad}
        self.base = Reference(self.net, self.weights) if run.objective.needs_base else None
        self.teacher = None if run.objective.teacher is None else _frozen(run.objective.teacher, self.model, job)
        if self.teacher is not None:
            self.ranks.divide(self.teacher)
            self.teacher.to(self.model.device)
        self.saver = Saver(job.scratch, name, self.weights, self.optimizer, writes=self.ranks.rank == 0)
        self.resume(self.saver.restore())

    def trained(self) -> Model:
        self.net.eval()
        _switch_weights(self.optimizer, training=False)
        trained = self._keyed_model()
        if self.ranks.rank > 0:
            raise Leave
        return trained

    def advance(self, todo: Iterator[Step], until: int) -> None:
        """Train up to a step. The hooks that make training fast are removed from the network afterwards."""
        self.net.train()
        models = forwards(self.net, self.base, self.teacher, self.product_type)
        with models as (forward, flat), self.saved_when_stopped():
            for step in islice(todo, until - self.progress.step):
                number, lr = self.progress.step, self.lr
                self.check_rows(step)
                _seed(self.model.device, _step_seed(self.run.seed, number))  # dropout depends on seed and step alone
                total = torch.zeros(())
                for rows in step.micro_batches:
                    for piece, factor in self._parts(rows, step, flat):
                        total += self._backward(forward(piece), step, factor)
                loss = self.ranks.total(total)
                norm = nn.utils.clip_grad_norm_(self.weights.values(), self.run.clip or math.inf, foreach=True)
                self.check_numbers(loss, whole(norm).item(), lr)
                for group in self.optimizer.param_groups:
                    group["lr"] = lr
                self.optimizer.step()
                self.optimizer.zero_grad()
                self.note(step, loss, lr)
                if self.saver.is_due():
                    self.saver.save(self.progress)

    def _parts(self, rows: list[Row], step: Step, flat: bool) -> list[Part]:
        """What this process computes of a micro-batch, piece by piece."""
        pairs = self.run.objective.pairs
        mine, factor = self.ranks.rows(rows, pairs)
        batch = Batch.of(mine, self.model.device, total_weight=max(step.total_weight, 1e-8))
        return self.ranks.parts(pieces(batch, flat, together=pairs), factor, batch)

    def _backward(self, said: Forward, step: Step, factor: float) -> torch.Tensor:
        """Add the gradient of one piece of a step; returns its loss, a scalar on the CPU."""
        loss = self.run.objective(said, said.batch)
        if factor != 1:
            loss = factor * loss
        self.ranks.backward(loss)
        if step.watch is not None:
            step.watch(said)
        return loss.detach().cpu()

    def visited(self, visit: Visit | None) -> None:
        assert visit is not None
        self.net.eval()
        _switch_weights(self.optimizer, training=False)
        reached = self._keyed_model()
        self.ranks.first(lambda: visit(self.progress.step, reached))
        if self.whole_net is not None and self.whole_net is not self.net:
            self.whole_net.to("cpu")
        _switch_weights(self.optimizer, training=True)

    def _keyed_model(self) -> Model:
        """The model, with the name of its present weights; on ranks above 0 a model that nobody uses."""
        net = self.ranks.gather(self.net, self.whole_net)
        if net is None:
            return self.model
        net = net.to(self.model.device).eval()
        if self.progress.step and not _answers(net):
            self.fail(
                f"After step {self.progress.step} (lr {self.run.lr:.3g}) the model computes no numbers any more: the training "
                "ruined its weights.",
                TOO_HIGH,
            )
        return replace(self.model, net=net, key=key_at(self.name, self.progress.step))


@torch.no_grad()
def _answers(net: nn.Module) -> bool:
    """Whether the network computes numbers: the loss of a step says nothing of the weights that this step leaves."""
    tokens = torch.arange(2, device=next(net.parameters()).device)[None]
    return bool(net(input_ids=tokens, use_cache=False).logits.isfinite().all())


def _frozen(recipe: ModelRecipe, student: Model, job: Job) -> nn.Module:
    """The teacher's network; errors as of `teacher_of`."""
    net: nn.Module = teacher_of(recipe, student, job).net
    return net.requires_grad_(False).eval()


def trainable(model: Model, run: Hyperparameters, precision: str) -> Model:
    """The model with trainable weights in fp32: all weights, a fresh adapter, or the model's own adapter."""
    if run.adapter is not None:
        model = continued(model) if run.adapter == "continued" else attach(model, run.adapter, run.seed)
        if precision == "fp32":
            model.net.float()
        return model
    model = merged(model)
    model.net.float().requires_grad_(True)
    return model


def _step_seed(seed: int, step: int) -> int:
    return (seed * 1_000_003 + step) % 2**63


def _seed(device: torch.device, seed: int) -> None:
    """Seed what draws on a device. `torch.manual_seed` notes seeds of absent devices too, for good: three call stacks a step."""
    (torch.default_generator if device.type == "cpu" else torch).manual_seed(seed)


def _switch_weights(optimizer: torch.optim.Optimizer, training: bool) -> None:
    """Switch between the two sets of weights of a schedule-free optimizer: one set to train, one to use."""
    switch = getattr(optimizer, "train" if training else "eval", None)
    if switch is not None:
        switch()
