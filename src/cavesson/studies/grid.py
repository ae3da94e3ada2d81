"""A study's grid and what came back from it.

A study crosses axes (student, teacher, intervention, learning rate …). A `Cell` is one place in the grid for one seed, with
the recipes that are measured there, each under a role ("run", "probe", "base"). `Measured` holds the results of all cells by
place. A report, a claim and a chart are a selection of places, a contrast of two selections, or a mean over one axis; so a
study declares these and has no classes of its own.

    m.where(intervention="pirate").contrast("model", "small", "student", of=end("behavior/triggered")).estimate
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from cavesson.evals.scores import Score, Scores
from cavesson.lab.recipe import PathOf, Recipe
from cavesson.redteam.organisms import Organism
from cavesson.studies.sample import NotRun, Sample, mean_of


@runtime_checkable
class Measurable(Protocol):
    """A recipe whose artifact is a table of scores."""

    def scores(self, path_of: PathOf) -> Scores: ...


@dataclass(frozen=True, eq=False)
class Cell:
    """One place in the grid, for one seed.

    Attributes:
        at: the value on each axis.
        recipes: what is made for this place, by role; the first role is the main one.
        organism: red's product that the place is about, where there is one.
    """

    at: Mapping[str, Hashable]
    seed: int
    recipes: Mapping[str, Recipe]
    organism: Organism | None = None

    @classmethod
    def of(
        cls, at: Mapping[str, Hashable], seed: int, organism: Organism | None = None, **recipes: Recipe | None
    ) -> Cell:
        """A cell with its recipes by role; a role whose recipe is None is left out."""
        return cls(at, seed, {role: recipe for role, recipe in recipes.items() if recipe is not None}, organism)


def recipes_of(cells: Iterable[Cell]) -> list[Recipe]:
    """Everything to make, in the order of the cells."""
    return [recipe for cell in cells for recipe in cell.recipes.values()]


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


@dataclass(frozen=True, eq=False)
class Place:
    """All seeds of one place in the grid."""

    cells: tuple[Cell, ...]
    path_of: PathOf
    _read: dict[str, tuple[Scores, ...]] = field(default_factory=dict, repr=False)
    _samples: dict[tuple[str, int | None, str | None], Sample] = field(default_factory=dict, repr=False)

    @property
    def at(self) -> Mapping[str, Hashable]:
        """The value on each axis."""
        return self.cells[0].at

    def __getitem__(self, axis: str) -> Any:
        return self.at[axis]

    @property
    def name(self) -> str:
        """The values on all axes, in words."""
        return _listed(self.at.values())

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(cell.seed for cell in self.cells)

    @property
    def organism(self) -> Organism:
        """The organism of the first seed.

        Raises:
            NotRun: the place has none.
        """
        found = self.cells[0].organism
        if found is None:
            raise NotRun(f"an organism for {self.name}")
        return found

    @property
    def roles(self) -> tuple[str, ...]:
        """What was made here for any seed: the main role first."""
        return tuple(dict.fromkeys(role for cell in self.cells for role in cell.recipes))

    def recipes(self, role: str | None = None) -> tuple[Any, ...]:
        """The recipes of a role (None: the main one), one a seed.

        Raises:
            NotRun: there are none.
        """
        role = self.roles[0] if role is None else role
        found = tuple(cell.recipes[role] for cell in self.cells if role in cell.recipes)
        if len(found) < len(self.cells):
            raise NotRun(f"{role} of {self.name}")
        return found

    def scores(self, role: str | None = None) -> tuple[Scores, ...]:
        """The tables of scores of a role, one a seed.

        Raises:
            NotRun: there are none.
        """
        role = self.roles[0] if role is None else role
        if role not in self._read:
            found = self.recipes(role)
            if not all(isinstance(recipe, Measurable) for recipe in found):
                raise NotRun(f"scores of {role} of {self.name}")
            self._read[role] = tuple(recipe.scores(self.path_of) for recipe in found)
        return self._read[role]

    def evals(self, role: str | None = None) -> list[str]:
        """Labels of the evaluations, in the order of the suite."""
        return self.scores(role)[0].evals

    def evals_at(self, step: int | None = -1, role: str | None = None) -> list[str]:
        """Labels of the evaluations that were asked at a step (-1: the last; None: of models not scored along a run)."""
        table = self.scores(role)[0]
        return table.evals_at(max(table.steps, default=None) if step == -1 else step)

    def steps(self, role: str | None = None) -> list[int]:
        """The steps at which the models were scored; empty if they were not scored along a run."""
        return self.scores(role)[0].steps

    def rows(self, label: str, step: int | None = -1, role: str | None = None) -> list[list[Score]]:
        """The answers to one evaluation at a step (-1: the last; None: of models not scored along a run), `[seeds][prompts]`.

        Raises:
            NotRun: the evaluation was not asked, or not at that step.
        """
        tables = self.scores(role)
        last = [max(table.steps, default=None) for table in tables]
        if step == -1 and len(set(last)) > 1:
            raise NotRun(f"one last step for all seeds of {self.name}, not {_listed(last)}")
        step = last[0] if step == -1 else step
        if not all(table.has(label, step) for table in tables):
            raise NotRun(f"{label}{'' if step is None else f' at step {step}'} of {self.name}")
        return [table.cell(label, step) for table in tables]

    def sample(self, label: str, step: int | None = -1, role: str | None = None) -> Sample:
        """The scores of one evaluation at a step; arguments and errors as of `rows`.

        Raises:
            ValueError: the seeds were asked different prompts, so that no score of one seed belongs to a score of another.
        """
        key = (label, step, role)
        if key not in self._samples:
            rows = self.rows(label, step, role)
            if len({tuple(row.item for row in cell) for cell in rows}) > 1:
                raise ValueError(f"the seeds of {self.name} were asked different prompts of {label}")
            self._samples[key] = Sample(
                np.array([[float(row.score) for row in cell] for cell in rows]),
                self.seeds,
                tuple(row.item for row in rows[0]),
                tuple(row.level for row in rows[0]),
            )
        return self._samples[key]

    def change(self, label: str, step: int | None = -1, role: str | None = None) -> Sample:
        """A step minus the start of the main run, on the same prompts."""
        return self.sample(label, step, role) - self.sample(label, 0)


Of = Callable[[Place], Sample]
"""What is compared: a function of a place, such as `end("maths")`."""


def end(label: str, role: str | None = None) -> Of:
    """The score at the last step."""
    return lambda place: place.sample(label, role=role)


def start(label: str) -> Of:
    """The score before training."""
    return lambda place: place.sample(label, 0)


def change(label: str, role: str | None = None) -> Of:
    """The score at the last step minus the score before training."""
    return lambda place: place.change(label, role=role)


@dataclass(frozen=True, eq=False)
class Measured:
    """The places of a grid, in the order of the declaration.

    Attributes:
        config: the config of the study.
        named: what is selected, in words, for messages.
        left_out: places that were run and are not judged (an organism that did not take, say).
        seconds: wall time of making each artifact, inputs included, by fingerprint; {}: not known.
    """

    places: tuple[Place, ...]
    config: Any = None
    named: str = ""
    left_out: tuple[Place, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, cells: Iterable[Cell], path_of: PathOf, config: Any = None) -> Measured:
        """All seeds of one place together; scores are read when they are asked for.

        Raises:
            ValueError: two cells have the same place, main role and seed.
        """
        groups: dict[Any, list[Cell]] = {}
        for cell in cells:
            found = groups.setdefault((frozenset(cell.at.items()), next(iter(cell.recipes))), [])
            if cell.seed in {other.seed for other in found}:
                raise ValueError(f"seed {cell.seed} stands twice at the place {_listed(cell.at.values())}")
            found.append(cell)
        return cls(tuple(Place(tuple(found), path_of) for found in groups.values()), config)

    def __iter__(self) -> Iterator[Place]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def having(self, role: str) -> Measured:
        """The places at which something was made in this role.

        Raises:
            NotRun: there are none.
        """
        return self.those(lambda place: role in place.roles, role)

    def those(self, fits: Callable[[Place], bool], said: str) -> Measured:
        """The places that fit; `said` is what they have in common, in words.

        Raises:
            NotRun: there are none.
        """
        named = " and ".join(part for part in (self.named, said) if part)
        places = tuple(place for place in self.places if fits(place))
        if not places:
            raise NotRun(named)
        return replace(self, places=places, named=named)

    def where(self, **at: Any) -> Measured:
        """The places at these values of their axes; for a function of the value, where the function says so.

        Raises:
            NotRun: there are none.
        """

        def fits(place: Place) -> bool:
            return all(
                axis in place.at and (wanted(place[axis]) if callable(wanted) else place[axis] == wanted)
                for axis, wanted in at.items()
            )

        said = _listed(f"{axis} {value}" for axis, value in at.items() if not callable(value))
        return self.those(fits, said or _listed(at))

    def only(self, **at: Any) -> Place:
        """The one place at these values.

        Raises:
            NotRun: there is none.
            ValueError: there are several.
        """
        found = self.where(**at)
        if len(found) > 1:
            names = "; ".join(place.name for place in found)
            raise ValueError(f"{len(found)} places, not one, are at {found.named or 'any value'}: {names}")
        return found.places[0]

    def by(self, *axes: str) -> dict[Any, Measured]:
        """The places by their values on some axes: the value of one axis, or a tuple; places without these axes are left out."""
        groups: dict[Any, list[Place]] = {}
        for place in self.places:
            if all(axis in place.at for axis in axes):
                key = tuple(place[axis] for axis in axes)
                groups.setdefault(key if len(axes) > 1 else key[0], []).append(place)
        return {key: replace(self, places=tuple(found)) for key, found in groups.items()}

    def values(self, axis: str) -> list[Any]:
        """The values that occur on an axis, in order."""
        return list(self.by(axis))

    def without(self, places: Iterable[Place]) -> Measured:
        """All places but these, which stand in `left_out` from then on."""
        gone = tuple(places)
        kept = [place for place in self.places if place not in gone]
        return replace(self, places=tuple(kept), left_out=(*self.left_out, *gone))

    def mean(self, of: Of) -> Sample:
        """The mean over the places, prompt by prompt: nothing is selected."""
        return mean_of([of(place) for place in self.places])

    def contrast(self, axis: str, one: Any, two: Any, of: Of) -> Sample:
        """A figure at one value of an axis minus that at another.

        The mean is over all pairs of places that have these two values and are alike on every other axis; nothing is
        selected, and a place without its counterpart does not count.

        Raises:
            NotRun: no two places differ in that axis alone, or the two values are one.
        """
        pairs = self.pairs(axis, one, two)
        return mean_of([of(first) for first, _ in pairs]) - mean_of([of(second) for _, second in pairs])

    def pairs(self, axis: str, one: Any, two: Any) -> list[tuple[Place, Place]]:
        """The pairs of places that have these two values of an axis and are alike on every other axis.

        Raises:
            NotRun: there are none, or the two values are one.
        """

        def at(value: Any) -> dict[Any, Place]:
            """The places at a value, by all else."""
            return {
                (place.roles[0], frozenset((name, given) for name, given in place.at.items() if name != axis)): place
                for place in self.places
                if axis in place.at and place[axis] == value
            }

        seconds = at(two)
        found = [(place, seconds[rest]) for rest, place in at(one).items() if rest in seconds]
        if not found or one == two:
            raise NotRun(f"{axis} {one} and {two}, all else alike")
        return found

    @cached_property
    def evals(self) -> list[str]:
        """Labels of all evaluations along the main runs."""
        return list(dict.fromkeys(label for place in self.places for label in place.evals()))
