"""Metrics worked out anew from stored predictions, against the results stored beside them.

The columns of a table of predictions are `arm, seed, split, index, label, prediction[, score]`. No table says which
metric a result is: the metric that explains most of a family of results is taken as the family's metric, and a result
that this metric does not explain is odd.
"""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from statistics import median

import numpy as np

from cavesson.audit.auditors.decision import Decision
from cavesson.audit.auditors.results import Leaves, Path_, Results
from cavesson.figures import percent
from cavesson.lines import text_lines

_MAX_ROWS = 60_000
Row = tuple[float, float, float]  # label, prediction, score
Groups = Mapping[tuple[str, str], Sequence[Row]]


def disagreements(results: Results) -> Iterator[Decision]:
    """Results that do not follow from the stored predictions, and predictions that treat arms unlike."""
    for name, text in results.tables.items():
        groups, indices = _groups(text)
        if not groups:
            continue
        beside = [run for file, run in results.stored.items() if file.rpartition("/")[0] == name.rpartition("/")[0]]
        if beside:
            yield from _against(name, groups, beside[0])
        yield from _unlike(name, groups, indices)
        return  # one seed is enough: the code is the same


def _groups(text: str) -> tuple[dict[tuple[str, str], list[Row]], dict[tuple[str, str], dict[str, float]]]:
    """Rows by arm and split, and labels by index."""
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    labels: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for raw in _table(text):
        try:
            key = str(raw["arm"]), str(raw.get("split") or "")
            label, prediction = float(raw["label"]), float(raw["prediction"])
            score = float(raw["score"]) if raw.get("score") else prediction
        except (KeyError, TypeError, ValueError):
            continue
        if math.isfinite(label + prediction + score):
            rows[key].append((label, prediction, score))
            labels[key][str(raw.get("index"))] = label
    return dict(rows), dict(labels)


def _table(text: str) -> list[dict[str, str]]:
    """The rows of a table in CSV; none of a table that Python's reader refuses (a field of megabytes)."""
    try:
        return list(islice(csv.DictReader(text_lines(text)), _MAX_ROWS))
    except csv.Error:
        return []


def metrics(rows: Sequence[Row]) -> dict[str, float]:
    """Every usual metric of labels, predictions and scores."""
    label, prediction, score = np.array(rows, float).T
    found = {
        "accuracy": float(np.mean(label == prediction)),
        "error": float(np.mean(label != prediction)),
        "mean prediction": float(prediction.mean()),
        "mean label": float(label.mean()),
        "mean score": float(score.mean()),
        "squared error": float(np.mean((score - label) ** 2)),
        "absolute error": float(np.mean(np.abs(score - label))),
    }
    if set(np.unique(label)) == {0.0, 1.0}:
        ranks = score.argsort().argsort() + 1.0
        up, down = label.sum(), (1 - label).sum()
        found["AUROC"] = float((ranks[label == 1].sum() - up * (up + 1) / 2) / (up * down))
        found["true positives"] = float(prediction[label == 1].mean())
        found["false positives"] = float(prediction[label == 0].mean())
    return found


def _against(name: str, groups: Groups, run: Leaves) -> Iterator[Decision]:
    """Results of a run that the family's metric does not explain."""
    worked_out = {key: metrics(rows) for key, rows in groups.items() if len(rows) >= 20}
    families: dict[tuple[str, int], list[tuple[Path_, dict[str, float]]]] = defaultdict(list)
    for path, _ in run.items():
        if (key := _belongs(path, worked_out)) is not None:
            families[(path[0], len(path))].append((path, worked_out[key]))
    for members in families.values():
        if len(members) < 4:
            continue
        off = {
            metric: [abs(run[path] - found[metric]) for path, found in members if metric in found]
            for metric in members[0][1]
        }
        metric = min(off, key=lambda one: median(off[one]) if off[one] else 9.0)
        typical = median(off[metric])
        scale = float(np.ptp([run[path] for path, _ in members])) or 1.0
        for path, found in members:
            gap = abs(run[path] - found.get(metric, run[path]))
            if typical < 0.04 * scale and gap > max(0.2 * scale, 5 * typical):
                yield Decision(
                    "mistake",
                    "recomputed",
                    min(1.0, 0.4 + gap / scale),
                    f"{'.'.join(path)} is {run[path]:.3f}, but the predictions give a {metric} of {found[metric]:.3f}",
                    f"The {metric} of the stored predictions explains the other results of this kind (they differ "
                    f"by {typical:.3f}), but not this one: it is "
                    "computed otherwise, or from other data.",
                    (name,),
                )


def _belongs(path: Path_, keys: Mapping[tuple[str, str], object]) -> tuple[str, str] | None:
    """The arm and the split of a result: the arm's whole name, and the part of the split's name that no other split
    has."""
    fitting = []
    for arm, split in keys:
        rest = [part for part in path if part != arm]
        if len(rest) == len(path):
            continue
        splits = {other for one, other in keys if one == arm}
        if len(splits) == 1 or any(part == split or part in re.split(r"[_=:/ ]", split) for part in rest):
            fitting.append((arm, split))
    return fitting[0] if len(fitting) == 1 else None


def _unlike(name: str, groups: Groups, labels: Mapping[tuple[str, str], Mapping[str, float]]) -> Iterator[Decision]:
    """Arms that are scored on different labels, or on different numbers of labels."""
    by_split: dict[str, list[str]] = defaultdict(list)
    for arm, split in groups:
        by_split[split].append(arm)
    for split, arms in by_split.items():
        first = labels[(arms[0], split)]
        for arm in arms[1:]:
            other = labels[(arm, split)]
            shared = first.keys() & other.keys()
            if len(groups[(arm, split)]) != len(groups[(arms[0], split)]):
                yield Decision("arms", "unlike_counts", 0.4, f"{arm} and {arms[0]} are scored on different numbers of examples",
                                f"On {split} there are {len(groups[(arm, split)])} and "
                                f"{len(groups[(arms[0], split)])} predictions: the arms are compared on different "
                                "data.",
                                (name,))  # fmt: skip
            elif (
                len(shared) >= 20
                and set(first.values()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
                and (share := sum(first[i] != other[i] for i in shared) / len(shared)) > 0
            ):
                yield Decision("arms", "unlike_labels", min(0.8, 2 * share), f"{arm} and {arms[0]} have other labels on the same examples",
                                f"On {split} {percent(share, 0)} of the labels differ between the arms.", (name,))  # fmt: skip
