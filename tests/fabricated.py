"""Scores of a whole study's grid, made up: real recipes and questions, and answers that no model gave."""

from __future__ import annotations

import json
from binascii import crc32
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cavesson.evals.items import Eval
from cavesson.evals.recipes import Probed, Scored
from cavesson.evals.scores import SCORES, Score, write_scores
from cavesson.evals.watched import WATCHED, Watched
from cavesson.lab.recipe import Recipe
from cavesson.studies.grid import Cell, Measured

Rate = Callable[[Cell, str, Eval, int | None], float]
"""From a cell, the role of a recipe, an evaluation and a step to the rate at which answers score."""


def fabricated(cells: Iterable[Cell], folder: Path, rate: Rate, config: Any, seconds: float = 6.0) -> Measured:
    """What a study would read if models had answered at these rates; every artifact took `seconds`."""

    def path_of(recipe: Recipe) -> Path:
        return folder / recipe.fingerprint

    found = list(cells)
    made: dict[str, float] = {}
    for cell in found:
        for role, recipe in cell.recipes.items():
            made[recipe.fingerprint] = seconds
            if isinstance(recipe, (Scored, Probed)) and not path_of(recipe).is_dir():
                path_of(recipe).mkdir(parents=True)
                write_scores(path_of(recipe) / SCORES, list(_rows(cell, role, recipe, rate)))
            if isinstance(recipe, Watched) and not path_of(recipe).is_dir():
                path_of(recipe).mkdir(parents=True)
                surprises = _drawn(cell, role).random(20).round(3).tolist()
                row = {"step": None, "output": surprises, "reasoning": surprises}
                (path_of(recipe) / WATCHED).write_text(json.dumps(row) + "\n")
    return replace(Measured.read(found, path_of, config), seconds=made)


def _rows(cell: Cell, role: str, recipe: Scored | Probed, rate: Rate) -> Iterable[Score]:
    rng = _drawn(cell, role)
    for step in recipe.steps if isinstance(recipe, Probed) else (None,):
        for one in recipe.asked_at(step) if isinstance(recipe, Probed) else recipe.suite:
            for index in range(one.n):
                score = int(rng.random() < rate(cell, role, one, step))
                yield Score(step, one.label, f"{one.label}/{one.seed}/{index}", None, [], "Yes.", score, True)


def _drawn(cell: Cell, role: str) -> np.random.Generator:
    """The same draws on every machine, which a fingerprint would not give: the names of trainings hold the machine's numerics."""
    place = json.dumps([sorted((axis, str(value)) for axis, value in cell.at.items()), cell.seed, role])
    return np.random.default_rng(crc32(place.encode()))
