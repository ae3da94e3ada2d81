"""Model recipes that need no training: a Hugging Face model, and views of other models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bridle.lab.recipe import PathOf, Recipe, Value

if TYPE_CHECKING:
    from bridle.models.loading import Model


class ModelRecipe(Recipe):
    """What a model is made from. `load` opens it for training, sampling and scoring."""

    def load(self, path_of: PathOf) -> Model:
        """The model in memory: weights, tokenizer, renderer and the system prompt it runs under."""
        raise NotImplementedError


class LoRA(Value):
    """A low-rank adapter (Hu et al. 2021): each adapted weight gets `B A * alpha / rank` added, B starting at zero.

    Attributes:
        rank: the inner dimension of the two factors.
        alpha: the scale's numerator; `None` stands for `2 * rank`.
        dropout: on the adapter's input, while training.
        targets: "all-linear" (every linear layer but the output head), or names of modules.
    """

    rank: int = Field(default=8, ge=1)
    alpha: float | None = Field(default=None, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: str | tuple[str, ...] = "all-linear"

    @property
    def scale(self) -> float:
        """`alpha`, with its default filled in."""
        return 2.0 * self.rank if self.alpha is None else self.alpha
