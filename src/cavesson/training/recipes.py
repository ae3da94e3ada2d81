"""Recipes for trained models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError
from cavesson.lab.effort import Effort
from cavesson.lab.recipe import Job, PathOf
from cavesson.models.recipes import ModelRecipe
from cavesson.training.hyper import Hyperparameters, OnData
from cavesson.training.tinker_rules import check_place

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.training.loop import Visit


class Training(ModelRecipe, Hyperparameters):
    """A model that is made from another model by gradient steps; subclasses say what the steps train on.

    Attributes:
        base: the model at the start.
        checkpoints: steps whose weights are kept; the weights of the last step are always kept.
    """

    base: ModelRecipe
    checkpoints: tuple[int, ...] = ()

    @field_validator("checkpoints")
    @classmethod
    def _in_order(cls, checkpoints: tuple[int, ...]) -> tuple[int, ...]:
        if any(step < 1 for step in checkpoints):
            raise ValueError("checkpoints are steps counted from 1")
        return tuple(sorted(set(checkpoints)))

    @model_validator(mode="after")
    def _on_one_device(self) -> Self:
        for model in filter(None, (self.base, self.objective.teacher)):
            root = root_of(model)
            if placed := getattr(root, "device_map", ""):
                raise ConfigError(
                    f"The model {root.describe()!r} is placed by device_map={placed}, and is part of a training.",
                    "Leave device_map out, which is for models that only answer; `processes` shares a training among GPUs.",
                )
        return self

    @model_validator(mode="after")
    def _checkpoints_within_steps(self) -> Self:
        if self.steps is not None and self.checkpoints and self.checkpoints[-1] > self.steps:
            raise ValueError(f"checkpoint {self.checkpoints[-1]} lies beyond the last step, {self.steps}")
        return self

    @model_validator(mode="after")
    def _possible_where_the_weights_are(self) -> Self:
        check_place(self.base, self)
        return self

    def identity(self) -> dict[str, Any]:
        """At a service, where the precision is not ours to say, the precision names nothing."""
        fields = super().identity()
        return {key: value for key, value in fields.items() if key != "precision"} if self.far else fields

    @property
    def numerics(self) -> str | None:
        return None if self.far else self.precision

    @property
    def ranks(self) -> int:
        return self.processes

    @property
    def resting_on(self) -> ModelRecipe | None:
        if self.adapter is None or (self.adapter != "continued" and self.base.has_adapter):
            return None  # other weights, or an adapter on a base into which the earlier adapter is merged
        return self.base

    @property
    def has_adapter(self) -> bool:
        return self.adapter is not None

    @property
    def usual_room(self) -> int:
        return self.base.usual_room

    def check(self) -> None:
        """Refuse what can be seen to be impossible before anything is made.

        Raises:
            ConfigError: the training cannot be done.
        """

    def tokens_at_once(self, usual: int) -> int:
        """Number of tokens in one forward and backward pass, if conversations are about `usual` tokens long."""
        raise NotImplementedError

    def effort(self) -> Effort:
        return self.effort_of(self.steps or self.steps_of_epoch)

    def effort_of(self, steps: int) -> Effort:
        """The work of so many steps; an adapter's weights need no gradients of their own, which saves a third."""
        tokens = steps * self.accumulated * self.tokens_at_once(self.base.usual_room // 2)
        saved = 1.0 if self.adapter is None else 0.7
        return Effort(self.base.weights, trained=saved * tokens, steps=steps if self.adapter is None else 0.3 * steps)

    @property
    def accumulated(self) -> int:
        """Forward and backward passes in a step."""
        return 1

    @property
    def steps_of_epoch(self) -> int:
        """Steps of a run that has no number of steps, roughly."""
        return 1

    def train(self, model: Model, job: Job, at: Collection[int] = (), visit: Visit | None = None) -> Model:
        """Train `model`, the loaded base; arguments and errors are those of `cavesson.training.engine.optimise`."""
        raise NotImplementedError

    def at(self, step: int) -> Checkpoint | Self:
        """The model after `step` steps; for the last step, this recipe itself.

        Raises:
            ValueError: the weights of that step are not kept.
        """
        return self if step == self.steps else Checkpoint(run=self, step=step)

    def key_at(self, step: int) -> str:
        """The name of the weights after `step` steps, in memory or in the store."""
        from cavesson.training.loop import key_at

        return key_at(self.fingerprint, step)

    def make(self, job: Job) -> None:
        """Train, and write `final/`, `step-…/` for each checkpoint, `losses.jsonl` and `run.json`."""
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
        facts = {"steps": last, "system": trained.system}
        (job.folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")

    def load(self, path_of: PathOf) -> Model:
        return self.load_step(path_of, None)

    def load_step(self, path_of: PathOf, step: int | None) -> Model:
        """The model after `step` steps (None: after all steps), from the finished artifact."""
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

        shutil.rmtree(folder, ignore_errors=True)  # a killed run may have left it half-written
        folder.mkdir(parents=True)
        (save_folder if self.adapter is None else save_adapter)(model, folder)

    def _manner(self) -> str:
        """Optimizer and adapter in a few words."""
        if self.adapter is None:
            return self.optimizer
        return f"{self.optimizer}, " + (
            "its LoRA continued" if self.adapter == "continued" else f"LoRA r{self.adapter.rank}"
        )


class Trained(Training, OnData):
    """A model trained on the answers in conversations.

    Attributes:
        data: the conversations.
    """

    kind: ClassVar[str] = "trained"
    version: ClassVar[int] = 2  # 2: answers that are not whole are left out
    stage: ClassVar[str] = "training"

    data: DataRecipe

    @field_validator("data")
    @classmethod
    def _with_unfinished(cls, data: DataRecipe, info: ValidationInfo) -> DataRecipe:
        return data.with_unfinished() if info.data.get("keep_unfinished") else data

    def tokens_at_once(self, usual: int) -> int:
        if self.packing:
            return self.tokens_per_batch
        return self.batch_size * min(self.max_length or usual, usual) * (2 if self.objective.pairs else 1)

    @property
    def accumulated(self) -> int:
        return self.accumulate

    @property
    def steps_of_epoch(self) -> int:
        return max(self.data.rough_size // (self.batch_size * self.accumulate), 1)

    def train(self, model: Model, job: Job, at: Collection[int] = (), visit: Visit | None = None) -> Model:
        from cavesson.training.engine import train

        return train(self, model, self.data.examples(job.path), name=self.fingerprint, job=job, at=at, visit=visit)

    def describe(self) -> str:
        first = [] if self.first_tokens is None else [f"first {self.first_tokens} tokens"]
        how = ", ".join([self._manner(), *self.objective.details(), *first])
        length = "one epoch" if self.steps is None else f"{self.steps} steps"
        return f"{self.objective.title} lr {self.lr:g} on {self.data.describe()}, {how}, {length}, seed {self.seed}"


class Checkpoint(ModelRecipe):
    """A trained model after some of its steps."""

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

    @property
    def resting_on(self) -> ModelRecipe | None:
        return self.run.resting_on

    @property
    def has_adapter(self) -> bool:
        return self.run.has_adapter

    @property
    def far(self) -> bool:
        return self.run.far

    def load(self, path_of: PathOf) -> Model:
        return self.run.load_step(path_of, self.step)

    def describe(self) -> str:
        return f"step {self.step} of: {self.run.describe()}"


def root_of(model: ModelRecipe) -> ModelRecipe:
    """The model at the start of a chain of trainings and other changes."""
    while isinstance(base := getattr(model, "base", None), ModelRecipe):
        model = base
    return model


def _folder_of(step: int) -> str:
    return f"step-{step:05d}"
