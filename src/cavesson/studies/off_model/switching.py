"""Style switching in `off-model-sft`: whose voice the traces of reasoning are in, and how they fare in it.

A trace is in the student's own voice, in another one, or in none: what shows no sign of a voice is no style, and how it fares
speaks for damage. So it counts as neither own nor switched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cavesson.analysis.contrasts import share_regained
from cavesson.stats import (
    Array,
    Estimate,
    average_over,
    difference_over_seeds,
    mean_draws,
    mean_over_seeds,
    wilson,
)
from cavesson.studies.off_model.results import Cell, OffModelResults, commonest, lost, own_voice

AUTHOR_OF = {"B": "bruno", "C": "celia", "D": "dmitri", "P": "pirate"}
"""The teacher that a voice of the tiny world is asked for as."""

FEWEST_KEPT = 20
"""Fewer traces than this have no rate to speak of."""

Which = NDArray[np.bool_]


@dataclass(frozen=True)
class Switching:
    """Style switching in one cell: what the reasoning looked like before and after, and how it fared.

    Attributes:
        own: the untouched student's own voice.
        switched: share of the traces that are in another voice at the end.
        unvoiced: share of them that are in none.
        own_before, own_after, other_after: accuracy of traces in the own voice before, and in the own and in another one at
            the end; None where there are no such traces.
        change: the change of accuracy; explained: the share of it that traces which switched account for (None where the
            change is not below zero beyond chance).
        voice: the commonest other voice at the end.
        expected: the change to expect if every trace were as good as the untouched student's when it is asked to write in
            the voice that the trace is in; None where that is not known.
    """

    own: str
    switched: Estimate
    unvoiced: Estimate
    own_before: Estimate | None
    own_after: Estimate | None
    other_after: Estimate | None
    change: Estimate
    explained: Estimate | None
    voice: str | None
    expected: Estimate | None


def switching(results: OffModelResults, cell: Cell) -> Switching | None:
    """Style switching in a cell; None where voices are not recorded."""
    label = results.reasoning
    if not cell.hears(label):
        return None
    before, after = cell.array(label, 0), cell.array(label, cell.last)
    was_own, _ = own_and_other(cell, label, 0)
    is_own, is_other = own_and_other(cell, label, cell.last)
    own, skill = own_voice(cell, label), expected(results, cell)
    return Switching(
        own=own,
        switched=mean_over_seeds(is_other.astype(float)),
        unvoiced=mean_over_seeds((~is_own & ~is_other).astype(float)),
        own_before=rate_among(before, was_own),
        own_after=rate_among(after, is_own),
        other_after=rate_among(after, is_other),
        change=cell.change(label),
        explained=explained([cell], label) if lost(cell, label) else None,
        voice=commonest(voice for row in cell.voices(label, cell.last) for voice in row if voice != own),
        expected=None if skill is None else difference_over_seeds(skill, before),
    )


def own_and_other(cell: Cell, label: str, step: int) -> tuple[Which, Which]:
    """Which traces are in the student's own voice, and which in another one, [seeds, prompts] each."""
    own, voices = own_voice(cell, label), cell.voices(label, step)
    is_own = np.array([[voice == own for voice in row] for row in voices])
    return is_own, np.array([[voice not in (None, own) for voice in row] for row in voices])


def expected(results: OffModelResults, cell: Cell) -> Array | None:
    """The score to expect from the voice of each trace alone, [seeds, prompts]: the untouched student's on that prompt,
    asked to write in that voice. A trace in no voice is expected to score as before: no style accounts for what it loses.
    None where a voice's worth, the student's skill in it, is not known."""
    label = results.reasoning
    if not cell.hears(label):
        return None
    table, own = cell.array(label, 0), own_voice(cell, label)
    for row, voices in zip(table, cell.voices(label, cell.last), strict=True):
        for index, voice in enumerate(voices):
            if voice in (None, own):
                continue
            asked = results.foreign.get((cell.student, AUTHOR_OF.get(str(voice), "")))
            if asked is None:
                return None
            row[index] = asked.array(asked.evals[0])[index]
    return table


def explained(cells: Sequence[Cell], label: str) -> Estimate:
    """The share of all that these cells lost that lies in traces which switched to another voice; seeds and prompts are random.

    It is the share that would be back if those traces scored as before.

    Raises:
        ValueError: they lost nothing.
    """
    before = [cell.array(label, 0) for cell in cells]
    damaged = [cell.array(label, cell.last) for cell in cells]
    others = [own_and_other(cell, label, cell.last)[1] for cell in cells]
    undone = [np.where(other, then, now) for other, then, now in zip(others, before, damaged, strict=True)]
    share = share_regained(*(np.mean(tables, axis=0) for tables in (before, damaged, undone)))
    pairs = "" if len(cells) == 1 else f"; {len(cells)} student-teacher pairs as they are"
    return replace(share, method=f"{share.method}{pairs}")


def kept(cells: Sequence[Cell], label: str) -> Estimate | None:
    """The change at the end of the traces that are in the student's own voice then; seeds and prompts are random. None where
    they are too few."""
    which = [own_and_other(cell, label, cell.last)[0] for cell in cells]
    changes = [cell.array(label, cell.last) - cell.array(label, 0) for cell in cells]
    count = int(sum(own.sum() for own in which))
    if count < FEWEST_KEPT:
        return None
    total = np.sum([change * own for change, own in zip(changes, which, strict=True)], axis=0)
    return _per_trace(total, np.sum(which, axis=0, dtype=float), (-1.0, 1.0))


def rate_among(scores: Array, among: Which) -> Estimate | None:
    """The rate of 0/1 scores among some of the traces, [seeds, prompts] both; seeds and prompts are random. None without any."""
    count = int(among.sum())
    if not count:
        return None
    if len(scores) == 1:
        rate = wilson(int(scores[among].sum()), count)
        return replace(rate, method=f"{rate.method}; one seed: variance between seeds is not included")
    return _per_trace(scores * among, among.astype(float), (0.0, 1.0))


def _per_trace(total: Array, count: Array, bounds: tuple[float, float]) -> Estimate:
    """A mean over traces, of which a seed may have more on one prompt than on another: the ratio of two means, linearised as
    in surveys (Cochran, "Sampling techniques", 1977, chapter 6), so that a seed or prompt counts by its traces.

    Args:
        total: sums of the scores of the traces, [seeds, prompts].
        count: how many they are, likewise.
        bounds: of a score.
    """
    asked = count.any(axis=0)
    total, count = total[:, asked], count[:, asked]
    value = float(total.sum() / count.sum())
    off = (total - value * count) / count.mean()
    # the imagined prompts at the bounds have as many traces as the others
    draws = value + mean_draws(off, (bounds[0] - value, bounds[1] - value))
    found = average_over(value + off.mean(axis=1), draws, n=off.shape[1])
    method = f"{found.method}; {int(count.sum())} traces"
    return Estimate(value, max(found.low, bounds[0]), min(found.high, bounds[1]), found.n, method)
