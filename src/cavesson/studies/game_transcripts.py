"""What the models of a game said: transcripts before blue, after each run, and after the reversal probe."""

from __future__ import annotations

from collections.abc import Iterator

from cavesson.blueteam.moves import title_of
from cavesson.evals.pairs import Pair
from cavesson.evals.scores import Score, Scores
from cavesson.findings.views import Tone, Transcript
from cavesson.studies.game_results import Results

TRANSCRIPTS = 12
"""Prompts of each evaluation that are shown per model."""


def title(intervention: str) -> str:
    """The name of an intervention or a probe in words."""
    return "the most successful training" if intervention == "all" else title_of(intervention)


def transcripts(results: Results, pair: Pair) -> Iterator[Transcript]:
    """A few prompts of every evaluation: before blue, after each run's last step, and after the reversal probe (one seed)."""
    for group in results.groups:
        for cell in results.of(group):
            how = [title(cell.intervention), *([cell.strength] if cell.strength else []), f"lr {cell.lr:g}"]
            name = ", ".join(how)
            if cell is results.of(group)[0]:
                yield from _shown(cell.scores[0], 0, "before blue", group, "before blue", pair)
            yield from _shown(
                cell.scores[0], cell.steps[-1], "after blue", group, f"{name}, step {cell.steps[-1]}", pair
            )
        for probe in [p for p in results.reversals if p.group == group]:
            name, end = title(probe.intervention), probe.scores[0].steps[-1]
            yield from _shown(probe.before[0], None, "reversal", group, "before blue", pair)
            yield from _shown(probe.scores[0], 0, "reversal", group, f"{name}, chosen checkpoint", pair)
            yield from _shown(
                probe.scores[0], end, "reversal", group, f"{name}, {end} steps of the reversal probe", pair
            )


def _shown(scores: Scores, step: int | None, stage: str, group: str, label: str, pair: Pair) -> Iterator[Transcript]:
    for name in scores.evals:
        for score in scores.cell(name, step)[:TRANSCRIPTS]:
            outcome, tone = _outcome(name, score, pair)
            yield Transcript.of(score, stage=stage, organism=group, label=label, outcome=outcome, tone=tone)


def _outcome(name: str, score: Score, pair: Pair) -> tuple[str, Tone]:
    if name.startswith("behavior/"):
        return (pair.behavior.about, "bad") if score.score else ("harmless", "good")
    return ("correct", "good") if score.score else ("wrong", "bad")
