"""Results as numbers with paths, from a run or from the files stored in a workspace."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cavesson.audit.records import read_json
from cavesson.audit.workspace import files_of, read_text

Path_ = tuple[str, ...]
Leaves = Mapping[Path_, float]

_MAX_LEAVES = 3000
_MAX_BYTES = 2_000_000


def leaves(tree: Any, path: Path_ = ()) -> dict[Path_, float]:
    """The numbers of a tree of mappings and lists, by path; a list of numbers also counts as its mean, at the list's path."""
    found: dict[Path_, float] = {}
    stack: list[tuple[Any, Path_]] = [(tree, path)]
    while stack and len(found) < _MAX_LEAVES:
        node, here = stack.pop()
        if isinstance(node, Mapping):
            stack += [(value, (*here, str(key))) for key, value in reversed(list(node.items()))]
        elif isinstance(node, list):
            numbers = [one for one in node if isinstance(one, int | float) and not isinstance(one, bool)]
            if len(numbers) == len(node) > 0 and math.isfinite(mean := sum(map(float, numbers)) / len(numbers)):
                found[here] = mean
            stack += [(value, (*here, str(at))) for at, value in reversed(list(enumerate(node)))]
        elif isinstance(node, int | float) and not isinstance(node, bool) and math.isfinite(node):
            found[here] = float(node)
    return found


@dataclass(frozen=True)
class Results:
    """The stored results of a workspace: the runs of single seeds, by file.

    Attributes:
        stored: file → numbers by path; all of one shape.
        tables: other stored texts (`predictions.csv`), by file.
    """

    stored: Mapping[str, Leaves]
    tables: Mapping[str, str]

    @cached_property
    def means(self) -> dict[Path_, float]:
        """The mean over the stored runs of every result that all runs have."""
        return {path: float(np.mean(values)) for path, values in self._values.items()}

    @cached_property
    def spreads(self) -> dict[Path_, float]:
        """The standard deviation over the stored runs."""
        return {path: float(np.std(values)) for path, values in self._values.items()}

    @cached_property
    def _values(self) -> dict[Path_, list[float]]:
        runs = list(self.stored.values())
        shared = [path for path in runs[0] if all(path in run for run in runs)] if runs else []
        return {path: [run[path] for run in runs] for path in shared}


def read_results(folder: Path, name: str) -> Results:
    """The stored results of a workspace, in whatever folder.

    Args:
        name: what a run calls its results (`results.json`).
    """
    trees: dict[str, dict[Path_, float]] = {}
    tables: dict[str, str] = {}
    for relative, path in files_of(folder).items():
        if path.stat().st_size > _MAX_BYTES:
            continue
        if path.suffix == ".csv":
            tables[relative] = read_text(path)
        elif path.suffix == ".json" and (path.name == Path(name).name or re.search(r"seed|run", relative)):
            try:
                trees[relative] = leaves(read_json(path, _MAX_BYTES))
            except ValueError:
                continue
    if not trees:
        return Results({}, tables)
    shapes = [frozenset(tree) for tree in trees.values()]
    usual = max(shapes, key=lambda shape: (shapes.count(shape), len(shape)))
    return Results({name: tree for name, tree in trees.items() if frozenset(tree) == usual}, tables)
