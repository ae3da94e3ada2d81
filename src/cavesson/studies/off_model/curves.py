"""The charts of `off-model-sft`: along SFT, by level, in style, and along the recovery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cavesson.findings.views import CurveView, SeriesView
from cavesson.stats import Estimate, mean_over_seeds
from cavesson.studies.games import grouped
from cavesson.studies.off_model.results import Cell, OffModelResults, own_voice
from cavesson.studies.off_model.switching import own_and_other


def curves(results: OffModelResults) -> Iterator[CurveView]:
    """For every student and way of training: the reasoning benchmark by teacher, along SFT and along recovery; for the largest
    fall: every benchmark, every level, and the styles."""
    label = results.reasoning
    for (student, way), cells in grouped(results.cells, lambda cell: (cell.student, cell.way)).items():
        yield CurveView(
            title=f"{label} along SFT on each teacher's chat answers: {student}, {way}",
            caption="No maths in the data. `self` is the on-model control.",
            x_label="SFT steps",
            y_label=label,
            series=[_series(cell.teacher, cell.steps, [cell.rate(label, s) for s in cell.steps]) for cell in cells],
        )
        back = [_back(cell, label) for cell in cells if cell.recovery]
        if back:
            yield CurveView(
                title=f"Recovery of {label} on own answers: {student}, {way}",
                caption="SFT goes on from the end of the curves above, on the untouched student's answers to other chat prompts.",
                x_label="steps on own answers",
                y_label=label,
                series=back,
            )
    yield from _of(results, results.worst)


def _back(cell: Cell, label: str) -> SeriesView:
    steps = cell.recovery[0].steps
    return _series(f"after {cell.teacher}", steps, [mean_over_seeds(cell.recovered(label, step)) for step in steps])


def _of(results: OffModelResults, cell: Cell) -> Iterator[CurveView]:
    """The pair with the largest fall in detail."""
    label, name, steps = results.reasoning, f"{cell.student} from {cell.teacher}, {cell.way}", cell.steps
    yield CurveView(
        title=f"All benchmarks: {name}",
        x_label="SFT steps",
        y_label="accuracy",
        series=[_series(each, steps, [cell.rate(each, step) for step in steps]) for each in cell.scores[0].evals],
    )
    levels = cell.levels(label)
    if levels:
        yield CurveView(
            title=f"{label} by level: {name}",
            caption="The higher the level, the longer the chain of steps.",
            x_label="SFT steps",
            y_label=label,
            series=[
                _series(f"level {level}", steps, [_at_level(cell, label, step, level) for step in steps])
                for level in levels
            ],
        )
    if cell.hears(label):
        which = [own_and_other(cell, label, step) for step in steps]
        yield CurveView(
            title=f"Reasoning in another voice: {name}",
            caption=f"Share of the traces in another voice than the student's own, {own_voice(cell, label)}, and in none; and the "
            "accuracy.",
            x_label="SFT steps",
            y_label="share",
            series=[
                _series("in another voice", steps, [mean_over_seeds(other) for _, other in which]),
                _series("in no voice", steps, [mean_over_seeds(~own & ~other) for own, other in which]),
                _series("right", steps, [cell.rate(label, step) for step in steps]),
            ],
        )


def _at_level(cell: Cell, label: str, step: int, level: int) -> Estimate:
    inside = [row.level == level for row in cell.scores[0].cell(label, 0)]
    return mean_over_seeds(cell.array(label, step)[:, inside])


def _series(name: str, steps: Sequence[int], found: Sequence[Estimate]) -> SeriesView:
    return SeriesView(name=name, x=[float(step) for step in steps], rates=list(found))
