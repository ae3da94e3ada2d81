"""Training and mixing with a model's starting point in view: interpolation, KL to the base, which tokens are trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bridle.errors import ConfigError
from bridle.lab.recipe import PathOf, Recipe
from bridle.models.loading import Model
from bridle.models.recipes import Interpolated, ModelRecipe
from training_world import Untrained, llama


class Wider(ModelRecipe):
    """An untrained model of another shape."""

    kind = "test_reference:Wider"
    virtual = True

    def load(self, path_of: PathOf) -> Model:
        return llama(intermediate_size=64)


def no_inputs(recipe: Recipe) -> Path:
    raise AssertionError("untrained models have no inputs")


def weights(model: Model) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.net.named_parameters()}


def same(one: Model, other: Model) -> bool:
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_an_interpolated_model_lies_on_the_line_between_two(share: float) -> None:
    here, there = Untrained(seed=0), Untrained(seed=1)
    recipe = Interpolated(base=here, toward=there, share=share)
    mixed = recipe.load(no_inputs)
    assert mixed.key == recipe.fingerprint
    start, end = weights(llama(0)), weights(llama(1))
    for name, weight in weights(mixed).items():
        torch.testing.assert_close(weight, start[name] + share * (end[name] - start[name]))
    assert share not in (0.0, 1.0) or same(mixed, llama(int(share)))


def test_models_of_other_shapes_are_not_interpolated() -> None:
    with pytest.raises(ConfigError, match=r"down_proj.weight' is 32 x 48 in one and 32 x 64 in the other"):
        Interpolated(base=Untrained(), toward=Wider(), share=0.5).load(no_inputs)
