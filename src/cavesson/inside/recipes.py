"""What is found inside a model, as recipes of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError
from cavesson.lab.effort import Effort
from cavesson.lab.recipe import Job, PathOf, Recipe
from cavesson.lines import json_line, read_json_lines
from cavesson.models.recipes import ModelRecipe

if TYPE_CHECKING:
    from cavesson.inside.probing import LayerProbe

PROBES = "probes.jsonl"


class ToldApart(Recipe):
    """How well a linear probe on a model's activations tells two sets of prompts apart, layer by layer.

    Attributes:
        model: the model.
        one: prompts of one kind (of training).
        two: prompts of the other kind (of deployment).
        paired: whether the k-th prompts of both sets are the same question, so that they stay in one fold.
        most: prompts of each set that are read, the first ones; of two sets as many as the smaller one has.
        at: the position that is read (`cavesson.inside.activations.At`).
        layers: layers that are read, 0 for the embeddings; None: all of them.
        folds: of the cross-validation.
        shuffles: controls with shuffled labels.
        seed: of the folds and the shuffles.
    """

    kind: ClassVar[str] = "told-apart"
    stage: ClassVar[str] = "probing"

    model: ModelRecipe
    one: DataRecipe
    two: DataRecipe
    paired: bool = False
    most: int = Field(default=100, ge=2)
    at: Literal["last", "mean"] = "last"
    layers: tuple[int, ...] | None = Field(default=None, min_length=1)
    folds: int = Field(default=5, ge=2)
    shuffles: int = Field(default=5, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if not self.model.opens:
            raise ValueError(f"{self.model.describe()} shows no activations: its weights are not here")
        if self.most < self.folds:
            raise ValueError(f"{self.most} prompts of each set are too few for {self.folds} folds")
        return self

    def effort(self) -> Effort:
        return Effort(self.model.weights, read=2 * self.most * self.model.usual_room / 2)

    def make(self, job: Job) -> None:
        """Write `probes.jsonl`: for each layer, and last for the layer that each fold's own training prompts choose (`null`), which
        held-out prompts the probe tells right, with true labels and with shuffled ones, as texts of 0 and 1.

        Raises:
            ConfigError: a set has fewer prompts than there are folds.
        """
        from cavesson.inside.activations import activations
        from cavesson.inside.probing import probe

        sets = [data.examples(job.path) for data in (self.one, self.two)]
        count = min(self.most, *map(len, sets))
        if count < self.folds:
            smaller = min(zip(sets, (self.one, self.two), strict=True), key=lambda pair: len(pair[0]))[1]
            raise ConfigError(
                f"{smaller.describe()} has {count} prompts, too few for a probe with {self.folds} folds.",
                "Give more prompts.",
            )
        prompts = [one[n].conversation for one in sets for n in range(count)]
        stream = activations(self.model.load(job.path), prompts, self.layers, self.at)
        found = probe(
            stream,
            [0] * count + [1] * count,
            groups=[*range(count)] * 2 if self.paired else None,
            folds=self.folds,
            shuffles=self.shuffles,
            seed=self.seed,
        )
        named = [*(range(stream.shape[1]) if self.layers is None else self.layers), None]
        rows = (
            {"layer": layer, "correct": _bits(one.correct), "shuffled": [_bits(row) for row in one.shuffled]}
            for layer, one in zip(named, found, strict=True)
        )
        (job.folder / PROBES).write_text("".join(map(json_line, rows)), encoding="utf-8")

    def read(self, path_of: PathOf) -> list[LayerProbe]:
        """The probe of each layer in order, and last the one of chosen layers, whose `accuracy` is the answer in one number."""
        import numpy as np

        from cavesson.inside.probing import LayerProbe

        def bits(text: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
            return np.array([letter == "1" for letter in text])

        return [
            LayerProbe(row["layer"], bits(row["correct"]), np.array([bits(one) for one in row["shuffled"]]))
            for _, row in read_json_lines(path_of(self) / PROBES)
        ]

    def describe(self) -> str:
        return f"a probe of {self.model.describe()} that tells {self.one.describe()} from {self.two.describe()}"


def _bits(flags: object) -> str:
    return "".join("01"[int(flag)] for flag in flags)  # type: ignore[attr-defined]
