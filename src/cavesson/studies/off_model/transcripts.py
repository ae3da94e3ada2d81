"""What the students of `off-model-sft` said before, after SFT and after recovery, side by side."""

from __future__ import annotations

from collections.abc import Iterator

from cavesson.evals.scores import Score, Scores
from cavesson.findings.views import Transcript
from cavesson.studies.off_model.results import OffModelResults
from cavesson.studies.off_model.teachers import ABOUT_ARMS

SHOWN = 8
"""Prompts of each benchmark that are shown per student and teacher; every level is among them."""


def transcripts(results: OffModelResults) -> Iterator[Transcript]:
    """The first student trained the first way, on each teacher in turn, and in each arm (one seed)."""
    first = results.cells[0]
    cells = [cell for cell in results.cells if (cell.student, cell.way) == (first.student, first.way)]
    yield from shown(first.scores[0], 0, "before SFT", f"{first.student}, before")
    for cell in cells:
        yield from shown(cell.scores[0], cell.last, "after SFT", f"after SFT on {cell.teacher}, step {cell.last}")
        if cell.recovery:
            end = cell.recovery[0].steps[-1]
            yield from shown(
                cell.recovery[0], end, "recovery", f"after SFT on {cell.teacher} and {end} steps on own answers"
            )
    for arm in (arm for arm in results.arms if arm.student == first.student):
        label = f"after the arm {arm.name}: {ABOUT_ARMS[arm.name]}"
        yield from shown(arm.scores[0], arm.scores[0].steps[-1], "arm", label)


def shown(scores: Scores, step: int, stage: str, label: str) -> Iterator[Transcript]:
    """The first answers to every benchmark at a step."""
    for name in scores.evals:
        for score in scores.cell(name, step)[:SHOWN]:
            yield Transcript.of(
                score, stage=stage, label=label, outcome=_outcome(score), tone="good" if score.score else "bad"
            )


def _outcome(score: Score) -> str:
    said = "correct" if score.score else "wrong"
    voice = score.extra.get("voice")
    return f"{said}, in voice {voice}" if voice is not None else said
