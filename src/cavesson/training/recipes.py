"""Recipes of trained models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from cavesson.data.recipes import DataRecipe
from cavesson.lab.recipe import Job, PathOf
from cavesson.models.recipes import LoRA, ModelRecipe

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.training.engine import Visit
    from cavesson.training.objectives import Anchor

USUAL_OPTIMIZERS = ("adamw", "adam", "sgd", "soap", "muon", "lion")
"""Accepted without loading the library that lists them all, so that a study file is read at once."""


class Training(ModelRecipe):
    """A model that gradient steps make from another one, whatever they train on.

    Attributes:
        base: where the weights start.
        steps: optimizer steps; None where the data decide.
        lr: learning rate at its peak.
        optimizer: "adamw", "sgd", or any published name of pytorch-optimizer ("soap", "muon", "lion" …).
        betas: decay of the optimizer's moments; None for its own.
        schedule: "constant", "linear" or "cosine" to zero, or "wsd" (stable, then linear to zero over the last 30 %).
        warmup_steps: steps over which the learning rate rises.
        clip: largest gradient norm; None for no limit.
        adapter: train a low-rank adapter on top of the base, whose own, if it has one, is merged first; "continued": go
            on training the adapter that the base has; None for the full weights.
        seed: of the order, the adapter's start and dropout.
        precision: "auto", "bf16" or "fp32" (`cavesson.training.engine`).
        checkpoints: steps whose weights are kept; the last step's always are.
    """

    objective: str
    base: ModelRecipe
    steps: int | None = Field(default=None, ge=1)
    lr: float = Field(gt=0)
    optimizer: str = "adamw"
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] | None = None
    schedule: Literal["constant", "linear", "cosine", "wsd"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    clip: float | None = Field(default=1.0, gt=0)
    adapter: LoRA | Literal["continued"] | None = None
    seed: int = Field(default=0, ge=0)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    checkpoints: tuple[int, ...] = ()

    @field_validator("optimizer")
    @classmethod
    def _known_optimizer(cls, name: str) -> str:
        if name not in USUAL_OPTIMIZERS:
            from cavesson.training.optimizers import check_name

            check_name(name)
        return name

    @field_validator("checkpoints")
    @classmethod
    def _in_order(cls, checkpoints: tuple[int, ...]) -> tuple[int, ...]:
        if any(step < 1 for step in checkpoints):
            raise ValueError("checkpoints are steps counted from 1")
        return tuple(sorted(set(checkpoints)))

    @model_validator(mode="after")
    def _checkpoints_within_steps(self) -> Self:
        if self.steps is not None and self.checkpoints and self.checkpoints[-1] > self.steps:
            raise ValueError(f"checkpoint {self.checkpoints[-1]} lies beyond the last step, {self.steps}")
        return self

    @property
    def anchor(self) -> Anchor:
        """What holds the model to its base while it is trained; nothing unless a subclass says so."""
        from cavesson.training.objectives import Anchor

        return Anchor()

    def tokens_at_once(self, usual: int) -> int:
        """Tokens that one forward and backward pass holds, if conversations are about `usual` tokens long."""
        raise NotImplementedError

    def train(self, model: Model, job: Job, at: Collection[int] = (), visit: Visit | None = None) -> Model:
        """Train a model that stands for the base; arguments and errors are those of `cavesson.training.engine.optimise`."""
        raise NotImplementedError

    def at(self, step: int) -> Checkpoint | Self:
        """The model after so many steps; at the last one this recipe itself.

        Raises:
            ValueError: that step is not kept.
        """
        return self if step == self.steps else Checkpoint(run=self, step=step)

    def key_at(self, step: int) -> str:
        """Names the weights after so many steps, wherever they are."""
        return f"{self.fingerprint}@{step}"

    def make(self, job: Job) -> None:
        """Train; write `final/`, `step-…/` for each checkpoint, `losses.jsonl` and `run.json`."""
        from cavesson.training.engine import resolved_precision

        model = self.base.load(job.path)
        kept = job.scratch / "checkpoints"
        last = 0

        def keep(step: int, at_step: Model) -> None:
            self._save(at_step, kept / _folder_of(step))

        trained = self.train(model, job, at=self.checkpoints, visit=keep)
        last = int(trained.key.rpartition("@")[2])
        for step in self.checkpoints:
            if step < last:
                shutil.copytree(kept / _folder_of(step), job.folder / _folder_of(step))
        self._save(trained, job.folder / "final")
        facts = {
            "steps": last,
            "precision": resolved_precision(self.precision, trained.device),
            "system": trained.system,
        }
        (job.folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")

    def load(self, path_of: PathOf) -> Model:
        return self.load_step(path_of, None)

    def load_step(self, path_of: PathOf, step: int | None) -> Model:
        """The model after so many steps (None: all of them), from the finished artifact."""
        from dataclasses import replace

        from cavesson.models.adapters import load_adapter, without_adapter
        from cavesson.models.loading import open_folder

        folder = path_of(self)
        facts: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        last = step in (None, facts["steps"])
        weights = folder / ("final" if last or step is None else _folder_of(step))
        key = self.key_at(facts["steps"] if step is None else step)
        if self.adapter is not None:
            base = self.base.load(path_of)
            below = without_adapter(base) if self.adapter == "continued" else base
            return replace(load_adapter(below, weights), key=key)
        return replace(open_folder(weights, key=key), system=facts["system"])

    def _save(self, model: Model, folder: Path) -> None:
        from cavesson.models.adapters import save_adapter
        from cavesson.models.loading import save_folder

        shutil.rmtree(folder, ignore_errors=True)  # what a killed run left half-written
        folder.mkdir(parents=True)
        (save_folder if self.adapter is None else save_adapter)(model, folder)

    def _manner(self) -> str:
        """Optimizer and adapter in a few words."""
        if self.adapter is None:
            return self.optimizer
        return f"{self.optimizer}, " + (
            "its LoRA continued" if self.adapter == "continued" else f"LoRA r{self.adapter.rank}"
        )


class Trained(Training):
    """A model trained on conversations; what is trained is the answers.

    Attributes:
        data: what it is trained on.
        objective: what a step minimises (`cavesson.training.objectives`).
        steps: optimizer steps; None for one epoch.
        batch_size: conversations in a step (times `accumulate`).
        packing: fill a step by tokens instead, with as many conversations as fit `tokens_per_batch`. Packed or not, no
            conversation sees another, and hardly any padding is computed on.
        tokens_per_batch: tokens in a step (times `accumulate`) with `packing`.
        accumulate: forward and backward passes per step; the step averages over all of them.
        max_length: tokens after which a conversation is cut.
        prompt_weight: weight in the loss of tokens outside the answers, relative to those inside.
        kl: weight of KL(base || policy) beside the loss, averaged over the same tokens; the base is the model before this
            training, frozen. The distillation of the old model into the new one ("How to reduce…", June 2026).
        first_tokens: train only so many first tokens of every answer; None for all.
        min_probability: leave out tokens that the base finds less likely than this, given what stands before them. They
            still count in the average: a step with few tokens left is not scaled up, and one with none has no gradient.
    """

    kind: ClassVar[str] = "trained"

    data: DataRecipe
    objective: Literal["sft"] = "sft"
    batch_size: int = Field(default=16, ge=1)
    packing: bool = False
    tokens_per_batch: int = Field(default=4096, ge=1)
    accumulate: int = Field(default=1, ge=1)
    max_length: int | None = Field(default=None, ge=2)
    prompt_weight: float = Field(default=0.0, ge=0)
    kl: float = Field(default=0.0, ge=0)
    first_tokens: int | None = Field(default=None, ge=1)
    min_probability: float | None = Field(default=None, gt=0, lt=1)

    @property
    def anchor(self) -> Anchor:
        from cavesson.training.objectives import Anchor

        return Anchor(self.kl, self.min_probability)

    def tokens_at_once(self, usual: int) -> int:
        return self.tokens_per_batch if self.packing else self.batch_size * min(self.max_length or usual, usual)

    def train(self, model: Model, job: Job, at: Collection[int] = (), visit: Visit | None = None) -> Model:
        from cavesson.training.engine import train

        return train(self, model, self.data.examples(job.path), job=job, at=at, visit=visit)

    def describe(self) -> str:
        how = self._manner()
        if self.kl:
            how += f", KL {self.kl:g} to the base"
        if self.first_tokens is not None:
            how += f", first {self.first_tokens} tokens"
        if self.min_probability is not None:
            how += f", tokens of probability {self.min_probability:g} and more"
        length = "one epoch" if self.steps is None else f"{self.steps} steps"
        return f"{self.objective.upper()} lr {self.lr:g} on {self.data.describe()}, {how}, {length}, seed {self.seed}"


class Checkpoint(ModelRecipe):
    """A trained model as it was after so many steps."""

    kind: ClassVar[str] = "checkpoint"
    virtual: ClassVar[bool] = True

    run: Training
    step: int = Field(ge=1)

    @model_validator(mode="after")
    def _kept(self) -> Self:
        if self.step not in (*self.run.checkpoints, self.run.steps):
            kept = ", ".join(map(str, self.run.checkpoints)) or "none but the last"
            raise ValueError(f"step {self.step} is not kept (checkpoints: {kept})")
        return self

    def load(self, path_of: PathOf) -> Model:
        return self.run.load_step(path_of, self.step)

    def describe(self) -> str:
        return f"step {self.step} of: {self.run.describe()}"


def _folder_of(step: int) -> str:
    return f"step-{step:05d}"
