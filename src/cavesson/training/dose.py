"""A dose: how hard to train, apart from what on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cavesson.data.recipes import DataRecipe
from cavesson.lab.recipe import Value
from cavesson.models.recipes import LoRA, ModelRecipe

if TYPE_CHECKING:
    from cavesson.training.recipes import Trained


class Dose(Value):
    """Hyper-parameters of one training run of either team.

    Attributes:
        lr: peak learning rate.
        steps: optimizer steps.
        batch_size: conversations a step.
        optimizer: `adamw`, `sgd` or any published name of pytorch-optimizer.
        weight_decay: its weight decay.
        adapter: a low-rank adapter, "continued" for the one that the model already has, or None for full-weight training.
        seed: decides data order and adapter initialisation.
        kl, first_tokens, min_probability: what holds the training back, if anything (see `Trained`).
    """

    lr: float = Field(gt=0)
    steps: int = Field(ge=1)
    batch_size: int = Field(default=16, ge=1)
    optimizer: str = "adamw"
    weight_decay: float = Field(default=0.0, ge=0)
    adapter: LoRA | Literal["continued"] | None = None
    seed: int = 0
    kl: float = Field(default=0.0, ge=0)
    first_tokens: int | None = Field(default=None, ge=1)
    min_probability: float | None = Field(default=None, gt=0, lt=1)

    def train(self, base: ModelRecipe, data: DataRecipe) -> Trained:
        """The recipe of `base` trained on `data` with this dose."""
        from cavesson.training.recipes import Trained

        return Trained(
            base=base,
            data=data,
            lr=self.lr,
            steps=self.steps,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            weight_decay=self.weight_decay,
            adapter=self.adapter,
            seed=self.seed,
            kl=self.kl,
            first_tokens=self.first_tokens,
            min_probability=self.min_probability,
        )
