"""How much of what SFT cost a few steps on own answers bring back, as a share of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cavesson.analysis.claims import ClaimResult, at_least, not_run
from cavesson.analysis.contrasts import share_regained
from cavesson.evals.scores import Scores
from cavesson.stats import Estimate
from cavesson.studies.off_model.falls import ends
from cavesson.studies.off_model.results import Cell, OffModelResults, lost

ENOUGH_STEPS = 16
MOST = 0.5
"""Most of a loss is back with this share of it."""


def regained(cells: Sequence[Cell], label: str, step: int) -> Estimate:
    """Share of the loss that so many steps on own answers bring back: (recovered − damaged) / (untouched − damaged).

    Over several pairs, the share of all that they lost: one that lost little counts for little. Pairs are as they are.
    """
    damaged, before = ends(cells, label)
    now = np.mean([cell.recovered(label, step) for cell in cells], axis=0)
    share = share_regained(before, damaged, now)
    pairs = "" if len(cells) == 1 else f"; {len(cells)} student-teacher pairs as they are"
    return replace(share, method=f"{share.method}{pairs}")


def few_steps_restore(results: OffModelResults) -> ClaimResult:
    """At most 16 steps on own outputs bring back at least half of what was lost, over all pairs that fell.

    The pairs that fell beyond chance are taken together: the share of one that lost little is decided by one or two prompts
    or by one seed, and among many such shares some fall short by chance alone. How they stand one by one is told beside it.
    That they were chosen by their fall flatters the share a little.
    """
    return _most_is_back(results.off_model, results.reasoning, results.reasoning)


def hard_levels_return(results: OffModelResults) -> ClaimResult:
    """The same of what was lost at the hardest two levels, over all pairs that fell there."""
    label = results.reasoning
    levels = results.cells[0].levels(label)[-2:]
    if len(levels) < 2:
        return not_run("a benchmark of several levels")
    hard = [_of_levels(cell, label, levels) for cell in results.off_model]
    return _most_is_back(hard, label, f"{label} at levels {levels[0]} and {levels[1]}")


def _most_is_back(cells: Sequence[Cell], label: str, of: str) -> ClaimResult:
    fallen = [cell for cell in cells if few_steps(cell) is not None and lost(cell, label)]
    steps = few_steps(fallen[0]) if fallen else None
    if steps is None:
        return not_run(f"a few steps of recovery of a student whose {of} fell beyond chance")
    what = f"the share of the lost {of} regained after {steps} steps"
    together = at_least(regained(fallen, label, steps), MOST, what)
    alone = Counter(at_least(regained([cell], label, steps), MOST, what).verdict for cell in fallen)
    told = f"One by one it holds for {alone['holds']}, does not for {alone['does not hold']}, is undecided for {alone['undecided']}."
    return replace(together, reason=f"{together.reason} {told}" if len(fallen) > 1 else together.reason)


def few_steps(cell: Cell) -> int | None:
    """The last step of the recovery that was scored within 16; None where none was."""
    steps = cell.recovery[0].steps if cell.recovery else []
    return max((step for step in steps if 0 < step <= ENOUGH_STEPS), default=None)


def _of_levels(cell: Cell, label: str, levels: Sequence[int]) -> Cell:
    def of(tables: Sequence[Scores]) -> tuple[Scores, ...]:
        kept = ([row for row in table.rows if row.eval == label and row.level in levels] for table in tables)
        return tuple(Scores(rows) for rows in kept)

    return replace(cell, scores=of(cell.scores), recovery=of(cell.recovery))
