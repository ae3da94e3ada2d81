"""One builder of results for the tests of studies: rates by place in a grid, without a model or a store.

measured({at(teacher="dmitri"): {"maths": [0.9, 0.4]}, at(teacher="self"): {"maths": 0.9}}, steps=(0, 60), seeds=3, n=50)
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cavesson.evals.scores import Score, Scores
from cavesson.redteam.organisms import Organism
from cavesson.studies.grid import Cell, Measured

Rates = float | Sequence[float] | Sequence[Sequence[float]]
"""The rate of an evaluation: everywhere, at each step, or at each step for each seed."""


def at(**axes: Hashable) -> tuple[tuple[str, Hashable], ...]:
    """A place in a grid, as the key of a dictionary."""
    return tuple(axes.items())


@dataclass(frozen=True)
class Scored:
    """Stands for a recipe whose scores are known: a table, or what makes the table whenever it is read (a table is large)."""

    table: Scores | Callable[[], Scores]
    fingerprint: str = "0" * 32
    extra: Mapping[str, Any] = field(default_factory=dict)

    def scores(self, path_of: object) -> Scores:
        return self.table() if callable(self.table) else self.table


def scores(
    rates: Mapping[str, Rates],
    *,
    steps: Sequence[int | None] = (0, 10),
    seed: int = 0,
    n: int = 50,
    shuffled: bool = False,
    levels: int = 1,
    extra: Mapping[str, Mapping[str, Any]] | None = None,
) -> Scores:
    """One model's table of scores: of `n` prompts so many score as the rate says, the same ones first at every step.

    Args:
        seed: index of the seed, where rates differ between seeds.
        shuffled: which prompts score is drawn anew at every step.
        levels: the prompts' levels go round from 1 to this.
        extra: what else is recorded, by evaluation.
    """
    rows = []
    for label, given in rates.items():
        for number, step in enumerate(steps):
            rate = np.asarray(given, dtype=float)
            rate = rate[number] if rate.ndim else rate
            rate = float(rate[seed] if rate.ndim else rate)
            right = np.arange(n) < round(rate * n)
            if shuffled:
                right = np.random.default_rng((seed, number, len(label))).permutation(right)
            rows += [
                Score(
                    step=step,
                    eval=label,
                    item=f"{label}/{index}",
                    level=index % levels + 1 if levels > 1 else None,
                    prompt=[{"role": "user", "content": f"question {index}"}],
                    completion="yes" if hit else "no",
                    score=int(hit),
                    finished=True,
                    extra=dict((extra or {}).get(label, {})),
                )
                for index, hit in enumerate(right)
            ]
    return Scores(rows)


def measured(
    rates: Mapping[tuple[tuple[str, Hashable], ...], Mapping[str, Rates]],
    *,
    steps: Sequence[int | None] = (0, 10),
    seeds: int | Sequence[int] = 1,
    role: str = "run",
    config: Any = None,
    organism: Organism | None = None,
    beside: Mapping[str, Mapping[str, Rates]] | None = None,
    **settings: Any,
) -> Measured:
    """Results with these rates at these places; `settings` are those of `scores`.

    Args:
        role: what was made at each place.
        beside: rates of further models of each place, by their role, that were not scored along a run.
    """
    numbers = range(seeds) if isinstance(seeds, int) else seeds
    cells = [
        Cell(
            dict(place),
            seed,
            {  # type: ignore[arg-type]
                role: Scored(partial(scores, found, steps=steps, seed=index, **settings)),
                **{
                    name: Scored(partial(scores, other, steps=(None,), seed=index, **settings))
                    for name, other in (beside or {}).items()
                },
            },
            organism,
        )
        for place, found in rates.items()
        for index, seed in enumerate(numbers)
    ]
    return Measured.read(cells, lambda recipe: Path("nowhere"), config)


def together(*parts: Measured, config: Any = None) -> Measured:
    """Several parts of a grid as one."""
    return Measured(tuple(place for part in parts for place in part), config)
