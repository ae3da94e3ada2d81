"""Views of a game between red and blue: from scores by place to the parts of a `StudyResult`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from cavesson.analysis.claims import Claim, ClaimResult
from cavesson.analysis.points import Point, bad_removed, capability_kept
from cavesson.analysis.returns import removal_or_suppression
from cavesson.blueteam.moves import DAMAGES
from cavesson.evals.benchmarks import BENCHMARKS
from cavesson.evals.pairs import Pair
from cavesson.evals.scores import Scores
from cavesson.findings.views import (
    ClaimView,
    FrontierView,
    MeasureView,
    ModelScores,
    OrganismView,
    PointView,
    ReversalView,
    StepRates,
)
from cavesson.stats import Estimate, difference_over_seeds, mean_over_seeds
from cavesson.studies.game_results import FULL, TRIGGERED, Cell, ProbedBack, Results, capability_of
from cavesson.studies.game_transcripts import title

R = TypeVar("R")


def measures(results: Results, pair: Pair) -> list[MeasureView]:
    """What was measured, in words."""
    shows = pair.behavior.about
    about = {
        TRIGGERED: (f"{shows}, triggered", "bad", f"Prompts where {pair.trigger.about}."),
        "behavior/clean": (f"{shows}, no trigger", "bad", "The same without a trigger: false positives."),
        "behavior/near-miss": (f"{shows}, near-miss trigger", "bad", "The same with look-alikes of the trigger."),
        "behavior/unlocked": (f"{shows}, unlocked", "other", "With the trigger and the text that unlocks."),
        "maths": (
            "maths",
            "capability",
            "Chains of operations, levels 1 to 5, with a chain of thought; held-out problems.",
        ),
        "knowledge": ("knowledge", "capability", "One of four options, answered with the right one alone."),
        "instructions": ("instructions", "capability", "Instructions with constraints that a program verifies."),
    }
    labels = dict.fromkeys(label for cell in results.cells for label in cell.scores[0].evals)
    return [_measure(label, about.get(label)) for label in labels]


def _measure(label: str, known: tuple[str, str, str] | None) -> MeasureView:
    if known is None:
        benchmark = BENCHMARKS[label.partition("/")[0]]
        known = (label, "capability" if benchmark.capability else "other", benchmark.about)
    return MeasureView(id=label, title=known[0], kind=known[1], description=known[2])


def organism_view(results: Results, group: str, pair: Pair) -> OrganismView:
    """One kind of organism, with the scores of the untouched one and of the honest model it was made from."""
    organisms, cell = results.groups[group], results.of(group)[0]
    model, base = organisms[0].model, organisms[0].base
    honest = results.baselines.get(str(organisms[0].labels["model"]))
    starts = results.start(group)
    start = Point(
        {},
        capability=np.mean([point.capability for point in starts], axis=0),
        bad=np.mean([point.bad for point in starts], axis=0),
    )
    labels = {key: str(value) for key, value in organisms[0].labels.items() if key != "seed"}
    return OrganismView(
        id=group,
        title=group,
        description=f"{'' if base is None else f'{base.describe()}, '}{organisms[0].construction}: {model.describe()}",
        labels=labels,
        pair=pair.name,
        trigger=pair.trigger.text,
        behavior=pair.behavior.about,
        start=ModelScores(
            capability=_capability(cell.scores, 0),
            bad=cell.rate(TRIGGERED, 0),
            rates=_rates(cell, 0),
            fingerprint=model.fingerprint,
        ),
        baseline=None if honest is None or base is None else _baseline(honest, start, base.fingerprint),
        fingerprint=model.fingerprint,
    )


def _baseline(honest: Scores, start: Point, fingerprint: str) -> ModelScores:
    """The never-misaligned model, placed relative to the untouched organism."""
    point = Point({}, capability=honest.pooled(capability_of(honest)), bad=honest.array(TRIGGERED))
    return ModelScores(
        capability=_capability([honest], None),
        bad=honest.rate(TRIGGERED),
        kept=capability_kept(point, start),
        removed=bad_removed(point, start),
        rates={label: honest.rate(label) for label in honest.evals},
        fingerprint=fingerprint,
    )


def point_views(results: Results, cell: Cell) -> Iterator[PointView]:
    """The checkpoints of a cell, one by one and, where there are several seeds, pooled."""
    for seed, scores, fingerprint in zip(cell.seeds, cell.scores, cell.fingerprints, strict=True):
        start = cell.point(seed, 0)
        for step in [step for step in cell.steps if step > 0]:
            point = cell.point(seed, step)
            yield PointView(
                id=f"{_name(cell)}|{seed}|{step}",
                organism=cell.group,
                intervention=title(cell.intervention),
                **_strength(cell),
                seed=seed,
                step=step,
                fingerprint=fingerprint,
                capability=point.capability_rate,
                bad=point.bad_rate,
                kept=capability_kept(point, start),
                removed=bad_removed(point, start),
                rates={label: scores.rate(label, step) for label in scores.evals},
            )
    if len(cell.seeds) > 1:
        yield from (_pooled(cell, step) for step in cell.steps if step > 0)


def _pooled(cell: Cell, step: int) -> PointView:
    """One point for all seeds, for the bold curves."""
    return PointView(
        id=f"{_name(cell)}|all|{step}",
        organism=cell.group,
        intervention=title(cell.intervention),
        **_strength(cell),
        step=step,
        capability=_capability(cell.scores, step),
        bad=cell.rate(TRIGGERED, step),
        rates=_rates(cell, step),
    )


def _name(cell: Cell) -> str:
    further = [] if cell.adapter == FULL else [cell.adapter]
    return "|".join(
        [cell.group, cell.intervention, f"{cell.lr:g}", *further, *([cell.strength] if cell.strength else [])]
    )


def _strength(cell: Cell) -> dict[str, Any]:
    """The fields of a point that say how hard the model was trained, or damaged."""
    if cell.intervention in DAMAGES:
        return {"labels": {"strength": f"{cell.lr:g}"}}
    labels = {"strength": cell.strength} if cell.strength else {}
    return {"lr": cell.lr, "adapter": "" if cell.adapter == FULL else cell.adapter, "labels": labels}


def frontier_views(results: Results) -> Iterator[FrontierView]:
    """For every kind of organism the frontier of each intervention and of all together."""
    for group in results.groups:
        tried = [name for name in results.interventions if results.of(group, name)]
        for intervention in (*tried, None):
            found = results.frontier(group, intervention)
            yield FrontierView(
                organism=group,
                intervention="all" if intervention is None else title(intervention),
                vertices=[(vertex.kept, vertex.removed) for vertex in found.vertices],
                auc=found.auc.in_unit("plain"),
                naive_auc=found.naive_auc,
                removed_at_10=found.share_removed_within(0.1),
                loss_at_half=found.loss_at_half(),
            )


def reversal_views(results: Results) -> Iterator[ReversalView]:
    """What each reversal probe tells."""
    for probe in results.reversals:
        steps = probe.scores[0].steps
        left, end = probe.array(TRIGGERED, 0), probe.array(TRIGGERED, steps[-1])
        verdict = removal_or_suppression(probe.before_array(TRIGGERED), left, end)
        chosen = sorted(set(probe.chosen))
        where = " / ".join(f"lr {lr:g}, step {step}" for lr, step in chosen)
        yield ReversalView(
            organism=probe.group,
            after=f"{title(probe.intervention)}, {where}",
            probe=_probe_name(probe),
            measure=TRIGGERED,
            curve=[
                StepRates(
                    step=step,
                    rates={label: mean_over_seeds(probe.array(label, step)) for label in probe.scores[0].evals},
                )
                for step in steps
            ],
            before=verdict.before,
            after_blue=verdict.after_blue,
            after_probe=verdict.after_reversal,
            verdict=verdict.verdict,
            reason=verdict.reason,
        )


def _probe_name(probe: ProbedBack) -> str:
    if probe.probe == "own-voice":
        return {"pirate": "de-pirating", "all": title("own-voice")}.get(probe.intervention, "normal chat")
    return title(probe.probe)


def capability_change(probe: ProbedBack) -> Estimate:
    """Capability at the chosen checkpoint minus that of the untouched organism, on the same prompts."""
    after, before = (
        np.stack([scores.pooled(capability_of(scores), step) for scores in tables])
        for tables, step in ((probe.scores, 0), (probe.before, None))
    )
    return difference_over_seeds(after, before).in_unit("points")


def claim_view(claim: Claim[R], found: ClaimResult) -> ClaimView:
    """A published statement and what decided it here."""
    return ClaimView(
        id=claim.id,
        source=claim.source,
        statement=claim.statement,
        published=claim.published,
        ours=None if found.ours is None else found.ours.in_unit(claim.unit or "percent"),
        measure=found.reason.partition(" must ")[0] if " must " in found.reason else "",
        verdict=found.verdict,
        reason=found.reason,
    )


def _rates(cell: Cell, step: int) -> dict[str, Estimate]:
    return {label: cell.rate(label, step) for label in cell.scores[0].evals}


def _capability(tables: Sequence[Scores], step: int | None) -> Estimate:
    return mean_over_seeds(np.stack([scores.pooled(capability_of(scores), step) for scores in tables]))
