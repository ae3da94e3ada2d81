"""What a study calls its artifacts: the role first (`pirate · seed 2`), not the recipe's text."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import count

from cavesson.lab.manifest import artifacts_below
from cavesson.lab.recipe import Recipe
from cavesson.studies.grid import Cell

MAIN = "run"
"""The role that a title leaves out."""

OF_MODEL = {"scored": "scores", "generated": "answers"}
"""Kinds that are called after the model that they are of, where it has a title, and what they are to that model."""

PARTS = {"scored": "scores", "generated": "data", "paraphrased": "paraphrases", "selected": "chosen checkpoint"}
"""What an input is to the artifact that needs it, by the input's kind; other kinds go by their own name."""


def titles(cells: Sequence[Cell]) -> dict[str, str]:
    """A title for everything that the cells need, by fingerprint; no two artifacts have the same title.

    A place is called by the values that tell it from other places, and by its seed where there are several. An input is called
    after the first artifact that needs it; scores and answers of a model that has a title are called after the model.
    """
    seen: dict[str, dict[Hashable, None]] = {}
    for cell in cells:
        for axis, value in cell.at.items():
            seen.setdefault(axis, {})[value] = None
    varying = {axis for axis, values in seen.items() if len(values) > 1}
    several = len({cell.seed for cell in cells}) > 1
    found: dict[str, str] = {}
    taken: set[str] = set()

    def name(recipe: Recipe, title: str) -> None:
        """Call an artifact so unless it has a title, then what it needs after it."""
        for artifact in (recipe,) if not recipe.virtual else artifacts_below(recipe):
            if artifact.fingerprint in found:
                continue
            found[artifact.fingerprint] = _free(title, taken)
            for needed in artifacts_below(artifact):
                of = next((found[one.fingerprint] for one in artifacts_below(needed) if one.fingerprint in found), "")
                if of and needed.kind in OF_MODEL:
                    name(needed, f"{of} · {OF_MODEL[needed.kind]}")
                else:
                    name(needed, f"{title} · {PARTS.get(needed.kind, needed.kind.replace('-', ' '))}")

    for cell in cells:
        seed = (f"seed {cell.seed}",) if several else ()
        if cell.organism is not None:
            own = {axis: value for axis, value in cell.at.items() if axis in ("pair", *cell.organism.labels)}
            name(cell.organism.model, " · ".join(("organism", *_values(own, varying), *seed)))
        for role, recipe in cell.recipes.items():
            values = _values(cell.at, varying) or _values(cell.at, set(list(cell.at)[:1]))
            name(recipe, " · ".join((*values, *(() if role == MAIN else (role,)), *seed)))
    return found


def _values(at: Mapping[str, Hashable], axes: set[str]) -> tuple[str, ...]:
    """The values on these axes, in the order of the place."""
    values = (value for axis, value in at.items() if axis in axes and value not in ("", None))
    return tuple(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def _free(title: str, taken: set[str]) -> str:
    """The title, with a number if it is taken; from now on it is."""
    numbered = (title if number == 1 else f"{title} ({number})" for number in count(1))
    free = next(one for one in numbered if one not in taken)
    taken.add(free)
    return free
