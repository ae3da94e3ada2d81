"""Style switching in `off-model-sft`: whose voice the traces of reasoning are in, and how they fare in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bridle.stats import Array, Estimate, difference_over_seeds, from_draws, mean_over_seeds, prompt_weights, wilson
from bridle.studies.off_model_results import Cell, OffModelResults, commonest, lost, own_voice

AUTHOR_OF = {"B": "bruno", "C": "celia", "D": "dmitri", "P": "pirate"}
"""The teacher that a voice of the tiny world is asked for as."""


@dataclass(frozen=True)
class Switching:
    """Style switching in one cell: what the reasoning looked like before and after, and how it fared.

    Attributes:
        own: the untouched student's own voice.
        switched: share of the traces that are in another voice at the end.
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
    heard_before, heard = cell.voices(label, 0), cell.voices(label, cell.last)
    before, after = cell.array(label, 0), cell.array(label, cell.last)
    own = own_voice(cell, label)
    skill = expected(results, cell)
    was_own = np.array([[voice == own for voice in row] for row in heard_before])
    is_own = np.array([[voice == own for voice in row] for row in heard])
    return Switching(
        own=own,
        switched=mean_over_seeds((~is_own).astype(float)),
        own_before=_rate(before, was_own),
        own_after=_rate(after, is_own),
        other_after=_rate(after, ~is_own),
        change=cell.change(label),
        explained=_explained(after - before, ~is_own) if lost(cell, label) else None,
        voice=commonest(voice for row in heard for voice in row if voice != own),
        expected=None if skill is None else difference_over_seeds(skill, before),
    )


def expected(results: OffModelResults, cell: Cell) -> Array | None:
    """The score to expect from the voice of each trace alone, [seeds, prompts]: the untouched student's on that prompt,
    asked to write in that voice. None where a voice, or the student's skill in it, is not known."""
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


def _explained(change: Array, switched: Array) -> Estimate:
    """Share of the change, [seeds, prompts], that falls on the traces which switched; prompts are drawn anew."""
    weights = prompt_weights(change.shape[1], extra=2).T
    # two imagined prompts that fell, one of them switched: as in `stats.mean_over_seeds`
    total = _with_imagined(change, (-1, -1)).mean(axis=0) @ weights
    part = _with_imagined(change * switched, (0, -1)).mean(axis=0) @ weights
    value = float((change * switched).sum() / change.sum())
    draws = np.clip(part / np.minimum(total, -1e-9), -10, 10)
    return from_draws(value, draws, n=change.shape[1], method="bootstrap over prompts; seeds as they are")


def _with_imagined(table: Array, values: tuple[float, float]) -> Array:
    """The table, [seeds, prompts], with two imagined prompts at the end of each row."""
    return np.concatenate([table, np.tile(values, (len(table), 1))], axis=1)


def _rate(scores: Array, among: Array) -> Estimate | None:
    """The rate among some of the traces, [seeds, prompts] both; None without any."""
    count = int(among.sum())
    if not count:
        return None
    if len(scores) == 1:
        return wilson(int(scores[among].sum()), count)
    often = (
        among.sum() / among.shape[1]
    )  # two imagined prompts, asked as often as the others: as in `stats.mean_over_seeds`
    weights = prompt_weights(among.shape[1], extra=2).T
    hits = np.append((scores * among).sum(axis=0), (0, often)) @ weights
    asked = np.append(among.sum(axis=0), (often, often)) @ weights
    method = f"bootstrap over prompts; {count} traces, seeds as they are"
    return from_draws(float(scores[among].mean()), hits / asked, n=among.shape[1], method=method)
