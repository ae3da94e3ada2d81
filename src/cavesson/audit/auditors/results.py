"""Results as numbers with paths, the numbers that the Conclusion rests on, and whether the Conclusion still stands
after a change.

Nothing is known of a codebase beforehand. The numbers of the Conclusion are looked for among the stored results; the
results found are the key quantities. Each is compared with its siblings (the same path but for one name: the other arm,
another budget), and a change of the code overturns the Conclusion as far as these comparisons turn round or the
quantities move.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cavesson.audit.auditors.paper import Paper
from cavesson.audit.records import read_json
from cavesson.audit.workspace import files_of, read_text

Path_ = tuple[str, ...]
Leaves = Mapping[Path_, float]

_MAX_LEAVES = 3000
_MAX_BYTES = 2_000_000


def leaves(tree: Any, path: Path_ = ()) -> dict[Path_, float]:
    """The numbers of a tree of mappings and lists, by path."""
    found: dict[Path_, float] = {}
    stack: list[tuple[Any, Path_]] = [(tree, path)]
    while stack and len(found) < _MAX_LEAVES:
        node, here = stack.pop()
        if isinstance(node, Mapping):
            stack += [(value, (*here, str(key))) for key, value in reversed(list(node.items()))]
        elif isinstance(node, list):
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


@dataclass(frozen=True, slots=True)
class Contrast:
    """A comparison of two results that the stored runs agree on.

    Attributes:
        key: a quantity that the Conclusion names.
        other: its sibling.
        difference: mean of key minus other.
    """

    key: Path_
    other: Path_
    difference: float


class Conclusion:
    """What the Conclusion says, in terms of the results."""

    def __init__(self, paper: Paper, results: Results) -> None:
        self.results = results
        means = results.means
        named = [one for one in paper.conclusion if one.decimals or one.percent]
        matches = [[path for path, value in means.items() if one.is_about(value)] for one in named]
        found = {path for paths in matches if len(paths) <= 4 for path in paths}
        in_tables = {
            path for one in paper.tables if one.decimals for path, value in means.items() if one.is_about(value)
        }
        self.keys: list[Path_] = sorted(found or in_tables or set(means))[:60]
        self.contrasts = [one for key in self.keys for one in self._contrasts(key)]

    def _contrasts(self, key: Path_) -> Iterator[Contrast]:
        means, spreads = self.results.means, self.results.spreads
        for other in siblings(key, means):
            difference = means[key] - means[other]
            noise = math.hypot(spreads[key], spreads[other])
            agreed = {np.sign(run[key] - run[other]) for run in self.results.stored.values()}
            if len(agreed) == 1 and abs(difference) > 2 * noise and abs(difference) > 0.08 * self._scale(key):
                yield Contrast(key, other, difference)

    def _scale(self, key: Path_) -> float:
        """The range of a quantity over its siblings, or the quantity's own size where there are no siblings."""
        means = self.results.means
        family = [means[key], *(means[other] for other in siblings(key, means))]
        return max(max(family) - min(family), 4 * self.results.spreads[key], 0.05 * abs(means[key]), 1e-9)

    def overturned(self, before: Leaves, after: Leaves) -> float:
        """How far a change overturns the Conclusion, from 0 to 1: the worst of the key quantities.

        Half of the value is the share of a quantity's comparisons that turned round (comparisons with another key
        quantity count threefold); half is the quantity's move, in full at half of its family's range.

        Args:
            before: results of one seed of the code as it is.
            after: of the changed code, same seed.
        """
        worst = 0.0
        for key in self.keys:
            if key not in before or key not in after:
                continue
            moved = min(1.0, 2 * abs(after[key] - before[key]) / self._scale(key))
            mine = [(3.0 if one.other in self.keys else 1.0, _turned(one, after))
                    for one in self.contrasts if one.key == key and one.other in after]  # fmt: skip
            turned = (
                sum(weight * share for weight, share in mine) / sum(weight for weight, _ in mine) if mine else moved
            )
            worst = max(worst, 0.5 * moved + 0.5 * min(1.0, 2 * turned))
        return worst


def _turned(contrast: Contrast, after: Leaves) -> float:
    ratio = (after[contrast.key] - after[contrast.other]) / contrast.difference
    return 1.0 if ratio < -0.1 else 0.5 if ratio < 0.15 else 0.0


def siblings(path: Path_, among: Leaves) -> list[Path_]:
    """The paths that differ from a path in exactly one name."""
    return [
        other
        for other in among
        if len(other) == len(path) and sum(a != b for a, b in zip(other, path, strict=True)) == 1
    ]
