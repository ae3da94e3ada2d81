"""A dose: the hyper-parameters of one training run, without model and data."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from cavesson.data.recipes import DataRecipe
from cavesson.models.recipes import ModelRecipe
from cavesson.training.hyper import OnData
from cavesson.training.recipes import Trained


class Dose(OnData):
    """Hyper-parameters of one training run of either team. The number of steps must be given."""

    steps: int = Field(ge=1)

    def train(self, base: ModelRecipe, data: DataRecipe, **changes: Any) -> Trained:
        """The recipe of `base` trained on `data` with this dose; `changes` replace some of its settings."""
        settings = {name: getattr(self, name) for name in type(self).model_fields}
        return Trained(base=base, data=data, **{**settings, **changes})
