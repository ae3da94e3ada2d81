"""The training loop: one for every objective, optimizer and adapter.

Precision "auto" multiplies in bf16 (autocast; weights and optimizer stay in fp32) where the machine has instructions for it,
and in fp32 elsewhere; `resolved_precision` says which, and the artifact records it. Name "bf16" or "fp32" in a recipe whose
numbers must not depend on the kind of machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from cavesson.errors import ConfigError, Stopped, TrainingError
from cavesson.lab.recipe import Job
from cavesson.lines import json_line
from cavesson.models.adapters import attach, continued
from cavesson.models.model import merged
from cavesson.training.batches import Batch, Step, Stream, steps_of
from cavesson.training.flat import LogitsOf, logits_of, pieces
from cavesson.training.objectives import OBJECTIVES, anchored, supported
from cavesson.training.optimizers import factor_at, optimizer_for
from cavesson.training.reference import Reference
from cavesson.training.resume import Progress, forget_state, load_state, save_state

if TYPE_CHECKING:
    from cavesson.data.example import Example
    from cavesson.models.model import Model
    from cavesson.training.recipes import Trained, Training

Visit = Callable[[int, "Model"], None]
"""`(steps done, model in evaluation mode)`: look at the model, save it, score it; leave its weights alone."""

SAVE_EVERY_SECONDS = 30.0
SAVING_SHARE = 0.05
"""Saving may take this share of the time: the larger the model, the rarer its states."""


class Steps(Protocol):
    """Where a run's optimizer steps come from."""

    def count(self) -> int:
        """How many there are."""
        ...

    def after(self, cursor: int) -> Iterator[Step]:
        """Those that are left once the order has come to `cursor`; each is asked for when the one before is done."""
        ...


def train(
    run: Trained,
    model: Model,
    examples: Sequence[Example],
    *,
    job: Job,
    at: Collection[int] = (),
    visit: Visit | None = None,
) -> Model:
    """Train `model` (in place) on examples, as `run` says: `optimise` with steps that are cut from data.

    Args:
        run: settings; its `base` and `data` are not read, `model` and `examples` stand for them.
        model: what to start from. Its system prompt goes before conversations that have none.
        examples: the data.

    Raises:
        TrainingError: no examples, nothing to train on in them, or a loss that is not a number. No state is left.
    """
    if not len(examples):
        raise TrainingError("The data set is empty.", "Check the data's filters and counts.")
    return optimise(run, model, lambda policy: _FromExamples(run, policy, examples), job=job, at=at, visit=visit)


def optimise(
    run: Training,
    model: Model,
    steps: Callable[[Model], Steps],
    *,
    job: Job,
    at: Collection[int] = (),
    visit: Visit | None = None,
) -> Model:
    """Train `model` (in place) as `run` says.

    The state is saved in `job.scratch` about every half minute, before every visit and when the user stops the run; a run
    that finds its state there goes on from it and ends with the same weights, bit for bit, as one that was never interrupted.

    Args:
        run: settings; its `base` is not read, `model` stands for it.
        model: what to start from.
        steps: makes the steps; it is given the model as it is trained, so that steps may depend on what it says.
        job: `scratch` for the state, `folder` for `losses.jsonl`, and where progress is reported.
        at: steps at which to call `visit`; 0 is before training.
        visit: called at those steps, in order. After a kill it may be called once more for the last of them, and it is not
            called again for earlier ones: keep what it makes in `job.scratch`.

    Returns:
        the trained model in evaluation mode, with its adapter if `run` has one.

    Raises:
        ConfigError: a visit lies beyond the last step.
        TrainingError: nothing to train on in the first step, or a loss that is not a number. No state is left.
        Stopped: the user asked to stop; the state is saved.
    """
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        return _Run(run, model, steps, job).go(frozenset(at), visit)


def resolved_precision(precision: str, device: torch.device) -> str:
    """ "bf16" or "fp32": what `precision` means on this machine."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if fast else "fp32"


class _FromExamples:
    """Steps cut from a data set."""

    def __init__(self, run: Trained, model: Model, examples: Sequence[Example]) -> None:
        self.run = run
        self.stream = Stream(
            examples,
            model,
            seed=run.seed,
            max_length=run.max_length,
            prompt_weight=run.prompt_weight,
            first_tokens=run.first_tokens,
        )

    def count(self) -> int:
        """As many as the run says; without a number, those of one epoch."""
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


class _Run:
    """One run of the loop: what it works with, and how far it has come."""

    def __init__(self, run: Training, model: Model, steps: Callable[[Model], Steps], job: Job) -> None:
        self.run, self.job = run, job
        self.precision = resolved_precision(run.precision, model.device)
        self.model = _prepared(model, run, self.precision)
        self.net: nn.Module = self.model.net
        self.source = steps(self.model)
        self.steps = self.source.count()
        self.optimizer = optimizer_for(
            self.net, run.optimizer, lr=run.lr, weight_decay=run.weight_decay, betas=run.betas
        )
        self.weights = {name: weight for name, weight in self.net.named_parameters() if weight.requires_grad}
        self.reference = Reference(self.net, self.weights) if run.anchor else None
        self.progress = load_state(job.scratch, run.fingerprint, self.weights, self.optimizer) or Progress(0, 0, [])
        self.saved_at, self.save_seconds = time.monotonic(), 0.0
        self.reported_at = self.saved_at

    def go(self, at: frozenset[int], visit: Visit | None) -> Model:
        """Run the steps that are left, with a pause for every visit."""
        visits = at if visit is not None else frozenset()
        if max(visits, default=0) > self.steps:
            raise ConfigError(f"Step {max(visits)} lies beyond the run's last, {self.steps}.", "Raise `steps`.")
        todo = self.source.after(self.progress.cursor)
        if self.progress.step in visits:
            self._visit(visit)
        for pause in sorted({step for step in visits if step > self.progress.step} | {self.steps}):
            self._advance(todo, pause)
            if pause in visits:
                self._save()
                self._visit(visit)
        self.net.eval()
        _settle(self.optimizer, training=False)
        _write_losses(self.progress.losses, self.job.folder)
        return self._named()

    def _advance(self, todo: Iterator[Step], until: int) -> None:
        """Train up to a step. Whatever makes training fast is taken off the network again afterwards."""
        self.net.train()
        with logits_of(self.net) as (logits, flat), self._saved_when_stopped():
            for step in islice(todo, until - self.progress.step):
                loss, lr = self._step(step, logits, flat)
                done = self.progress.step + 1
                self.progress.losses.append([done, loss, lr, step.tokens])
                self.progress = Progress(done, step.cursor, self.progress.losses)
                self._report(loss, lr, step.tokens)
                if self._saving_is_due():
                    self._save()

    @contextmanager
    def _saved_when_stopped(self) -> Iterator[None]:
        """A user's stop may come after a step, or while the next one is being made."""
        try:
            yield
        except Stopped:
            self._save()
            raise

    def _step(self, step: Step, logits: LogitsOf, flat: bool) -> tuple[float, float]:
        """One optimizer step: its loss per unit of weight, and its learning rate."""
        number = self.progress.step
        lr = self.run.lr * factor_at(self.run.schedule, number, self.steps, self.run.warmup_steps)
        total = step.total_weight
        if total == 0 and number == 0:
            self._fail(
                "Nothing in the first batch is trained: no answer is left in its conversations.",
                "Check the data and `max_length`.",
            )
        torch.manual_seed(_step_seed(self.run.seed, number))  # dropout depends on seed and step alone
        loss = torch.zeros(())
        for rows in step.micro_batches:
            batch = Batch.of(rows, self.model.device, total_weight=max(total, 1e-8))
            for piece in pieces(batch, flat):
                part = self._loss(piece, logits)
                part.backward()  # type: ignore[no-untyped-call]
                loss += part.detach().cpu()
        norm = nn.utils.clip_grad_norm_(self.weights.values(), self.run.clip or math.inf, foreach=True)
        if not math.isfinite(loss.item()) or not math.isfinite(norm.item()):
            self._fail(
                f"The loss or its gradient is not a number at step {number + 1} (loss {loss.item():.4g}, lr {lr:.3g}).",
                "Lower `lr`, add `warmup_steps`, or set `clip`.",
            )
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item(), lr

    def _loss(self, piece: Batch, logits: LogitsOf) -> Tensor:
        """What the piece adds to the step's loss."""
        weights_K, base_KV = piece.weights_K, None
        if self.reference is not None:
            with _autocast(self.precision, self.model.device):  # a context of its own: it keeps the weights it has cast
                base_KV = self.reference.logits(logits, piece)
        with _autocast(self.precision, self.model.device):
            logits_KV = logits(piece)
        if base_KV is not None and self.run.anchor.min_probability is not None:
            weights_K = weights_K * supported(base_KV, piece.targets_K, self.run.anchor.min_probability)
        if base_KV is not None and self.run.anchor.kl > 0:
            return anchored(logits_KV, piece.targets_K, weights_K, base_KV, self.run.anchor.kl)
        return OBJECTIVES[self.run.objective](logits_KV, piece.targets_K, weights_K)

    def _visit(self, visit: Visit | None) -> None:
        assert visit is not None
        self.net.eval()
        _settle(self.optimizer, training=False)
        visit(self.progress.step, self._named())
        _settle(self.optimizer, training=True)

    def _named(self) -> Model:
        return replace(self.model, key=self.run.key_at(self.progress.step))

    def _report(self, loss: float, lr: float, tokens: int) -> None:
        now = time.monotonic()
        rate, self.reported_at = tokens / max(now - self.reported_at, 1e-9), now
        self.job.progress(self.progress.step, self.steps, loss=loss, lr=lr, tok_per_s=round(rate))

    def _saving_is_due(self) -> bool:
        pause = max(SAVE_EVERY_SECONDS, self.save_seconds / SAVING_SHARE)
        return time.monotonic() - self.saved_at > pause

    def _save(self) -> None:
        start = time.monotonic()
        save_state(self.job.scratch, self.run.fingerprint, self.progress, self.weights, self.optimizer)
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - start

    def _fail(self, problem: str, remedy: str) -> None:
        forget_state(self.job.scratch)
        raise TrainingError(problem, remedy)


def _prepared(model: Model, run: Training, precision: str) -> Model:
    """The model with the weights that are to be trained in fp32: all of them, or those of an adapter, fresh or its own."""
    if run.adapter is not None:
        model = continued(model) if run.adapter == "continued" else attach(model, run.adapter, run.seed)
        if precision == "fp32":
            model.net.float()
        return model
    model = merged(model)
    model.net.float().requires_grad_(True)
    return model


def _autocast(precision: str, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _step_seed(seed: int, step: int) -> int:
    return (seed * 1_000_003 + step) % 2**63


def _settle(optimizer: torch.optim.Optimizer, training: bool) -> None:
    """Schedule-free optimizers keep two sets of weights; show the one to train or the one to use."""
    switch = getattr(optimizer, "train" if training else "eval", None)
    if switch is not None:
        switch()


def _write_losses(losses: list[list[float]], folder: Path) -> None:
    rows = ({"step": int(step), "loss": loss, "lr": lr, "tokens": int(tokens)} for step, loss, lr, tokens in losses)
    (folder / "losses.jsonl").write_text("".join(map(json_line, rows)), encoding="utf-8")
