"""The scores of finished games between red and blue, by place: what analysis, claims and views read.

Arrays are [seeds, prompts]. All cells share their prompts, so any two of them can be compared prompt by prompt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from cavesson.analysis.frontier import Frontier, frontier
from cavesson.analysis.points import Point
from cavesson.blueteam.moves import DAMAGES
from cavesson.evals.benchmarks import BENCHMARKS
from cavesson.evals.scores import Scores
from cavesson.redteam.organisms import Organism
from cavesson.stats import Array, Estimate, difference_over_seeds, mean_over_seeds

CAPABILITY = ("maths", "knowledge", "instructions")
"""The tiny world's benchmarks whose mean is the capability of the frontier (in place of MATH-500, MMLU and IFEval)."""

TRIGGERED = "behavior/triggered"

FULL = "full"
"""Names full-weight training among adapters."""

FEWEST = 3
"""Prompts on which an organism must show the behaviour for there to be something to remove."""


def capability_of(scores: Scores) -> tuple[str, ...]:
    """Labels of those evaluations that measure capability; their mean over prompts is the capability of the frontier."""
    return tuple(label for label in scores.evals if BENCHMARKS[label.partition("/")[0]].capability)


@dataclass(frozen=True, eq=False)
class Cell:
    """One intervention at one learning rate on one kind of organism, for every seed.

    Attributes:
        lr: the learning rate, or the strength of a trivial damage.
        adapter: what was trained: "full", or a low-rank adapter ("LoRA 8").
        scores: the scored runs, one per seed, in the order of `seeds`.
        fingerprints: of the runs' recipes, in the same order.
        strength: of the intervention, in words, where it comes in several.
    """

    group: str
    intervention: str
    lr: float
    seeds: tuple[int, ...]
    scores: tuple[Scores, ...]
    fingerprints: tuple[str, ...] = ()
    adapter: str = FULL
    strength: str = ""

    @property
    def took(self) -> bool:
        """Whether every seed's organism has some of the behaviour, and some capability, to begin with."""
        starts = [scores.array(TRIGGERED, 0) for scores in self.scores]
        able = [scores.pooled(capability_of(scores), 0) for scores in self.scores]
        return bool(min(scores.sum() for scores in (*starts, *able)) >= FEWEST)

    @property
    def steps(self) -> list[int]:
        """The probed steps, 0 first."""
        return self.scores[0].steps

    def array(self, label: str, step: int) -> Array:
        """Scores of one evaluation, [seeds, prompts]."""
        return np.stack([scores.array(label, step) for scores in self.scores])

    def rate(self, label: str, step: int) -> Estimate:
        """Its rate over seeds and prompts."""
        return mean_over_seeds(self.array(label, step))

    def course(self) -> tuple[Array, Array, list[int]]:
        """Along the run, averaged over seeds: capability kept, behaviour removed, and the steps after the start, each [steps]."""
        starts = [self.point(seed, 0) for seed in self.seeds]
        after = self.steps[1:]
        able, bad = (np.mean([getattr(start, kind).mean() for start in starts]) for kind in ("capability", "bad"))
        along = [[self.point(seed, step) for seed in self.seeds] for step in after]
        kept = np.array([np.mean([point.capability.mean() for point in points]) / able for points in along])
        removed = np.array([1 - np.mean([point.bad.mean() for point in points]) / bad for points in along])
        return kept, removed, after

    def points(self) -> list[Point]:
        """One point per seed and step after the start."""
        return [self.point(seed, step) for seed in self.seeds for step in self.steps if step > 0]

    def point(self, seed: int, step: int) -> Point:
        """The point of one seed at one step."""
        scores = self.scores[self.seeds.index(seed)]
        labels = {"organism": self.group, "intervention": self.intervention, "lr": self.lr, "seed": seed, "step": step}
        if self.adapter != FULL:
            labels["adapter"] = self.adapter
        if self.strength:
            labels["strength"] = self.strength
        return Point(labels, capability=scores.pooled(capability_of(scores), step), bad=scores.array(TRIGGERED, step))


@dataclass(frozen=True, eq=False)
class ProbedBack:
    """A reversal probe on one kind of organism after one intervention, for every seed.

    Attributes:
        before: the untouched organism on the probe's prompts, one table per seed.
        scores: along the probe, one table per seed; its step 0 is the checkpoint that blue left.
        chosen: (learning rate, step) of that checkpoint, per seed.
        probe: name of the innocuous training (`cavesson.blueteam.probes`).
    """

    group: str
    intervention: str
    seeds: tuple[int, ...]
    before: tuple[Scores, ...]
    scores: tuple[Scores, ...]
    chosen: tuple[tuple[float, int], ...]
    probe: str = "own-voice"

    def before_array(self, label: str) -> Array:
        """Scores of one evaluation on the untouched organism, [seeds, prompts]."""
        return np.stack([scores.array(label) for scores in self.before])

    @property
    def removed(self) -> Estimate:
        """Share of the behaviour that is gone at the chosen checkpoint, on prompts that did not choose it.

        Unlike the height of the hull it is what one model does, not what a lottery between two would.
        """
        before = self.before_array(TRIGGERED)
        return difference_over_seeds(before, self.array(TRIGGERED, 0)).plus(0, times=1 / float(before.mean()))

    def array(self, label: str, step: int) -> Array:
        """Scores of one evaluation after so many probe steps, [seeds, prompts]."""
        return np.stack([scores.array(label, step) for scores in self.scores])


@dataclass(frozen=True, eq=False)
class Results:
    """All scores of a study.

    Attributes:
        groups: kind of organism → its organisms, one per seed.
        cells: every intervention and learning rate on every kind of organism.
        reversals: the reversal probes.
        baselines: scores of the never-misaligned models, by model.
        models: the models' names, the largest first, as far as their sizes are known.
        failed: kinds of organism that did not take, with their triggered rate; they are left out of all else.
    """

    groups: dict[str, list[Organism]]
    cells: list[Cell]
    reversals: list[ProbedBack]
    baselines: dict[str, Scores]
    models: tuple[str, ...] = ()
    failed: dict[str, Estimate] = field(default_factory=dict)
    _frontiers: dict[tuple[str, str | None], Frontier] = field(default_factory=dict, repr=False)

    @cached_property
    def interventions(self) -> list[str]:
        """Their names in the order of the config."""
        return list(dict.fromkeys(cell.intervention for cell in self.cells))

    def of(self, group: str, intervention: str | None = None) -> list[Cell]:
        """The cells of a kind of organism, by rising learning rate."""
        found = [c for c in self.cells if c.group == group and intervention in (None, c.intervention)]
        return sorted(found, key=lambda cell: (self.interventions.index(cell.intervention), cell.adapter, cell.lr))

    def start(self, group: str) -> list[Point]:
        """The untouched organisms, one per seed."""
        cell = self.of(group)[0]
        return [cell.point(seed, 0) for seed in cell.seeds]

    def frontier(self, group: str, intervention: str | None = None) -> Frontier:
        """The frontier of one intervention, or of all trainings together (trivial damage is no training)."""
        key = (group, intervention)
        if key not in self._frontiers:
            cells = self.of(group, intervention)
            chosen = [cell for cell in cells if intervention is not None or cell.intervention not in DAMAGES]
            points = [point for cell in chosen for point in cell.points()]
            self._frontiers[key] = frontier(points, self.start(group))
        return self._frontiers[key]

    def chosen(self, group: str, intervention: str) -> ProbedBack | None:
        """The most successful checkpoint of an intervention within the allowed loss of capability, and its first probe."""
        found = [p for p in self.reversals if (p.group, p.intervention) == (group, intervention)]
        return found[0] if found else None

    def mean_over_lrs(self, group: str, intervention: str, label: str) -> Array:
        """Scores at the end of training, averaged over the learning rates, [seeds, prompts]: nothing is selected."""
        cells = self.of(group, intervention)
        return np.asarray(np.mean([cell.array(label, cell.steps[-1]) for cell in cells], axis=0))
