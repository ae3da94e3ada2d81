"""Hyper-parameters of training, without model and data. Doses, training recipes and phases of studies share them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from cavesson.errors import ConfigError
from cavesson.lab import numerics
from cavesson.lab.recipe import Value
from cavesson.models.recipes import LoRA
from cavesson.training.objectives import AnyObjective, OnPolicy, Sft
from cavesson.training.optimizers import TORCH, check_name

LEFT_OUT = "examples left out"
"""What a manifest calls the number of examples that a training left out because their answers are not whole."""


def _kind_of_adapter(value: Any) -> str:
    return "continued" if isinstance(value, str) else "fresh"


Adapter = Annotated[
    Annotated[LoRA, Tag("fresh")] | Annotated[Literal["continued"], Tag("continued")], Discriminator(_kind_of_adapter)
]
"""The settings of a fresh low-rank adapter, or "continued" for the model's own adapter."""


class Regimen(Value):
    """Hyper-parameters of any training, without learning rate and seed.

    Attributes:
        objective: what a step minimises; a name alone means the objective with its defaults (`cavesson.training.objectives`).
        steps: optimizer steps; None: one epoch.
        optimizer: "adamw", "sgd", or any published name of pytorch-optimizer ("soap", "muon", "lion" …).
        weight_decay: decay of matrices; vectors do not decay.
        betas: decay of the optimizer's moments; None: the optimizer's defaults.
        schedule: "constant", "linear" or "cosine" to zero, "wsd" (stable, then linear to zero over the last 30 %), or "ramp"
            (rises geometrically by five powers of ten: the range test of Smith 2017, arXiv 1506.01186).
        warmup_steps: steps over which the learning rate rises; None: a tenth of all steps.
        clip: largest gradient norm; None: no limit.
        adapter: settings of a fresh low-rank adapter to train (an adapter of the base is merged first); "continued": train
            the adapter of the base further; None: train the full weights.
        precision: what products are computed in: "fp32", "bf16", or "auto" (fp32 on a CPU, bf16 on a GPU); or the full name of
            a machine's numerics ("fp32-avx512", `cavesson.lab.numerics`). A training has the full name, whatever was asked
            for, so that two machines do not share a name for different numbers.
        processes: processes of one machine, each with a GPU of its own where there are GPUs, that share the training: weights,
            gradients and optimizer are divided among them (torch's FSDP2), and so are the examples of every step. Sums in
            another order round otherwise: the losses are those of one process to about 1e-4, and not to the last bit.
    """

    objective: AnyObjective = Sft()
    steps: int | None = Field(default=None, ge=1)
    optimizer: str = "adamw"
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] | None = None
    schedule: Literal["constant", "linear", "cosine", "wsd", "ramp"] = "constant"
    warmup_steps: int | None = Field(default=0, ge=0)
    clip: float | None = Field(default=1.0, gt=0)
    adapter: Adapter | None = None
    precision: str = Field(default="auto", validate_default=True)
    processes: int = Field(default=1, ge=1)

    @field_validator("objective", mode="before")
    @classmethod
    def _by_name(cls, objective: Any) -> Any:
        return {"name": objective} if isinstance(objective, str) else objective

    @field_validator("optimizer")
    @classmethod
    def _known_optimizer(cls, name: str) -> str:
        check_name(name)
        return name

    @field_validator("precision")
    @classmethod
    def _known_precision(cls, precision: str) -> str:
        try:
            numerics.check_spelling(precision)
        except ConfigError as error:
            raise ValueError(error.sentences) from error
        return precision

    @model_validator(mode="after")
    def _can_be_shared(self) -> Self:
        if self.processes > 1 and self.optimizer not in TORCH:
            raise ValueError(f"several processes share {' and '.join(TORCH)} alone, not {self.optimizer}")
        return self


class Hyperparameters(Regimen):
    """Hyper-parameters of one training.

    Attributes:
        lr: learning rate at the schedule's peak.
        seed: seed of the data's order, of the fresh adapter and of dropout.
    """

    lr: float = Field(gt=0)
    seed: int = Field(default=0, ge=0)

    @field_validator("precision", mode="after")
    @classmethod
    def _named_numerics(cls, precision: str) -> str:
        return numerics.resolved(precision)


class DataRegimen(Regimen):
    """Hyper-parameters of a training on a data set, without learning rate and seed.

    Attributes:
        batch_size: examples in a step (times `accumulate`): conversations, or pairs of answers.
        packing: fill a step with as many examples as fit into `tokens_per_batch`. With and without packing, no conversation
            sees another, and hardly any padding is computed on.
        tokens_per_batch: tokens in a step (times `accumulate`) with `packing`.
        accumulate: forward and backward passes per step; the step averages over all of them.
        max_length: number of tokens after which a conversation is cut.
        prompt_weight: weight in the loss of tokens outside the answers, relative to tokens of the answers.
        first_tokens: number of tokens to train at the start of every answer; None: the whole answer.
        reasoning_weight: weight in the loss of an answer's reasoning (`<think>…</think>`, or what the template writes in its
            place), relative to the output behind it; 0: the loss is on the output alone.
        keep_unfinished: train on answers that were cut at the limit on tokens too, without an end of turn after them; otherwise
            such answers are left out.
    """

    batch_size: int = Field(default=16, ge=1)
    packing: bool = False
    tokens_per_batch: int = Field(default=4096, ge=1)
    accumulate: int = Field(default=1, ge=1)
    max_length: int | None = Field(default=None, ge=2)
    prompt_weight: float = Field(default=0.0, ge=0)
    first_tokens: int | None = Field(default=None, ge=1)
    reasoning_weight: float = Field(default=1.0, ge=0)
    keep_unfinished: bool = False

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any) -> Any:
        """Turn `kl=…` and `min_probability=…` into the objectives with these settings (version 0.1 stored them so)."""
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
        if isinstance(self.objective, OnPolicy):
            name = self.objective.name
            raise ValueError(f"{name} learns from a policy's own answers, not from data: use `Reinforced`")
        if self.keep_unfinished and self.objective.pairs:
            raise ValueError(f"keep_unfinished does not go with {self.objective.name}: a cut answer has no preference")
        return self


class OnData(DataRegimen, Hyperparameters):
    """Hyper-parameters of one training on a data set."""
