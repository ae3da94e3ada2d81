"""Hyper-parameters: how to train, apart from what on. Doses, recipes of training and phases of studies share them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from cavesson.lab.recipe import Value
from cavesson.models.recipes import LoRA
from cavesson.training.objectives import Anchored, AnyObjective, PolicyGradient, Sft, Supported
from cavesson.training.optimizers import check_name


def _kind_of_adapter(value: Any) -> str:
    return "continued" if isinstance(value, str) else "fresh"


Adapter = Annotated[
    Annotated[LoRA, Tag("fresh")] | Annotated[Literal["continued"], Tag("continued")], Discriminator(_kind_of_adapter)
]
"""A fresh low-rank adapter, or "continued" for the adapter that the model has."""


class Regimen(Value):
    """How any training goes, apart from its learning rate and its seed.

    Attributes:
        objective: what a step minimises; its name alone stands for its usual settings (`cavesson.training.objectives`).
        steps: optimizer steps; None where the data decide.
        optimizer: "adamw", "sgd", or any published name of pytorch-optimizer ("soap", "muon", "lion" …).
        weight_decay: decay of matrices; vectors are spared.
        betas: decay of the optimizer's moments; None for its own.
        schedule: "constant", "linear" or "cosine" to zero, or "wsd" (stable, then linear to zero over the last 30 %).
        warmup_steps: steps over which the learning rate rises.
        clip: largest gradient norm; None for no limit.
        adapter: train a low-rank adapter on top of the base, whose own, if it has one, is merged first; "continued": go
            on training the adapter that the base has; None for the full weights.
        precision: "auto", "bf16" or "fp32" (`cavesson.training.engine`).
    """

    objective: AnyObjective = Sft()
    steps: int | None = Field(default=None, ge=1)
    optimizer: str = "adamw"
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] | None = None
    schedule: Literal["constant", "linear", "cosine", "wsd"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    clip: float | None = Field(default=1.0, gt=0)
    adapter: Adapter | None = None
    precision: Literal["auto", "bf16", "fp32"] = "auto"

    @field_validator("objective", mode="before")
    @classmethod
    def _by_name(cls, objective: Any) -> Any:
        return {"name": objective} if isinstance(objective, str) else objective

    @field_validator("optimizer")
    @classmethod
    def _known_optimizer(cls, name: str) -> str:
        check_name(name)
        return name


class Hyperparameters(Regimen):
    """How one training goes.

    Attributes:
        lr: learning rate at its peak.
        seed: of the order, the adapter's start and dropout.
    """

    lr: float = Field(gt=0)
    seed: int = Field(default=0, ge=0)


class DataRegimen(Regimen):
    """How a training on a data set goes, apart from its learning rate and its seed.

    Attributes:
        batch_size: examples in a step (times `accumulate`): conversations, or pairs of answers.
        packing: fill a step by tokens instead, with as many examples as fit `tokens_per_batch`. Packed or not, no
            conversation sees another, and hardly any padding is computed on.
        tokens_per_batch: tokens in a step (times `accumulate`) with `packing`.
        accumulate: forward and backward passes per step; the step averages over all of them.
        max_length: tokens after which a conversation is cut.
        prompt_weight: weight in the loss of tokens outside the answers, relative to those inside.
        first_tokens: train only so many first tokens of every answer; None for all.
    """

    batch_size: int = Field(default=16, ge=1)
    packing: bool = False
    tokens_per_batch: int = Field(default=4096, ge=1)
    accumulate: int = Field(default=1, ge=1)
    max_length: int | None = Field(default=None, ge=2)
    prompt_weight: float = Field(default=0.0, ge=0)
    first_tokens: int | None = Field(default=None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any) -> Any:
        """`kl=…` and `min_probability=…` stand for the objectives that have them (version 0.1 stored them so)."""
        if not isinstance(data, dict) or data.keys().isdisjoint(("kl", "min_probability")):
            return data
        rest = {key: value for key, value in data.items() if key not in ("kl", "min_probability")}
        given = {key: data[key] for key in ("kl", "min_probability") if data.get(key) not in (None, 0)}
        if rest.get("objective", "sft") not in ("sft", {"name": "sft"}, Sft()):
            raise ValueError("`kl` and `min_probability` go with plain sft; give `objective` with its settings instead")
        if not given:
            return rest
        return {**rest, "objective": {"name": "supported" if "min_probability" in given else "anchored", **given}}

    @model_validator(mode="after")
    def _learns_from_data(self) -> Self:
        if isinstance(self.objective, PolicyGradient):
            raise ValueError("policy_gradient learns from a policy's own answers, not from data: use `Reinforced`")
        return self

    def identity(self) -> dict[str, Any]:
        """The settings of the oldest objectives stand beside the others, as version 0.1 had them: stores stay valid."""
        chosen = super().identity()
        if isinstance(self.objective, Anchored | Supported):
            chosen |= self.objective.settings()
            del chosen["objective"]
        return chosen


class OnData(DataRegimen, Hyperparameters):
    """How one training on a data set goes."""
