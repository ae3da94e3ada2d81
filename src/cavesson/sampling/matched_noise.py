"""Changes of the weights that match a training run in size: a test of the hypothesis that SFT acts like weight noise."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from cavesson.data.recipes import DataRecipe
from cavesson.lab.effort import Effort
from cavesson.lab.recipe import Job, PathOf, Recipe
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.perplexity import mean_loss

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from cavesson.models.model import Model

BISECTIONS = 12
EXAMPLES = 128
FARTHEST = 64.0
"""Longest move that is tried, in distances of the run."""
LENGTH = "length.json"


class NoisedLike(ModelRecipe):
    """A model whose weights are moved as far as a training run moved them, but in another direction.

    With match "distance", every tensor moves as far (Frobenius norm) as the run moved the tensor. With match "loss", these
    moves are scaled by one factor (`MoveLength`), so that the loss on `data` equals the loss after the run. Not every run has
    such a factor: see `is_match`.

    Attributes:
        base: the model before the run.
        like: the model after the run.
        match: the quantity that is equal, "distance" or "loss".
        data: answers on which the loss is computed; the first 128 are used.
        seed: seed of the random directions.
        shape: "gaussian": noise on every weight. "same-spectrum": each matrix moves by a matrix with random singular vectors,
            and with the singular values of the run's change; rank and distance are the run's, only the direction is random.
        along: the model after another run from the same base; every tensor moves in the direction of that run, and nothing
            is random.
        times: factor on the length of the matched move.
    """

    kind: ClassVar[str] = "noised-like"
    virtual: ClassVar[bool] = True
    needs_weights: ClassVar[bool] = True

    base: ModelRecipe
    like: ModelRecipe
    match: Literal["distance", "loss"]
    data: DataRecipe
    seed: int = 0
    shape: Literal["gaussian", "same-spectrum"] = "gaussian"
    along: ModelRecipe | None = None
    times: float = Field(default=1.0, gt=0)

    def inputs(self) -> tuple[Recipe, ...]:
        """Of a move matched by loss also its length."""
        return super().inputs() if self.length is None else (*super().inputs(), self.length)

    @cached_property
    def length(self) -> MoveLength | None:
        """What says how long the matched move is, in distances of the run; None: as long as the run's."""
        return MoveLength(move=self.model_copy(update={"times": 1.0})) if self.match == "loss" else None

    def load(self, path_of: PathOf) -> Model:
        before, _, steps = self.moves(path_of)
        matched = 1.0 if self.length is None else self.length.read(path_of)
        return _with_steps(before, steps, matched * self.times).with_key(self.fingerprint)

    def describe(self) -> str:
        how = f"{self.shape} noise" if self.along is None else f"a move along [{self.along.describe()}]"
        return f"{self.base.describe()} with {how} of the same {self.match} as: {self.like.describe()}"

    def moves(self, path_of: PathOf) -> tuple[Model, Model, dict[str, Tensor]]:
        """The models before and after the run, and for each tensor a move as long as the run's."""
        before, after = _merged(self.base.load(path_of)), _merged(self.like.load(path_of))
        return before, after, self._steps(before, after, path_of)

    def _steps(self, before: Model, after: Model, path_of: PathOf) -> dict[str, Tensor]:
        """For each tensor, a move as long as the run's change of the tensor."""
        import torch

        generator = torch.Generator().manual_seed(self.seed)
        trained = _weights(after)
        other = None if self.along is None else _weights(_merged(self.along.load(path_of)))
        steps = {}
        for name, weight in _weights(before).items():
            change = trained[name] - weight
            if other is not None:
                direction = other[name] - weight
            elif self.shape == "same-spectrum" and change.dim() == 2:
                direction = _same_spectrum(change, generator)
            else:
                direction = torch.randn(weight.shape, generator=generator)
            steps[name] = direction * (float(change.norm()) / max(float(direction.norm()), 1e-30))
        return steps


class MoveLength(Recipe):
    """How long a move is that costs as much loss as a run, in distances of the run; found by some twenty passes over the answers."""

    kind: ClassVar[str] = "move-length"
    stage: ClassVar[str] = "matching noise"

    move: NoisedLike

    def inputs(self) -> tuple[Recipe, ...]:
        """What the move is made from: its length is what is looked for."""
        return ModelRecipe.inputs(self.move)

    def effort(self) -> Effort:
        answers = min(EXAMPLES, self.move.data.rough_size)
        return Effort(self.move.weights, read=(BISECTIONS + 4) * answers * self.move.usual_room / 2)

    def make(self, job: Job) -> None:
        """Write `length.json`: 0 if the run did not raise the loss, and just below `FARTHEST` if even a move as long as this costs too
        little."""
        before, after, steps = self.move.moves(job.path)
        examples = self.move.data.examples(job.path)[:EXAMPLES]
        wanted = mean_loss(after, examples)

        def too_little(length: float) -> bool:
            return mean_loss(_with_steps(before, steps, length), examples) < wanted

        length = _bisected(too_little, job) if too_little(0.0) else 0.0
        (job.folder / LENGTH).write_text(json.dumps(length), encoding="utf-8")

    def read(self, path_of: PathOf) -> float:
        """The finished length."""
        return float(json.loads((path_of(self) / LENGTH).read_text(encoding="utf-8")))

    def describe(self) -> str:
        return f"length of {self.move.describe()}"


def _bisected(too_little: Callable[[float], bool], job: Job) -> float:
    """The length up to which a move costs too little; 0 does."""
    low, high = 0.0, 1.0
    while high < FARTHEST and too_little(high):
        low, high = high, 2 * high
    for done in range(BISECTIONS):
        job.progress(done, BISECTIONS, length=high)
        middle = (low + high) / 2
        low, high = (middle, high) if too_little(middle) else (low, middle)
    return (low + high) / 2


def is_match(length: float) -> bool:
    """Whether a move of this length has the run's loss: the run raised the loss, and the length is below the largest."""
    return 0 < length < FARTHEST * (1 - 2.0**-BISECTIONS)


def _merged(model: Model) -> Model:
    from cavesson.models.model import merged

    return merged(model)


def _weights(model: Model) -> dict[str, Tensor]:
    return {name: weight.detach().float().cpu() for name, weight in model.net.named_parameters()}


def _same_spectrum(change: Tensor, generator: Generator) -> Tensor:
    """A matrix with the singular values of `change`, [rows, columns], and random singular vectors."""
    import torch

    values = torch.linalg.svdvals(change)
    values = values[values > values[0] * 1e-6]  # smaller values of a low-rank change are rounding errors
    left, right = (torch.randn(size, len(values), generator=generator) for size in change.shape)
    found: Tensor = torch.linalg.qr(left).Q * values @ torch.linalg.qr(right).Q.T
    return found


def _with_steps(model: Model, steps: dict[str, Tensor], scale: float) -> Model:
    """A copy of the model with `scale` times the steps added to its weights."""
    import copy

    import torch

    net = copy.deepcopy(model.net).float()  # 16 bits would round small steps away
    with torch.no_grad():
        for name, weight in net.named_parameters():
            weight += scale * steps[name].to(weight.device, weight.dtype)
    return replace(model, net=net)
