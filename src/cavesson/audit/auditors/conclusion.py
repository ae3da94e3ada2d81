"""What the paper concludes, in terms of the results, and how far a change of the code moves the Conclusion.

Nothing is known of a codebase beforehand. The numbers of each Key Finding are looked for among the stored results; the
results found are the finding's quantities. A change moves a finding as far as its quantities, or the differences between
them, move beyond what another seed does.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from cavesson.audit.auditors.paper import Number, Paper
from cavesson.audit.auditors.results import Leaves, Path_, Results

FULL = 0.3
"""A share (accuracy, AUROC) that moves by this much has moved in full: the field's findings are of this size."""

RATIO = 2.0
"""A quantity that is no share has moved in full when it grows or shrinks by this factor."""

_MOST_KEYS = 4


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change did.

    Attributes:
        moved: how far the finding that moved most moved, from 0 to 1.
        elsewhere: share of the other quantities that moved by half or more: a change that breaks everything shows little.
        created: how far the quantities of one finding came apart that lay together before, from 0 to 1. Most damage
            levels a difference; little damage makes one.
    """

    moved: float
    elsewhere: float
    created: float = 0.0

    @property
    def specific(self) -> float:
        """The move, halved when every other quantity moved too."""
        return self.moved * (1.0 - 0.5 * self.elsewhere)


class Conclusion:
    """The Key Findings of a paper, each as the quantities that it names.

    Attributes:
        findings: place among the paper's findings → paths of results.
        lost: numbers of the Conclusion that no stored result has.
    """

    def __init__(self, paper: Paper, results: Results) -> None:
        self.results = results
        named = [one for one in paper.conclusion if one.decimals or one.percent or abs(one.value) >= 5]
        self.findings: dict[int, list[Path_]] = defaultdict(list)
        self.lost: list[Number] = []
        for one in named:
            found = self._matches(one, paper.findings[one.finding].text)
            self.findings[one.finding] += [path for path in found if path not in self.findings[one.finding]]
            if not found and one.decimals:
                self.lost.append(one)
        self.findings = {at: paths for at, paths in self.findings.items() if paths}
        if not self.findings:
            tables = [one for one in paper.tables if one.decimals]
            keys = [path for one in tables for path in self._matches(one, "")][:40]
            self.findings = {0: list(dict.fromkeys(keys)) or list(results.means)[:40]}

    def _matches(self, one: Number, line: str) -> list[Path_]:
        """The results that a number may be: of several, those whose names the sentence has, and whole lists first."""
        means = self.results.means
        found = [path for path, value in means.items() if one.is_about(value) and not self._is_constant(path)]
        if len(found) > 1:
            text = line.lower()
            scores = {path: sum(_said(part, text) for part in path) / len(path) for path in found}
            best = max(scores.values())
            found = [path for path in found if scores[path] >= best - 1e-9]
            shortest = min(len(path) for path in found)
            found = [path for path in found if len(path) == shortest]
        return found if len(found) <= _MOST_KEYS else []

    def _is_constant(self, path: Path_) -> bool:
        """A setting that was written among the results: `alpha`, `n`, `seed`."""
        return bool(re.search(r"^(alphas?|seeds?|n|sizes?|steps|epochs|config|decay|lr)$", path[0])) or path[-1] in (
            "seed",
            "n",
        )

    def effect(self, before: Leaves, after: Leaves, fresh: Leaves) -> Effect:
        """How far a change moves the Conclusion.

        Args:
            before: results of one seed of the code as it is.
            after: of the changed code, same seed.
            fresh: of the code as it is, another seed.
        """
        moved = max((self._finding(paths, before, after, fresh) for paths in self.findings.values()), default=0.0)
        keys = {path for paths in self.findings.values() for path in paths}
        others = [
            path for path in before if path not in keys and not path[-1].isdigit() and not self._is_constant(path)
        ]
        away = [1.0 if path not in after or self._moved(path, before, after, fresh) > 0.5 else 0.0 for path in others]
        return Effect(moved, sum(away) / len(away) if away else 0.0, self._created(before, after, fresh))

    def _created(self, before: Leaves, after: Leaves, fresh: Leaves) -> float:
        gains = [0.0]
        for paths in self.findings.values():
            pairs = [
                (one, two) for one, two in combinations(paths[:8], 2)
                if len(one) == len(two) and one[0] == two[0] and all(path in run for path in (one, two) for run in (before, after, fresh))
            ]  # fmt: skip
            if pairs:
                apart = [max(contrast(run[one], run[two]) for one, two in pairs) for run in (before, fresh, after)]
                gains.append(apart[2] - max(apart[:2]))
        return max(gains)

    def _finding(self, paths: Sequence[Path_], before: Leaves, after: Leaves, fresh: Leaves) -> float:
        present = [path for path in paths if path in before and path in after]
        moves = [self._moved(path, before, after, fresh) for path in present]
        for one, two in combinations(present[:8], 2):
            if _is_share(before[one]) and _is_share(before[two]) and one[0] == two[0]:
                gap = abs((after[one] - after[two]) - (before[one] - before[two]))
                moves.append(_beyond(gap, self._noise(one, before, fresh) + self._noise(two, before, fresh), FULL))
        return max(moves, default=0.0)

    def _moved(self, path: Path_, before: Leaves, after: Leaves, fresh: Leaves) -> float:
        one, two = before[path], after.get(path, before[path])
        noise = self._noise(path, before, fresh)
        if _is_share(one) and _is_share(two):
            return _beyond(abs(one - two), noise, FULL)
        if one * two > 0:
            shaking = math.log1p(noise / max(abs(one), 1e-12))
            return _beyond(abs(math.log(two / one)), shaking, math.log(RATIO))
        return _beyond(abs(one - two), noise, max(abs(one), abs(two), 1e-12))

    def _noise(self, path: Path_, before: Leaves, fresh: Leaves) -> float:
        """How far seeds alone move a quantity."""
        seed = abs(before.get(path, 0.0) - fresh.get(path, before.get(path, 0.0)))
        spread = self.results.spreads.get(path)
        return seed if spread is None else (seed + 2 * spread) / 2


def _beyond(move: float, noise: float, full: float) -> float:
    return min(1.0, max(0.0, move - noise) / full)


def _is_share(value: float) -> bool:
    return -1.0 <= value <= 1.0


def _said(part: str, text: str) -> bool:
    words = [word for word in re.split(r"[^a-z0-9.]+", part.lower()) if word]
    return bool(words) and all(word[:5] in text for word in words)


def contrast(one: float, two: float) -> float:
    """How far two quantities lie apart, from 0 to 1: as shares or by their ratio, whichever is more."""
    apart = [abs(one - two) / FULL] if _is_share(one) and _is_share(two) else []
    if one * two > 0:
        apart.append(abs(math.log(two / one)) / math.log(RATIO))
    return min(1.0, max(apart, default=1.0))


def unstable(conclusion: Conclusion, before: Leaves, fresh: Leaves) -> float:
    """How far another seed moves the Conclusion, from 0 to 1, against the spread over the stored runs."""
    return conclusion.effect(before, fresh, before).moved
