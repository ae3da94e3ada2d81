"""Moves of the weights that are matched to a training run: the hypothesis that SFT does no more than noise would."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from cavesson.data.recipes import DataRecipe
from cavesson.lab.recipe import PathOf
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.perplexity import mean_loss

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from cavesson.models.model import Model

HALVINGS = 12
EXAMPLES = 128
FARTHEST = 64.0
"""A move that costs too little even at so many times its length is made no longer."""


class NoisedLike(ModelRecipe):
    """A model whose weights are moved as far as a run moved them, in another direction than the run's.

    Matched by `distance`, every tensor moves as far (Frobenius norm) as the run moved it. Matched by `loss`, those moves are
    scaled by one factor, until the loss on `data` stands where the run has brought it. Not every run has such a match: see
    `is_match`.

    Attributes:
        base: the model before.
        like: the model after the run.
        match: what is equal.
        data: answers on which the loss is taken; the first 128 are used.
        seed: of the random directions.
        shape: "gaussian" noise on every weight; or the "same-spectrum": each matrix is moved by one with the singular values
            of what the run added to it, and random singular vectors. Rank and distance are then the run's; only the
            direction is random.
        along: another run from the same base; every tensor moves where that run has moved it, and nothing is random.
        times: the move that matches is made so many times as long.
    """

    kind: ClassVar[str] = "noised-like"
    virtual: ClassVar[bool] = True

    base: ModelRecipe
    like: ModelRecipe
    match: Literal["distance", "loss"]
    data: DataRecipe
    seed: int = 0
    shape: Literal["gaussian", "same-spectrum"] = "gaussian"
    along: ModelRecipe | None = None
    times: float = Field(default=1.0, gt=0)

    def load(self, path_of: PathOf) -> Model:
        before, steps, scale = self._move(path_of)
        return _moved(before, steps, scale * self.times).with_key(self.fingerprint)

    def scale(self, path_of: PathOf) -> float:
        """How many times as far as the run the match moves every tensor. By `loss` this takes some twenty passes over `data`."""
        return self._move(path_of)[2]

    def describe(self) -> str:
        how = f"{self.shape} noise" if self.along is None else f"a move along [{self.along.describe()}]"
        return f"{self.base.describe()} with {how} of the same {self.match} as: {self.like.describe()}"

    def _move(self, path_of: PathOf) -> tuple[Model, dict[str, Tensor], float]:
        """The model before, for each of its tensors a move as long as the run's, and the factor on those moves."""
        before, after = _whole(self.base.load(path_of)), _whole(self.like.load(path_of))
        steps = self._steps(before, after, path_of)
        return before, steps, 1.0 if self.match == "distance" else self._scale(before, after, steps, path_of)

    def _steps(self, before: Model, after: Model, path_of: PathOf) -> dict[str, Tensor]:
        """For each tensor of the weights a move as long as the way from before to after."""
        import torch

        generator = torch.Generator().manual_seed(self.seed)
        there = _weights(after)
        aside = None if self.along is None else _weights(_whole(self.along.load(path_of)))
        steps = {}
        for name, weight in _weights(before).items():
            change = there[name] - weight
            if aside is not None:
                direction = aside[name] - weight
            elif self.shape == "same-spectrum" and change.dim() == 2:
                direction = _turned(change, generator)
            else:
                direction = torch.randn(weight.shape, generator=generator)
            steps[name] = direction * (float(change.norm()) / max(float(direction.norm()), 1e-30))
        return steps

    def _scale(self, before: Model, after: Model, steps: dict[str, Tensor], path_of: PathOf) -> float:
        """The factor on the noise at which the loss is that of `after`, by bisection; 0 if it is no higher than before, and
        just below `FARTHEST` if even that is too little."""
        examples = self.data.examples(path_of)[:EXAMPLES]
        wanted = mean_loss(after, examples)
        if mean_loss(before, examples) >= wanted:
            return 0.0
        low, high = 0.0, 1.0
        while high < FARTHEST and mean_loss(_moved(before, steps, high), examples) < wanted:
            low, high = high, 2 * high
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            too_little = mean_loss(_moved(before, steps, middle), examples) < wanted
            low, high = (middle, high) if too_little else (low, middle)
        return (low + high) / 2


def is_match(scale: float) -> bool:
    """Whether a move scaled so far costs what the run cost: the run cost something, and the longest move enough."""
    return 0 < scale < FARTHEST * (1 - 2.0**-HALVINGS)


def _whole(model: Model) -> Model:
    from cavesson.models.model import merged

    return merged(model)


def _weights(model: Model) -> dict[str, Tensor]:
    return {name: weight.detach().float().cpu() for name, weight in model.net.named_parameters()}


def _turned(change: Tensor, generator: Generator) -> Tensor:
    """A matrix with the singular values of `change`, [rows, columns], and random singular vectors."""
    import torch

    values = torch.linalg.svdvals(change)
    values = values[values > values[0] * 1e-6]  # of a low-rank change only its rank, not rounding's
    left, right = (torch.randn(size, len(values), generator=generator) for size in change.shape)
    turned: Tensor = torch.linalg.qr(left).Q * values @ torch.linalg.qr(right).Q.T
    return turned


def _moved(model: Model, steps: dict[str, Tensor], scale: float) -> Model:
    """A copy of the model, moved."""
    import copy

    import torch

    net = copy.deepcopy(model.net)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            weight += scale * steps[name].to(weight.device, weight.dtype)
    return replace(model, net=net)
