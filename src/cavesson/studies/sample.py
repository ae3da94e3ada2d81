"""Scores of one evaluation, seeds by prompts, and what stands in place of a figure that cannot be given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cavesson.analysis.contrasts import difference_across_prompts, mean_over_clusters
from cavesson.estimate import ANY, Bounds, Estimate
from cavesson.stats import Array, average_over, difference_over_seeds, mean_over_seeds


class NotRun(Exception):
    """The results lack what a figure needs. The claim is then "not run", the table's cell empty, the headline left out."""


class NotApplicable(Exception):
    """A figure means nothing here, whatever is run.

    Attributes:
        ours: the figure, where there is one to show all the same.
    """

    def __init__(self, why: str, ours: Estimate | None = None) -> None:
        super().__init__(why)
        self.ours = ours


@dataclass(frozen=True, eq=False)
class Sample:
    """Scores of one evaluation at one step, paired by seed and by prompt wherever two are compared.

    Attributes:
        table: [seeds, prompts].
        seeds: the seed of each row.
        prompts: the identity of each column.
        levels: the difficulty of each column, where there are levels.
        bounds: least and greatest possible score; a difference of two 0/1 scores lies within -1 and 1.
    """

    table: Array
    seeds: tuple[int, ...]
    prompts: tuple[str, ...]
    levels: tuple[int | None, ...] = ()
    bounds: tuple[float, float] = (0.0, 1.0)

    def __sub__(self, other: Sample) -> Sample:
        """The difference on the same prompts and seeds.

        Raises:
            NotRun: the two were not run with the same seeds.
            ValueError: the prompts differ; `across` compares such samples.
        """
        if self.prompts != other.prompts:
            raise ValueError("the samples are of different prompts: compare them with `across`")
        _same_seeds((self, other))
        bounds = (self.bounds[0] - other.bounds[1], self.bounds[1] - other.bounds[0])
        return replace(self, table=self.table - other.table, bounds=bounds)

    def across(self, other: Sample) -> Estimate:
        """The mean of this sample minus that of another one on other prompts, paired by seed."""
        _same_seeds((self, other))
        return difference_across_prompts(self.table, other.table).in_unit("points")

    def at_levels(self, levels: Sequence[int]) -> Sample:
        """The prompts of these levels."""
        return self.only([level in levels for level in self.levels])

    @property
    def by_seed(self) -> dict[int, Sample]:
        """Each seed on its own."""
        rows = {seed: self.table[row : row + 1] for row, seed in enumerate(self.seeds)}
        return {seed: replace(self, table=table, seeds=(seed,)) for seed, table in rows.items()}

    def only(self, chosen: Sequence[bool]) -> Sample:
        """The chosen prompts.

        Raises:
            NotRun: none is chosen.
        """
        columns = [column for column, keep in enumerate(chosen) if keep]
        if not columns:
            raise NotRun("prompts of that kind")
        levels = tuple(self.levels[column] for column in columns) if self.levels else ()
        return replace(
            self, table=self.table[:, columns], prompts=tuple(self.prompts[column] for column in columns), levels=levels
        )

    @property
    def mean(self) -> float:
        """The mean over seeds and prompts."""
        return float(self.table.mean())

    @property
    def estimate(self) -> Estimate:
        """The mean with the interval that fits: a rate, or a difference that is paired by prompt, in points.

        Columns with one identity are one prompt, asked several times: their luck is one.
        """
        if len(set(self.prompts)) < len(self.prompts):
            found = mean_over_clusters(self.table, self.prompts, bounds=self.bounds)
            return found if self.bounds == (0.0, 1.0) else found.in_unit("points")
        if self.bounds == (0.0, 1.0):
            return mean_over_seeds(self.table)
        if self.bounds == (-1.0, 1.0):
            return difference_over_seeds(np.maximum(self.table, 0), np.maximum(-self.table, 0)).in_unit("points")
        return mean_over_seeds(self.table, bounds=self.bounds).in_unit("points")


def mean_of(samples: Sequence[Sample]) -> Sample:
    """The mean of several samples, prompt by prompt and seed by seed: nothing is selected.

    Raises:
        NotRun: there are no samples, or the samples were not run with the same seeds.
        ValueError: the prompts differ, or rates stand among differences.
    """
    _alike(samples)
    if len({sample.prompts for sample in samples}) > 1:
        raise ValueError("a mean needs samples of the same prompts")
    return replace(samples[0], table=np.mean([sample.table for sample in samples], axis=0))


def pooled(samples: Sequence[Sample]) -> Sample:
    """Several evaluations of the same models as one, their prompts one after the other; errors as of `mean_of`."""
    _alike(samples)
    return replace(
        samples[0],
        table=np.concatenate([sample.table for sample in samples], axis=1),
        prompts=tuple(prompt for sample in samples for prompt in sample.prompts),
        levels=tuple(level for sample in samples for level in sample.levels),
    )


def _alike(samples: Sequence[Sample]) -> None:
    """Refuse samples that cannot become one sample."""
    if not samples:
        raise NotRun("anything to average")
    _same_seeds(samples)
    if len({sample.bounds for sample in samples}) > 1:
        raise ValueError("rates and differences of rates have no common mean")


def _same_seeds(samples: Sequence[Sample]) -> None:
    one, *others = (sample.seeds for sample in samples)
    for two in others:
        if one != two:
            raise NotRun(f"the same seeds on both sides, not {', '.join(map(str, one))} and {', '.join(map(str, two))}")


def mean_of_figures(
    values: Array | Sequence[float], n: int | None = None, unit: str = "seed", bounds: Bounds = ANY
) -> Estimate:
    """The mean of one figure of each unit, [units], where nothing but their spread is known: Student's t over units.

    Args:
        n: number of prompts behind the figures; None: the number of units.

    Raises:
        NotRun: there is one unit, whose figure says nothing about others.
    """
    count = len(values)
    if count < 2:
        raise NotRun(f"a second {unit}")
    found = average_over(values, np.zeros((count, 1)), n=n or count, unit=unit, bounds=bounds)
    return replace(found, method=found.method.replace("prompts and ", "", 1))
