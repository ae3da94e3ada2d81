"""A dose: how hard to train, apart from what on."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from cavesson.data.recipes import DataRecipe
from cavesson.models.recipes import ModelRecipe
from cavesson.training.hyper import OnData
from cavesson.training.recipes import Trained


class Dose(OnData):
    """Hyper-parameters of one training run of either team, of any length but one epoch."""

    steps: int = Field(ge=1)

    def train(self, base: ModelRecipe, data: DataRecipe, **changes: Any) -> Trained:
        """The recipe of `base` trained on `data` with this dose, or with a few of its settings changed."""
        settings = {name: getattr(self, name) for name in type(self).model_fields}
        return Trained(base=base, data=data, **{**settings, **changes})
