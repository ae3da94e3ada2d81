"""Trainings whose steps the Tinker service computes.

A step's rows go to the service as tokens with their weights, and one call computes the gradient, another takes the step of AdamW.
The plain losses are the service's own. Of the others the service tells the log-probabilities of some tokens, the objective is
computed here from them (all other tokens are one outcome), and its gradient goes back as weights of these log-probabilities.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cavesson.errors import CavessonError, ConfigError
from cavesson.lab.recipe import Job
from cavesson.models.far import Far
from cavesson.models.notes import note
from cavesson.training.batches import Batch, Row, Step
from cavesson.training.forward import Forward
from cavesson.training.hyper import Hyperparameters
from cavesson.training.loop import Loop, Steps, Visit, key_at, teacher_of
from cavesson.training.objectives import Cispo, Distil, Objective, PolicyGradient, Ppo, Reinforce, Sft
from cavesson.training.resume import SAVE_EVERY_SECONDS, SAVING_SHARE, Progress

if TYPE_CHECKING:
    from cavesson.models.model import Model

STATE = "tinker-state.json"

KEPT_SECONDS = 14 * 24 * 3600
"""How long the service keeps the state of a training under way."""

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""What torch's AdamW takes where nobody says otherwise; the service would take others."""

LEAST = 1e-12
"""Least probability of all tokens that the service does not tell."""


class RunThere(Loop):
    """A run whose steps the service computes. Arguments as of `Loop`; the model's weights lie at the service.

    Raises:
        ConfigError: the service refuses the adapter, or the teacher does not fit.
        CavessonError: the service cannot be reached.
    """

    def __init__(
        self, run: Hyperparameters, model: Model, steps: Callable[[Model], Steps], name: str, job: Job
    ) -> None:
        self.start = cast(Far, model.net)
        self.service = self.start.service
        self.net = Far(self.service, self.start.model, self.start.context)
        super().__init__(run, replace(model, net=cast(Any, self.net)), steps, name, job)
        teacher = run.objective.teacher
        self.teacher = None if teacher is None else cast(Far, teacher_of(teacher, self.model, job).net)
        self.saver: SaverThere = SaverThere(job.scratch, name, self.net)
        progress = self.saver.restore()
        if progress is None:
            self.net.trained_by(self.service.wait(self._begun()))
        self.resume(progress or Progress())

    def _begun(self) -> Any:
        """The service's client of a new training: of a fresh adapter, or of the one that the model has."""
        clients, lora = self.service.clients, self.run.adapter
        if self.start.state is not None:
            return clients.create_training_client_from_state(self.start.state)
        assert lora is not None and not isinstance(lora, str), "the rules have refused this"
        return clients.create_lora_training_client(
            base_model=self.start.model,
            rank=lora.rank,
            seed=self.run.seed,
            train_mlp=True,
            train_attn=True,
            train_unembed=False,
        )

    def advance(self, todo: Iterator[Step], until: int) -> None:
        with self.saved_when_stopped():
            for step in islice(todo, until - self.progress.step):
                lr = self.lr
                self.check_rows(step)
                loss = self._take(step, lr)
                self.check_numbers(loss, 0.0, lr)
                self.note(step, loss, lr)
                if self.saver.is_due():
                    self.saver.save(self.progress)

    def visited(self, visit: Visit | None) -> None:
        assert visit is not None
        visit(self.progress.step, self.trained())

    def trained(self) -> Model:
        return replace(self.model, key=key_at(self.name, self.progress.step))

    def _take(self, step: Step, lr: float) -> float:
        """Let the service take one step; returns the loss. Both requests are sent before the first is waited for."""
        rows = [row for rows in step.micro_batches for row in rows if len(row.ids) > 1]
        rows = rows or [Row(np.zeros(2, np.int32), np.zeros(2, np.float32), np.zeros(2, np.float32))]  # no gradient
        total = max(step.total_weight, 1e-8)
        gradient, client = self._gradient(rows, total), self.net.live
        taken = client.optim_step(self._adam(lr))
        try:
            said = self.service.wait(gradient)
        except CavessonError:
            taken.future().cancel()
            raise
        self.service.wait(taken)
        self.net.changed()
        if step.watch is not None and step.micro_batches:
            told = [one["logprobs"].to_torch() for one in said.loss_fn_outputs]
            step.watch(Forward(batch_of(rows, total), _outcomes_of(_chosen(rows, told))))
        return float(said.metrics["loss:sum"])

    def _adam(self, lr: float) -> Any:
        run = self.run
        beta1, beta2 = run.betas or BETAS
        return self.service.package.AdamParams(
            learning_rate=lr,
            beta1=beta1,
            beta2=beta2,
            eps=EPSILON,
            weight_decay=run.weight_decay,
            grad_clip_norm=run.clip or 0.0,
        )

    def _gradient(self, rows: list[Row], total: float) -> Any:
        """The request for the gradient of a step's rows."""
        objective, client = self.run.objective, self.net.live
        if (known := loss_there(objective)) is not None:
            name, settings = known
            weights = "weights" if name == "cross_entropy" else "advantages"
            data = [self._datum(row, row.ids[1:], **_inputs(row, total, weights)) for row in rows]
            return client.forward_backward(data, name, settings)
        batch, asked, others = self._what_it_takes(rows, total)

        def loss(_: Any, told: Sequence[Tensor]) -> tuple[Tensor, dict[str, float]]:
            return objective(Forward(batch, _outcomes_of(_chosen(rows, told)), **others), batch), {}

        if isinstance(objective, Distil):
            objective = objective.model_copy(update={"top_k": None})  # the teacher's likeliest are all that there are
        return client.forward_backward_custom(
            [self._datum(row, ids) for row, ids in zip(rows, asked, strict=True)], loss
        )

    def _what_it_takes(self, rows: list[Row], total: float) -> tuple[Batch, list[NDArray[np.int64]], dict[str, Any]]:
        """The batch, the tokens whose log-probabilities the loss takes, and the logits of another model over them."""
        batch, texts = batch_of(rows, total), [row.ids.tolist() for row in rows]
        objective = self.run.objective
        if isinstance(objective, Distil):
            assert self.teacher is not None and objective.top_k is not None
            found = self.teacher.likeliest(texts, objective.top_k)
            taught = _outcomes_of(_chosen(rows, [torch.from_numpy(one.logprobs[1:]) for one in found]))
            return batch, [one.ids[1:] for one in found], {"teacher": taught}
        before = [torch.tensor(row) for row in self.start.logprobs(texts)]
        return batch, [row.ids[1:].astype(np.int64) for row in rows], {"base": _outcomes_of(_chosen(rows, before))}

    def _datum(self, row: Row, targets: NDArray[Any], **inputs: NDArray[np.float32]) -> Any:
        """A row as the service takes it: the token at place `t` predicts `targets[t]`, the token at `t + 1`."""
        package = self.service.package
        arrays = {"target_tokens": targets.astype(np.int64), **inputs}
        wrapped = {name: package.TensorData.from_numpy(array) for name, array in arrays.items()}
        return package.Datum(model_input=self.service.tokens(row.ids[:-1].tolist()), loss_fn_inputs=wrapped)


def loss_there(objective: Objective) -> tuple[str, dict[str, float] | None] | None:
    """The service's name of an objective, and its settings there; None: the objective is computed here."""
    match objective:
        case Sft() | PolicyGradient():
            return "cross_entropy", None
        case Reinforce():
            return "importance_sampling", None
        case Ppo():
            bounds = {"clip_low_threshold": max(1 - objective.low, 0.0), "clip_high_threshold": 1 + objective.high}
            return "ppo", bounds
        case Cispo():
            return "cispo", {"clip_low_threshold": 0.0, "clip_high_threshold": objective.most}
    return None


def _inputs(row: Row, total: float, weights: str) -> dict[str, NDArray[np.float32]]:
    """What a plain loss takes of a row beside its tokens."""
    found = {weights: row.weights[1:] / np.float32(total)}
    if weights == "advantages":
        if row.logprobs is None:
            raise TypeError("An objective with importance weights needs rows with their sampler's log-probabilities.")
        found["logprobs"] = row.logprobs[1:]
    return found


def batch_of(rows: Sequence[Row], total: float) -> Batch:
    """The trained places of rows, one after the other, for an objective whose logits are over the outcomes that the service tells:
    the target is the first of them."""
    at = [np.flatnonzero(row.weights[1:]) for row in rows]
    weights = np.concatenate([row.weights[1:][places] for row, places in zip(rows, at, strict=True)])
    docs = np.repeat(np.arange(len(rows)), [len(places) for places in at])
    known = all(row.logprobs is not None for row in rows)
    sampled = [cast(Any, row.logprobs)[1:][places] for row, places in zip(rows, at, strict=True)] if known else []
    return Batch(
        ids_1N=torch.zeros(1, 0, dtype=torch.long),
        positions_1N=torch.zeros(1, 0, dtype=torch.long),
        rectangles=(),
        index_K=torch.from_numpy(np.concatenate(at)),
        targets_K=torch.zeros(len(weights), dtype=torch.long),
        weights_K=torch.from_numpy(weights / np.float32(total)),
        doc_K=torch.from_numpy(docs),
        docs=len(rows),
        unit=1 / total,
        sampled_K=torch.from_numpy(np.concatenate(sampled)) if known else None,
    )


def _chosen(rows: Sequence[Row], told: Sequence[Tensor]) -> Tensor:
    """The log-probabilities at the trained places of all rows, `[K, k]`; of each row are told `[T - 1]` or `[T - 1, k]`."""
    at = [torch.from_numpy(np.flatnonzero(row.weights[1:])) for row in rows]
    return torch.cat([one.reshape(len(one), -1)[places] for one, places in zip(told, at, strict=True)])


def _outcomes_of(logprobs_Kk: Tensor) -> Callable[[Batch], Tensor]:
    """What gives the logits `[K, k + 1]` of a batch: the log-probabilities that are told, and that of any other token."""
    told = logprobs_Kk.double()
    rest = -torch.expm1(told.logsumexp(-1, keepdim=True))
    logits = torch.cat([told, rest.clamp(min=LEAST).log()], dim=1)
    return lambda batch: logits


class SaverThere:
    """Keeps the state of one run at the service, and where it lies in a folder.

    Args:
        folder: the folder.
        run: name of the run; the state of another run is not restored.
        net: follows the run's weights.
    """

    def __init__(self, folder: Path, run: str, net: Far) -> None:
        self.file, self.run, self.net = folder / STATE, run, net
        self.saved_at, self.seconds = time.monotonic(), 0.0

    def restore(self) -> Progress | None:
        """Let the service go on from the saved state; None: there is none, or the service has it no longer."""
        if not self.file.is_file():
            return None
        told = json.loads(self.file.read_text(encoding="utf-8"))
        if told["run"] != self.run:
            return None
        clients = self.net.service.clients
        try:
            self.net.trained_by(
                self.net.service.wait(clients.create_training_client_from_state_with_optimizer(told["state"]))
            )
        except ConfigError as error:
            note(f"The training begins anew: its state cannot be restored. {error.problem}")
            return None
        return Progress(**told["progress"])

    def is_due(self) -> bool:
        """Whether it is time to save the state again; see `Saver`."""
        return time.monotonic() - self.saved_at > max(SAVE_EVERY_SECONDS, self.seconds / SAVING_SHARE)

    def save(self, progress: Progress) -> None:
        """Let the service keep the state for some days; an earlier one stays until its days are over."""
        start = time.monotonic()
        name = f"{self.run}-under-way-{progress.step}"
        saved = self.net.live.save_state(name, ttl_seconds=KEPT_SECONDS, overwrite=True)
        told = {"run": self.run, "state": self.net.service.wait(saved).path, "progress": asdict(progress)}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        aside = self.file.with_suffix(".new")
        aside.write_text(json.dumps(told), encoding="utf-8")
        aside.replace(self.file)
        self.saved_at = time.monotonic()
        self.seconds = self.saved_at - start

    def forget(self) -> None:
        """Let the run start anew next time."""
        self.file.unlink(missing_ok=True)
