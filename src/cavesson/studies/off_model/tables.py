"""The tables of `off-model-sft` about students and teachers: what SFT changes, what comes back, styles, and the arms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cavesson.findings.views import TableView
from cavesson.stats import Estimate, difference_over_seeds, mean_ci, paired_difference
from cavesson.studies.games import grouped
from cavesson.studies.off_model.results import ArmCell, Cell, OffModelResults
from cavesson.studies.off_model.switching import Switching, switching
from cavesson.studies.off_model.teachers import ABOUT_ARMS

Row = list[Estimate | str | None]


def tables(results: OffModelResults) -> list[TableView]:
    """What SFT changes and what comes back, in order."""
    found = [_summary(results), _recovered(results), _matrix(results), _levels(results)]
    return [table for table in found if table is not None]


def _summary(results: OffModelResults) -> TableView:
    """Every pair: change of each benchmark, and what comes back."""
    labels = results.cells[0].scores[0].evals
    rows: list[Row] = []
    for cell in results.cells:
        changes = [cell.change(label).in_unit("points") for label in labels]
        rows.append([cell.student, cell.teacher, cell.way, *changes])
    return TableView(
        title="What SFT on chat answers changes",
        caption="Accuracy at the end of SFT minus before, on the same prompts. Teacher `self`: the on-model control.",
        columns=["student", "teacher", "trained", *labels],
        rows=rows,
        shade="good",
    )


def _recovered(results: OffModelResults) -> TableView | None:
    """What is left of the change after the recovery, for every benchmark."""
    cells = [cell for cell in results.cells if cell.recovery]
    if not cells:
        return None
    labels, steps = cells[0].scores[0].evals, cells[0].recovery[0].steps[-1]
    rows: list[Row] = [
        [
            cell.name,
            *(
                difference_over_seeds(cell.recovered(label, steps), cell.array(label, 0)).in_unit("points")
                for label in labels
            ),
        ]
        for cell in cells
    ]
    return TableView(
        title="What is left of it after training on own answers",
        caption=f"Accuracy after {steps} further steps on the student's own answers, minus before all training.",
        columns=["student ← teacher", *labels],
        rows=rows,
        shade="good",
    )


def _matrix(results: OffModelResults) -> TableView | None:
    """Student × teacher."""
    teachers = list(dict.fromkeys(cell.teacher for cell in results.cells))
    places = list(dict.fromkeys((cell.student, cell.way) for cell in results.cells))
    if len(places) < 2:
        return None
    rows: list[Row] = []
    for student, way in places:
        found = {cell.teacher: cell for cell in results.cells if (cell.student, cell.way) == (student, way)}
        changes = [
            (found[name].change(results.reasoning)).in_unit("points") if name in found else None for name in teachers
        ]
        rows.append([f"{student}, {way}", *changes])
    return TableView(
        title=f"Change of {results.reasoning}, student × teacher",
        caption="Final minus start. A student that is its own teacher stands under `self`.",
        columns=["student", *teachers],
        rows=rows,
        shade="good",
    )


def _levels(results: OffModelResults) -> TableView | None:
    """The change by level."""
    label = results.reasoning
    levels = results.cells[0].levels(label)
    if not levels:
        return None
    rows: list[Row] = [
        [cell.name, *(cell.change_at(label, [level]).in_unit("points") for level in levels)] for cell in results.cells
    ]
    return TableView(
        title=f"Change of {label} by level",
        caption="Final minus start; the higher the level, the longer the chain of steps.",
        columns=["student ← teacher", *(f"level {level}" for level in levels)],
        rows=rows,
        shade="good",
    )


def voices(results: OffModelResults) -> list[TableView]:
    """What bears on H1 and H4: the teachers themselves, and the styles of reasoning."""
    found = [(cell, one) for cell in results.cells if (one := switching(results, cell)) is not None]
    return [table for table in (_teachers(results), _styles(found), _explained(found)) if table is not None]


def _teachers(results: OffModelResults) -> TableView | None:
    """How well the teachers reason themselves, beside their students."""
    label = results.reasoning
    pairs = {(cell.student, cell.teacher): results.reasoning_of(cell) for cell in results.off_model}
    rows: list[Row] = [
        [
            f"{student} ← {teacher}",
            *(mean_ci(one) for one in scores),
            paired_difference(*scores).in_unit("points"),
        ]
        for (student, teacher), scores in pairs.items()
        if scores is not None
    ]
    if not rows:
        return None
    return TableView(
        title=f"The teachers' own {label}",
        caption="Accuracy of the teacher, and of the student before any SFT, on the prompts that the teacher has answered.",
        columns=["student ← teacher", "teacher", "student", "difference"],
        rows=rows,
    )


def _styles(switched: Sequence[tuple[Cell, Switching]]) -> TableView | None:
    """Which voice the reasoning is in, and how it fares in each."""
    rows: list[Row] = []
    for cell, found in switched:
        by_voice = (found.own_before, found.own_after, found.other_after)
        rows.append(
            [
                cell.name,
                f"{found.own} → {found.voice or found.own}",
                found.switched,
                found.unvoiced,
                *(None if one is None else one for one in by_voice),
            ]
        )
    if not rows:
        return None
    return TableView(
        title="Styles of reasoning",
        caption=(
            'The voice of the reasoning traces (A, or "own", is the student\'s): share that switched to another, share that shows no '
            "sign of any (damage and not style: in neither column of accuracy), and accuracy by voice before and after. A "
            "classifier, where no voices are recorded, knows two styles and calls every trace one of them, babble too."
        ),
        columns=["student ← teacher", "voice", "switched", "no voice", "own, before", "own, after", "other, after"],
        rows=rows,
    )


def _explained(switched: Sequence[tuple[Cell, Switching]]) -> TableView | None:
    """What of the falls style accounts for."""
    rows: list[Row] = []
    for cell, found in switched:
        if cell.on_model or found.explained is None:
            continue
        foretold = None if found.expected is None else found.expected.in_unit("points")
        rows.append([cell.name, found.change.in_unit("points"), foretold, found.explained])
    if not rows:
        return None
    return TableView(
        title="What style explains of the falls",
        caption=(
            "Of pairs that fell: the change, the change foretold by the untouched student's skill when it is asked to write in the "
            "voice that each trace is in, and the share of the change that falls on traces which switched. That share says "
            "something only where many did not."
        ),
        columns=["student ← teacher", "change", "foretold", "in traces that switched"],
        rows=rows,
    )


def arms(results: OffModelResults) -> Iterator[TableView]:
    """What each arm changes, under each system prompt."""
    for student, arms in grouped(results.arms, lambda arm: arm.student).items():
        plain = results.plain_of(student)
        rows = [] if plain is None else [_plain(plain, results.reasoning)]
        rows += [row for arm in arms for row in _arm(arm, results.reasoning)]
        yield TableView(
            title="Context and data" if student == results.cells[0].student else f"Context and data: {student}",
            caption=(
                f"Change of {results.reasoning} of {student} with one thing varied, scored under system prompts. Loss: of the "
                "untouched student on the data that it is trained on, in nats a token (of the tokens that are left); the "
                "exponential is the perplexity."
            ),
            columns=["trained on", "answers", "asked under", "loss", f"change of {results.reasoning}"],
            rows=rows,
            shade="good",
        )


def _plain(cell: Cell, label: str) -> Row:
    change = cell.change(label).in_unit("points")
    return [f"plain ({cell.teacher})", f"{cell.answers:,}", "none", f"{np.mean(cell.losses):.2f}", change]


def _arm(arm: ArmCell, label: str) -> Iterator[Row]:
    """A row for each system prompt that it is asked under."""
    left = np.mean(arm.trained)
    data = ABOUT_ARMS[arm.name] if left == 1 else f"{ABOUT_ARMS[arm.name]} ({left:.1%} of the tokens left)"
    loss = f"{np.mean(arm.losses):.2f}" if left else "–"
    for system in (None, *arm.systems):
        said = "none" if system is None else f"{system}: {arm.systems[system]}"
        yield [data, f"{arm.answers:,}", said, loss, arm.change(label, system).in_unit("points")]
