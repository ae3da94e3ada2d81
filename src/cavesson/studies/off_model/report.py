"""From the artifacts of `off-model-sft` to a `StudyResult`: the matrix, curves, hypotheses, arms, claims and transcripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cavesson.analysis.claims import judge
from cavesson.evals.benchmarks import BENCHMARKS
from cavesson.findings.about import About
from cavesson.findings.result import StudyResult
from cavesson.findings.views import MeasureView, TableView
from cavesson.lab.recipe import PathOf
from cavesson.stats import difference_over_seeds
from cavesson.studies.game_views import claim_view
from cavesson.studies.games import grouped
from cavesson.studies.off_model import noise, perplexity, rl, styles, tables
from cavesson.studies.off_model.claims import CLAIMS
from cavesson.studies.off_model.config import OffModelConfig
from cavesson.studies.off_model.curves import curves
from cavesson.studies.off_model.gather import gather
from cavesson.studies.off_model.hypotheses import Finding, findings
from cavesson.studies.off_model.recovery import regained
from cavesson.studies.off_model.results import Cell, OffModelResults, lost
from cavesson.studies.off_model.switching import switching
from cavesson.studies.off_model.tables import Row
from cavesson.studies.off_model.transcripts import transcripts
from cavesson.studies.resolve import Resolved
from cavesson.studies.sections import Sections, joined

if TYPE_CHECKING:
    from cavesson.studies.off_model.study import Layout

UNWRITABLE = 5.0
"""Mean loss, in nats a token, above which data are no text that the student could have written."""


def report(resolved: Resolved, layout: Layout, path_of: PathOf, about: About) -> StudyResult:
    """The whole result."""
    config = resolved.config
    assert isinstance(config, OffModelConfig)
    reasoning = config.evaluation.capability()[0].label
    results = styles.heard(gather(layout, reasoning, config.arms_teacher, path_of))
    found = findings(results)
    likelihoods, places = perplexity.sections(layout.runs, path_of)
    main = Sections(
        headline=list(_headline(results, found)),
        measures=[_measure(label) for label in results.cells[0].scores[0].evals],
        curves=[*curves(results), *places, *noise.curves(results)],
        tables=[
            *tables.tables(results),
            _hypotheses(found),
            *tables.voices(results),
            *styles.sections(results),
            *tables.arms(results),
            *likelihoods,
            *_tokens(layout, results, path_of),
            *noise.table(results),
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
        **joined([main, *_blocks(config, results)]).parts(),
    )


def _blocks(config: OffModelConfig, results: OffModelResults) -> Iterator[Sections]:
    """The blocks of the study that the config asks for."""
    if config.recovery.rl is not None:
        yield rl.sections(config.recovery.rl, results)


def _measure(label: str) -> MeasureView:
    about = BENCHMARKS[label.partition("/")[0]].about
    return MeasureView(id=label, title=label, kind="capability", description=about)


def _hypotheses(found: Sequence[Finding]) -> TableView:
    rows: list[Row] = [
        [
            one.hypothesis,
            one.what,
            one.predicts,
            None if one.ours is None else one.ours.in_unit(one.unit),
            f"{one.ruling}: {one.why}" if one.why else one.ruling,
        ]
        for one in found
    ]
    return TableView(
        title="The four hypotheses",
        caption=(
            "Each hypothesis could fail by each of these measurements; where one could not here, it is not applicable and says why. "
            "\"Ruled out\": the interval excludes what the hypothesis predicts, as the explanation of the fall here. \"Not ruled "
            "out\" is no proof: leaving improbable tokens out, for one, also leaves out the style's own words. Every measurement "
            "stands at 95 % on its own, and each kind of noise is a hypothesis of its own."
        ),
        columns=["hypothesis", "measured", "it predicts", "here", "ruling"],
        rows=rows,
    )  # fmt: skip


def _tokens(layout: Layout, results: OffModelResults, path_of: PathOf) -> Iterator[TableView]:
    """Of the arms' teacher, where there are arms: it takes the tokenizer."""
    plain = results.plain
    if results.arms and plain is not None:
        run = next(r for r in layout.runs if (r.student, r.teacher.name) == (plain.student, plain.teacher))
        yield from perplexity.tokens(run.perplexity, plain.teacher, path_of)


def _headline(results: OffModelResults, found: Sequence[Finding]) -> Iterator[str]:
    label, worst = results.reasoning, results.worst
    control = next((c for c in results.on_model if (c.student, c.way) == (worst.student, worst.way)), None)
    beside = "" if control is None or control is worst else f", its own {control.change(label).in_unit('points')}"
    change = worst.change(label).in_unit("points")
    yield f"Chat answers of {worst.teacher} change {label} of {worst.student} by {change}{beside}."
    if len(results.off_model) > 1:
        told = [f"{cell.teacher} {cell.change(label).in_unit('points')}" for cell in _first(results)]
        yield f"After SFT on each teacher's answers, {label} of {results.cells[0].student}: {'; '.join(told)}."
    if not worst.on_model and worst.recovery and lost(worst, label):
        step = worst.recovery[0].steps[-1]
        share = regained([worst], label, step)
        yield f"From the largest fall ({worst.name}), {step} steps on own answers to other chat bring back {share} of it{_price(worst, label)}."
    switched = switching(results, worst)
    if switched is not None and switched.other_after is not None:
        yield (
            f"There, {switched.switched} of the reasoning is in another voice ({switched.voice}), right in "
            f"{switched.other_after} of cases."
        )
    yield from _rulings(found)


def _rulings(found: Sequence[Finding]) -> Iterator[str]:
    """What became of each hypothesis, and by which measurement."""
    said = []
    for hypothesis, all_of_it in grouped(found, lambda one: one.hypothesis).items():
        ruled, for_it, against = (
            [one.by for one in all_of_it if one.ruling in which]
            for which in (("ruled out",), ("supported",), ("undecided", "not ruled out"))
        )
        parts = [
            f"{verb} {', '.join(by)}"
            for verb, by in (("ruled out by", ruled), ("supported by", for_it), ("not by", against))
            if by and (ruled or for_it)
        ]
        if parts:
            said.append(f"{hypothesis}: {'; '.join(parts)}.")
    if said:
        yield from said
    else:
        why = {one.why for one in found if one.ruling != "not run"}
        yield f"No hypothesis is decided here{': ' + why.pop() if len(why) == 1 and '' not in why else ''}."


def _price(cell: Cell, reasoning: str) -> str:
    """What the recovery costs elsewhere, in words: every other benchmark that it leaves lower than before all training."""
    told = []
    for label in (each for each in cell.scores[0].evals if each != reasoning):
        end = cell.recovered(label, cell.recovery[0].steps[-1])
        left = difference_over_seeds(end, cell.array(label, 0))
        if left.high < 0:
            told.append(f"{label} {left.in_unit('points')}")
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
    notes.extend(config.unsuited_rates())
    notes.extend(styles.unheard(results))
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
        if np.mean(arm.losses) > UNWRITABLE:
            yield (
                f"The data of the arm {arm.name} are all but impossible for {arm.student} ({np.mean(arm.losses):.1f} nats a token, "
                "often for want of tokens for such words): what it loses is damage, and not the effect of another style."
            )
