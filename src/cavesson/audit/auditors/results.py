"""Results as numbers with paths, from a run or from the files stored in a workspace."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cavesson.audit.records import read_json
from cavesson.audit.workspace import files_of, read_text
from cavesson.lines import parse_json, text_lines

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

    The results of single runs in JSON come first. Without any, whatever else holds results is read: other JSON in a folder of
    results, small tables (CSV, TSV, lines of JSON), and lines of text such as `accuracy: 0.91`.

    Args:
        name: what a run calls its results (`results.json`).
    """
    trees: dict[str, Mapping[Path_, float]] = {}
    others: dict[str, Mapping[Path_, float]] = {}
    tables: dict[str, str] = {}
    for relative, path in files_of(folder).items():
        if path.stat().st_size > _MAX_BYTES:
            continue
        if path.suffix == ".csv":
            tables[relative] = read_text(path)
        if path.suffix == ".json" and (path.name == Path(name).name or re.search(r"seed|run", relative)):
            found, place = _json(path), trees
        elif _KEPT.search(relative):
            found, place = _other(path), others
        else:
            continue
        if found:
            place[relative] = found
    kept = trees or others
    if not kept:
        return Results({}, tables)
    shapes = [frozenset(tree) for tree in kept.values()]
    usual = max(shapes, key=lambda shape: (shapes.count(shape), len(shape)))
    return Results({name: tree for name, tree in kept.items() if frozenset(tree) == usual}, tables)


_KEPT = re.compile(
    r"(?:^|/)[^/]*(?:result|output|metric|score|summary|table|log|\bout\b|runs?\b)[^/]*(?:/|\.\w+$)", re.IGNORECASE
)
"""Paths that may hold results: a folder or a file with such a name."""

_SAID = re.compile(
    r"^\W*([A-Za-z][\w ./()%-]{1,60}?)\s*(?::|=|\t|\s{2,})\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\b",
    re.MULTILINE,
)

_FEW_ROWS = 300
"""Rows of a table of results; a longer one holds predictions or curves."""


def _json(path: Path) -> dict[Path_, float]:
    try:
        return leaves(read_json(path, _MAX_BYTES))
    except ValueError:
        return {}


def _other(path: Path) -> dict[Path_, float]:
    """The numbers of a file that is no run in JSON, by the words beside them."""
    if path.suffix == ".json":
        return _json(path)
    if path.suffix in (".txt", ".log", ".out"):
        return {(name.strip(),): float(value) for name, value in _SAID.findall(read_text(path))[:_MAX_LEAVES]}
    try:
        if path.suffix == ".jsonl":
            rows = [parse_json(line) for line in text_lines(read_text(path)) if line.strip()]
        elif path.suffix in (".csv", ".tsv"):
            rows = list(csv.DictReader(text_lines(read_text(path)), delimiter="\t" if path.suffix == ".tsv" else ","))
        else:
            return {}
    except (ValueError, csv.Error):
        return {}
    return _rows(rows) if len(rows) <= _FEW_ROWS else {}


def _rows(rows: Sequence[Any]) -> dict[Path_, float]:
    """Rows as numbers by path: the words of a row, then the name of the column. Rows with the same words count as their mean."""
    found: dict[Path_, list[float]] = {}
    for row in rows:
        if not isinstance(row, Mapping):
            continue
        values = {str(key): _number(value) for key, value in row.items() if key is not None}
        words = tuple(str(value) for value in row.values() if isinstance(value, str) and _number(value) is None)
        for key, value in values.items():
            if value is not None and len(found) < _MAX_LEAVES:
                found.setdefault((*words, key), []).append(value)
    return {path: sum(values) / len(values) for path, values in found.items()}


def _number(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
