"""From the artifacts of `off-model-sft` to a `StudyResult`: the matrix, curves, hypotheses, arms, claims and transcripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bridle.analysis.claims import judge
from bridle.evals.benchmarks import BENCHMARKS
from bridle.lab.recipe import PathOf
from bridle.stats import difference_over_seeds, mean_ci, paired_difference
from bridle.studies import (
    off_model_frontiers,
    off_model_game,
    off_model_noise,
    off_model_perplexity,
    off_model_rl,
    off_model_styles,
)
from bridle.studies.about import About
from bridle.studies.config import Resolved
from bridle.studies.game_views import claim_view
from bridle.studies.games import grouped
from bridle.studies.off_model_claims import CLAIMS
from bridle.studies.off_model_config import OffModelConfig
from bridle.studies.off_model_curves import curves
from bridle.studies.off_model_gather import gather
from bridle.studies.off_model_hypotheses import Finding, findings
from bridle.studies.off_model_recovery import regained
from bridle.studies.off_model_results import ArmCell, Cell, OffModelResults, lost
from bridle.studies.off_model_switching import switching
from bridle.studies.off_model_teachers import ABOUT_ARMS
from bridle.studies.off_model_transcripts import transcripts
from bridle.studies.result import MeasureView, Rate, StudyResult, TableView
from bridle.studies.sections import Sections, joined

if TYPE_CHECKING:
    from bridle.studies.off_model_sft import Layout

Row = list[Rate | str | None]

UNWRITABLE = 5.0
"""Mean loss, in nats a token, above which data are no text that the student could have written."""


def report(resolved: Resolved, layout: Layout, path_of: PathOf, about: About) -> StudyResult:
    """The whole result."""
    config = resolved.config
    assert isinstance(config, OffModelConfig)
    reasoning = config.evaluation.capability()[0].label
    results = off_model_styles.heard(gather(layout, reasoning, config.arms_teacher, path_of))
    found = findings(results)
    likelihoods, places = off_model_perplexity.sections(layout.runs, path_of)
    tables = [
        _summary(results),
        _recovered(results),
        _matrix(results),
        _levels(results),
        _hypotheses(found),
        _teachers(results),
        _styles(results),
    ]
    main = Sections(
        headline=list(_headline(results, found)),
        measures=[_measure(label) for label in results.cells[0].scores[0].evals],
        curves=[*curves(results), *places, *off_model_noise.curves(results)],
        tables=[
            *(table for table in tables if table is not None),
            *off_model_styles.sections(results),
            *_arms(results),
            *likelihoods,
            *_tokens(layout, results, path_of),
            *off_model_noise.table(results),
        ],
        claims=[claim_view(claim, result) for claim, result in judge(CLAIMS, results)],
        transcripts=list(transcripts(results)),
        notes=_notes(config, results),
    )
    return StudyResult(
        study=resolved.study.name,
        preset=resolved.preset,
        title=resolved.study.title,
        config=about.config,
        environment=about.environment,
        recipes=about.recipes,
        **joined([main, *_blocks(config, layout, results, path_of)]).parts(),
    )


def _blocks(config: OffModelConfig, layout: Layout, results: OffModelResults, path_of: PathOf) -> Iterator[Sections]:
    """The blocks of the study that the config asks for."""
    if config.recovery.rl is not None:
        yield off_model_rl.sections(config.recovery.rl, results)
    if config.mitigation is not None and layout.mitigations is not None:
        yield off_model_frontiers.sections(config.mitigation, layout.mitigations, path_of)
    if config.poisoning is not None and layout.poisonings is not None:
        yield off_model_game.sections(config.poisoning, layout.poisonings, path_of)


def _measure(label: str) -> MeasureView:
    about = BENCHMARKS[label.partition("/")[0]].about
    return MeasureView(id=label, title=label, kind="capability", description=about)


def _summary(results: OffModelResults) -> TableView:
    """Every pair: change of each benchmark, and what comes back."""
    labels = results.cells[0].scores[0].evals
    rows: list[Row] = []
    for cell in results.cells:
        changes = [Rate.of(cell.change(label), "points") for label in labels]
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
            _name(cell),
            *(
                Rate.of(difference_over_seeds(cell.recovered(label, steps), cell.array(label, 0)), "points")
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
            Rate.of(found[name].change(results.reasoning), "points") if name in found else None for name in teachers
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
        [_name(cell), *(Rate.of(cell.change_at(label, [level]), "points") for level in levels)]
        for cell in results.cells
    ]
    return TableView(
        title=f"Change of {label} by level",
        caption="Final minus start; the higher the level, the longer the chain of steps.",
        columns=["student ← teacher", *(f"level {level}" for level in levels)],
        rows=rows,
        shade="good",
    )


def _hypotheses(found: Sequence[Finding]) -> TableView:
    rows: list[Row] = [
        [one.hypothesis, one.what, one.predicts, None if one.ours is None else Rate.of(one.ours, one.unit), one.ruling]
        for one in found
    ]
    return TableView(
        title="The four hypotheses",
        caption=(
            "Each measurement could have come out the other way. \"Ruled out\": the interval excludes what the hypothesis "
            "predicts, as the explanation of the fall here."
        ),
        columns=["hypothesis", "measured", "it predicts", "here", "ruling"],
        rows=rows,
    )  # fmt: skip


def _teachers(results: OffModelResults) -> TableView | None:
    """How well the teachers reason themselves, beside their students."""
    label = results.reasoning
    pairs = {(cell.student, cell.teacher): results.reasoning_of(cell) for cell in results.off_model}
    rows: list[Row] = [
        [
            f"{student} ← {teacher}",
            *(Rate.of(mean_ci(one)) for one in scores),
            Rate.of(paired_difference(*scores), "points"),
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


def _styles(results: OffModelResults) -> TableView | None:
    """Which voice the reasoning is in, and how it fares in each."""
    rows: list[Row] = []
    for cell in results.cells:
        found = switching(results, cell)
        if found is None:
            continue
        accuracies = [
            None if one is None else Rate.of(one) for one in (found.own_before, found.own_after, found.other_after)
        ]
        rows.append(
            [
                _name(cell),
                f"{found.own} → {found.voice or found.own}",
                Rate.of(found.switched),
                *accuracies,
                Rate.of(found.change, "points"),
                None if found.expected is None else Rate.of(found.expected, "points"),
                None if found.explained is None else Rate.of(found.explained),
            ]
        )
    if not rows:
        return None
    return TableView(
        title="Styles of reasoning",
        caption=(
            "The voice of the reasoning traces (A, or \"own\", is the student's): share that switched, accuracy by voice before and "
            "after, the change of accuracy, the change foretold by the untouched student's skill when it is asked to write in "
            "the voice that each trace is in, and the share of the change that falls on traces which switched."
        ),
        columns=[
            "student ← teacher", "voice", "switched", "own, before", "own, after", "other, after", "change", "foretold",
            "explained",
        ],
        rows=rows,
    )  # fmt: skip


def _arms(results: OffModelResults) -> Iterator[TableView]:
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
    change = Rate.of(cell.change(label), "points")
    return [f"plain ({cell.teacher})", f"{cell.answers:,}", "none", f"{_mean(cell.losses):.2f}", change]


def _arm(arm: ArmCell, label: str) -> Iterator[Row]:
    """A row for each system prompt that it is asked under."""
    left = _mean(arm.trained)
    data = ABOUT_ARMS[arm.name] if left == 1 else f"{ABOUT_ARMS[arm.name]} ({left:.1%} of the tokens left)"
    loss = f"{_mean(arm.losses):.2f}" if left else "–"
    for system in (None, *arm.systems):
        said = "none" if system is None else f"{system}: {arm.systems[system]}"
        yield [data, f"{arm.answers:,}", said, loss, Rate.of(arm.change(label, system), "points")]


def _tokens(layout: Layout, results: OffModelResults, path_of: PathOf) -> Iterator[TableView]:
    """Of the arms' teacher, where there are arms: it takes the tokenizer."""
    plain = results.plain
    if results.arms and plain is not None:
        run = next(r for r in layout.runs if (r.student, r.teacher.name) == (plain.student, plain.teacher))
        yield from off_model_perplexity.tokens(run.perplexity, plain.teacher, path_of)


def _headline(results: OffModelResults, found: Sequence[Finding]) -> Iterator[str]:
    label, worst = results.reasoning, results.worst
    control = next((c for c in results.on_model if (c.student, c.way) == (worst.student, worst.way)), None)
    beside = "" if control is None or control is worst else f", its own {Rate.of(control.change(label), 'points')}"
    change = Rate.of(worst.change(label), "points")
    yield f"Chat answers of {worst.teacher} change {label} of {worst.student} by {change}{beside}."
    if len(results.off_model) > 1:
        told = [f"{cell.teacher} {Rate.of(cell.change(label), 'points')}" for cell in _first(results)]
        yield f"After SFT on each teacher's answers, {label} of {results.cells[0].student}: {'; '.join(told)}."
    if not worst.on_model and worst.recovery and lost(worst, label):
        step = worst.recovery[0].steps[-1]
        share = Rate.of(regained([worst], label, step))
        yield f"From the largest fall ({_name(worst)}), {step} steps on own answers to other chat bring back {share} of it{_price(worst, label)}."
    switched = switching(results, worst)
    if switched is not None and switched.other_after is not None:
        yield (
            f"There, {Rate.of(switched.switched)} of the reasoning is in another voice ({switched.voice}), right in "
            f"{Rate.of(switched.other_after)} of cases."
        )
    ruled = list(dict.fromkeys(one.hypothesis for one in found if one.ruling == "ruled out"))
    kept = list(
        dict.fromkeys(one.hypothesis for one in found if one.ruling == "supported" and one.hypothesis not in ruled)
    )
    yield f"Ruled out as the explanation: {', '.join(ruled) or 'none'}; supported: {', '.join(kept) or 'none'}."


def _price(cell: Cell, reasoning: str) -> str:
    """What the recovery costs elsewhere, in words: every other benchmark that it leaves lower than before all training."""
    told = []
    for label in (each for each in cell.scores[0].evals if each != reasoning):
        end = cell.recovered(label, cell.recovery[0].steps[-1])
        left = difference_over_seeds(end, cell.array(label, 0))
        if left.high < 0:
            told.append(f"{label} {Rate.of(left, 'points')}")
    return f", and leave {', '.join(told)}" if told else ""


def _first(results: OffModelResults) -> list[Cell]:
    first = results.cells[0]
    return [cell for cell in results.cells if (cell.student, cell.way) == (first.student, first.way)]


def _notes(config: OffModelConfig, results: OffModelResults) -> list[str]:
    notes = []
    if len(config.seeds) == 1:
        notes.append(
            "One seed: the intervals hold for these prompts and say nothing about the spread between seeds. Quote nothing from it."
        )
    notes.extend(off_model_styles.unheard(results))
    notes.extend(_unwritable(results))
    notes.append(
        "The largest fall is chosen among all pairs on the prompts it is quoted on, which flatters it a little."
    )
    if config.recovery.rl is None:
        notes.append("Not run: recovery by reinforcement learning (recovery.rl).")
    return notes


def _unwritable(results: OffModelResults) -> Iterator[str]:
    """Arms whose data the student could hardly spell."""
    for arm in results.arms:
        if _mean(arm.losses) > UNWRITABLE:
            yield (
                f"The data of the arm {arm.name} are all but impossible for {arm.student} ({_mean(arm.losses):.1f} nats a token, "
                "often for want of tokens for such words): what it loses is damage, and not the effect of another style."
            )


def _name(cell: Cell) -> str:
    return f"{cell.student} ← {cell.teacher}, {cell.way}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
