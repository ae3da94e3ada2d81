"""How models write the answers that models are trained on: one setting for red, blue and reversal alike.

Constructions, moves and grids, a user's own included, say who answers which prompts. How long an answer may be and at which
temperature it is written, the study says: `Answers` goes through the finished recipes and sets what they leave open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeVar

from pydantic import Field

from cavesson.lab.recipe import Recipe, Value, lineage
from cavesson.models.recipes import ModelRecipe
from cavesson.redteam.organisms import Organism
from cavesson.sampling.recipes import Generated
from cavesson.sampling.sampler import Params
from cavesson.studies.grid import Cell
from cavesson.studies.option import Option

T = TypeVar("T")


class Answers(Value):
    """How models write the answers that they or other models are trained on.

    Attributes:
        max_tokens: most tokens of an answer that a model writes to be trained on; None: 128 for the tiny world's models, 512
            for others.
        temperature: that of the answers that models write to be trained on; 0 is greedy. A construction or arm that samples at a
            temperature of its own keeps its own.
    """

    max_tokens: Annotated[int | None, Option("--answer-tokens")] = Field(default=None, ge=1)
    temperature: Annotated[float, Option("--answer-temperature")] = Field(default=0.0, ge=0)

    def in_cells(self, cells: Iterable[Cell]) -> list[Cell]:
        """The cells, with this setting in their recipes and organisms."""
        by_seed: dict[int, _Setting] = {}
        found = []
        for cell in cells:
            put = by_seed.setdefault(cell.seed, _Setting(self, cell.seed))
            organism = None if cell.organism is None else put.in_organism(cell.organism)
            found.append(replace(cell, recipes=put(dict(cell.recipes)), organism=organism))
        return found

    def in_organism(self, made: Organism, seed: int) -> Organism:
        """The organism, with this setting in its recipe.

        Args:
            seed: of the draws, where the temperature is above 0.
        """
        return _Setting(self, seed).in_organism(made)


@dataclass(frozen=True, slots=True)
class _Setting:
    """Puts a setting into recipes for one seed; `done` holds what came of each recipe, by fingerprint."""

    answers: Answers
    seed: int
    done: dict[str, Value] = field(default_factory=dict)

    def in_organism(self, made: Organism) -> Organism:
        return replace(made, model=self(made.model), base=self(made.base), asked=self(made.asked))

    def __call__(self, value: T) -> T:
        """The value with the setting in all recipes inside it; the same object if nothing changes."""
        return self._put(value)  # type: ignore[no-any-return]

    def _put(self, value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            items = [self._put(item) for item in value]
            return value if all(new is old for new, old in zip(items, value, strict=True)) else type(value)(items)
        if isinstance(value, dict):
            named = {key: self._put(item) for key, item in value.items()}
            return value if all(named[key] is value[key] for key in value) else named
        if not isinstance(value, Value):
            return value
        if not isinstance(value, Recipe):
            return self._inside(value)
        if value.fingerprint not in self.done:
            self.done[value.fingerprint] = self._inside(value)
        found = self.done[value.fingerprint]
        return value if found == value else found

    def _inside(self, value: Value) -> Value:
        held = {name: getattr(value, name) for name in type(value).model_fields}
        found = {name: self._put(item) for name, item in held.items()}
        if isinstance(params := held.get("params"), Params) and isinstance(writer := held.get("by"), ModelRecipe):
            found["params"] = self._params(params, writer)
        changed = {name: item for name, item in found.items() if item is not held[name]}
        return value.model_copy(update=changed) if changed else value

    def _params(self, params: Params, writer: ModelRecipe) -> Params:
        """The parameters; what they leave open is the study's."""
        wanted: dict[str, Any] = {"max_tokens": self.answers.max_tokens or writer.usual_room}
        if self.answers.temperature:
            wanted |= {"temperature": self.answers.temperature, "seed": self.seed}
        own = params.model_fields_set
        if "temperature" in own:  # the draws are the construction's as well
            own = own | {"seed"}
        update = {name: value for name, value in wanted.items() if name not in own and value != getattr(params, name)}
        return params.model_copy(update=update) if update else params


def in_words(recipes: Iterable[Recipe]) -> Iterator[str]:
    """How long the answers may be that models write for these recipes, for a dry run."""
    found = Counter(
        (recipe.params.max_tokens, recipe.params.temperature)
        for recipe in lineage(*recipes)
        if isinstance(recipe, Generated)
    )
    if found:
        parts = [
            f"up to {room:,} tokens{f' at temperature {heat:g}' if heat else ', greedy'} ({count} data set{'s' * (count > 1)})"
            for (room, heat), count in sorted(found.items())
        ]
        yield f"answers that models write: {'; '.join(parts)}; change: --answer-tokens, --answer-temperature"
