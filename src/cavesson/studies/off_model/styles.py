"""H4 where the voices of reasoning traces are not recorded: a classifier tells the student's own style from its teacher's.

It learns from what the untouched student and the teacher wrote on the benchmark, and calls every trace after SFT one or the
other. Where voices are known (the tiny world's maths) it is checked against them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from cavesson.analysis.styles import FEWEST, TOLD_APART, StyleJudge, learn_styles
from cavesson.evals.scores import Score, Scores
from cavesson.findings.views import TableView
from cavesson.stats import Estimate
from cavesson.studies.off_model.results import Cell, OffModelResults, commonest, own_voice
from cavesson.studies.off_model.switching import own_and_other, rate_among

OWN = "own"
"""The voice of a trace that is called the student's; any other is its teacher's, by the teacher's name."""


def heard(results: OffModelResults) -> OffModelResults:
    """The results with voices recorded wherever the two styles can be told apart and nobody recorded them before."""
    return replace(results, cells=[_heard(results, cell) for cell in results.cells])


def _heard(results: OffModelResults, cell: Cell) -> Cell:
    label = results.reasoning
    judge = None if cell.hears(label) else _judge(results, cell)
    if judge is None:
        return cell
    cell = replace(cell, told_apart=judge.accuracy)
    if not judge.tells:
        return cell
    return replace(
        cell,
        scores=tuple(_named(scores, judge, cell.teacher, label) for scores in cell.scores),
        recovery=tuple(_named(scores, judge, cell.teacher, label) for scores in cell.recovery),
    )


def _judge(results: OffModelResults, cell: Cell) -> StyleJudge | None:
    """None for the on-model control, and for too few traces of the teacher."""
    if cell.on_model:
        return None
    answers = [None if row is None else row.completion for row in results.of_teacher(cell)]
    return learn_styles(_texts(cell.scores[0].cell(results.reasoning, 0)), answers)


def _texts(rows: Sequence[Score]) -> list[str]:
    return [row.completion for row in rows]


def _named(scores: Scores, judge: StyleJudge, teacher: str, label: str) -> Scores:
    """The scores with a voice on every trace of that evaluation; an empty trace has none."""
    voices = {
        (row.step, row.item): (teacher if foreign else OWN) if row.completion.strip() else None
        for step in scores.steps
        for row, foreign in _called(scores.cell(label, step), judge)
    }
    rows = [
        replace(row, extra={**row.extra, "voice": voices[row.step, row.item]}) if row.eval == label else row
        for row in scores.rows
    ]
    return Scores(rows, scores.source)


def _called(rows: Sequence[Score], judge: StyleJudge) -> Iterator[tuple[Score, bool]]:
    return zip(rows, judge.second(_texts(rows)), strict=True)


def agreement(results: OffModelResults, cell: Cell) -> tuple[Estimate, Estimate] | None:
    """Where voices are known: the classifier's accuracy on the samples, and the share of the traces at the end, over all
    seeds, that it calls own or foreign as they are; those in no voice are neither. None where it has nothing to learn from or to
    be compared with: a teacher in the student's own voice has nothing to tell apart, and of a trace with a hidden part the known
    voice is that of the rest."""
    label = results.reasoning
    if not cell.hears(label) or cell.hides(label) or cell.told_apart is not None:
        return None
    own = own_voice(cell, label)
    teachers = commonest(None if row is None else row.extra.get("voice") for row in results.of_teacher(cell))
    judge = _judge(results, cell) if teachers not in (None, own) else None
    if judge is None:
        return None
    called = np.array([[foreign for _, foreign in _called(s.cell(label, cell.last), judge)] for s in cell.scores])
    is_own, is_other = own_and_other(cell, label, cell.last)
    agreed = rate_among((is_other == called).astype(float), is_own | is_other)
    return None if agreed is None else (judge.accuracy, agreed)


def sections(results: OffModelResults) -> Iterator[TableView]:
    """How well the styles can be told apart: by the classifier where it was needed, or as a check of it."""
    label = results.reasoning
    rows: list[list[Estimate | str | None]] = []
    for cell in results.off_model:
        checked = agreement(results, cell)
        if cell.told_apart is not None:
            said = "voices by the classifier" if cell.hears(label) else "styles cannot be told apart"
            rows.append([cell.name, cell.told_apart, None, said])
        elif checked is not None:
            rows.append([cell.name, checked[0], checked[1], "voices are known: a check"])
    if rows:
        yield TableView(
            title="Styles told apart by a classifier",
            caption=(
                "A classifier of n-grams learns the student's own style and its teacher's from what both wrote on the benchmark "
                f"before any SFT. Accuracy: on prompts held out; below {100 * TOLD_APART:.0f} % no trace is called anything. "
                "Agreement: with the known voice, own or not, of the traces after SFT that have one, where the teacher's is not "
                "the student's own and no reasoning is hidden."
            ),
            columns=["student ← teacher", "accuracy", "agreement", "used for"],
            rows=rows,
        )


def unheard(results: OffModelResults) -> Iterator[str]:
    """For the notes: why H4 is not measured, for each pair for which it is not."""
    for cell in results.off_model:
        if cell.hears(results.reasoning):
            continue
        if cell.told_apart is not None:
            why = f"its style cannot be told from the student's (accuracy {cell.told_apart})"
        elif (cell.student, cell.teacher) not in results.teachers:
            why = f"its own answers to {results.reasoning} are not known (--traces gives them)"
        else:
            why = f"fewer than {FEWEST} prompts are too few to learn its style from"
        yield f"H4 is not measured for the teacher {cell.teacher} of {cell.student} ({cell.way}): {why}."
