"""Model recipes that need no training: a Hugging Face model, and views of other models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridle.lab.recipe import PathOf, Recipe

if TYPE_CHECKING:
    from bridle.models.loading import Model


class ModelRecipe(Recipe):
    """What a model is made from. `load` opens it for training, sampling and scoring."""

    def load(self, path_of: PathOf) -> Model:
        """The model in memory: weights, tokenizer, renderer and the system prompt it runs under."""
        raise NotImplementedError
