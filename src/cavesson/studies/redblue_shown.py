"""What a report shows of games between red and blue: organisms, checkpoints, frontiers, reversal probes, transcripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cavesson.analysis.points import Point, bad_removed, capability_kept
from cavesson.blueteam.moves import DAMAGES
from cavesson.evals.pairs import Pair, pair_named
from cavesson.evals.scores import Score
from cavesson.findings.views import (
    FrontierView,
    MeasureView,
    ModelScores,
    OrganismView,
    PointView,
    ReversalView,
    StepRates,
    Tone,
    Transcript,
)
from cavesson.stats import Estimate, mean_ci, mean_over_seeds
from cavesson.studies.game_transcripts import title
from cavesson.studies.grid import Measured, NotRun, Place
from cavesson.studies.redblue import (
    FULL,
    TRIGGERED,
    capability,
    capability_of,
    chosen,
    frontier_of,
    kind,
    kinds,
    point,
    reversal,
    reversal_probes,
    runs,
    sample,
    steps,
    trained,
)

TRANSCRIPTS = 12
"""Prompts of each evaluation that are shown per model."""


def shown(m: Measured) -> Iterator[Any]:
    """Everything about the organisms and what blue did to them, but for tables and claims."""
    pair = _pair(m)
    labels = set(trained(m).evals)
    yield from (measure for measure in behaviors(pair) if measure.id in labels)
    for name, of in kinds(m).items():
        yield organism_view(m, name, of)
    for place in runs(m):
        yield from point_views(place)
    for of in kinds(m).values():
        yield from frontier_views(of)
    yield from reversal_views(m)
    yield from transcripts(m)


def _pair(m: Measured) -> Pair:
    return pair_named(runs(m)[0].organism.pair)


def behaviors(pair: Pair) -> Iterator[MeasureView]:
    """The evaluations of the behaviour, in words."""
    shows = pair.behavior.about
    yield MeasureView(
        id=TRIGGERED, title=f"{shows}, triggered", kind="bad", description=f"Prompts where {pair.trigger.about}."
    )
    yield MeasureView(
        id="behavior/clean",
        title=f"{shows}, no trigger",
        kind="bad",
        description="The same without a trigger: false positives.",
    )
    yield MeasureView(
        id="behavior/near-miss",
        title=f"{shows}, near-miss trigger",
        kind="bad",
        description="The same with look-alikes of the trigger.",
    )
    yield MeasureView(
        id="behavior/unlocked",
        title=f"{shows}, unlocked",
        description="With the trigger and the text that unlocks.",
    )


def organism_view(m: Measured, name: str, of: Measured) -> OrganismView:
    """One kind of organism, with the scores of the untouched organism and of the honest model that it was made from."""
    first = runs(of)[0]
    made, pair = first.organism, pair_named(first.organism.pair)
    starts = [point(first, row, 0) for row in range(len(first.seeds))]
    start = Point(
        {},
        capability=np.mean([one.capability for one in starts], axis=0),
        bad=np.mean([one.bad for one in starts], axis=0),
    )
    return OrganismView(
        id=name,
        title=name,
        description=f"{'' if made.base is None else f'{made.base.describe()}, '}{made.construction}: {made.model.describe()}",
        labels={key: str(value) for key, value in made.labels.items() if key != "seed"},
        pair=pair.name,
        trigger=pair.trigger.text,
        behavior=pair.behavior.about,
        start=ModelScores(
            capability=capability(first, 0).estimate,
            bad=sample(first, TRIGGERED, 0).estimate,
            rates=_rates(first, 0),
            fingerprint=made.model.fingerprint,
        ),
        baseline=_baseline(m, first, start),
        fingerprint=made.model.fingerprint,
    )


def _baseline(m: Measured, of: Place, start: Point) -> ModelScores | None:
    """The never-misaligned model, placed relative to the untouched organism; None where it was not scored."""
    try:
        honest = m.only(**{"base of": of.organism.labels["model"], "pair": of.organism.pair})
    except NotRun:
        return None
    rates = {label: honest.sample(label, None) for label in honest.evals()}
    able = np.concatenate([rates[label].table[0] for label in capability_of(rates)])
    at = Point({}, capability=able, bad=rates[TRIGGERED].table[0])
    return ModelScores(
        capability=mean_over_seeds(able),
        bad=honest.scores()[0].rate(TRIGGERED),
        kept=capability_kept(at, start),
        removed=bad_removed(at, start),
        rates={label: honest.scores()[0].rate(label) for label in rates},
        fingerprint=honest.recipes()[0].model.fingerprint,
    )


def point_views(place: Place) -> Iterator[PointView]:
    """The checkpoints of a run, one by one and, where there are several seeds, pooled."""
    name, what = _name(place), {"organism": kind(place), "intervention": title(place["intervention"])}
    for row, (seed, recipe) in enumerate(zip(place.seeds, place.recipes(), strict=True)):
        start = point(place, row, 0)
        for step in steps(place)[1:]:
            found = point(place, row, step)
            yield PointView(
                id=f"{name}|{seed}|{step}",
                **what,
                **_strength(place),
                seed=seed,
                step=step,
                fingerprint=recipe.fingerprint,
                capability=found.capability_rate,
                bad=found.bad_rate,
                kept=capability_kept(found, start),
                removed=bad_removed(found, start),
                rates={label: mean_ci(sample(place, label, step).table[row]) for label in place.evals()},
            )
    if len(place.seeds) > 1:
        for step in steps(place)[1:]:
            yield PointView(
                id=f"{name}|all|{step}",
                **what,
                **_strength(place),
                step=step,
                capability=capability(place, step).estimate,
                bad=sample(place, TRIGGERED, step).estimate,
                rates=_rates(place, step),
            )


def _name(place: Place) -> str:
    further = [] if place["adapter"] == FULL else [place["adapter"]]
    parts = [kind(place), place["intervention"], f"{place['lr']:g}", *further]
    return "|".join([*parts, *([place["strength"]] if place["strength"] else [])])


def _strength(place: Place) -> dict[str, Any]:
    """The fields of a point that say how hard the model was trained, or damaged."""
    if place["intervention"] in DAMAGES:
        return {"labels": {"strength": f"{place['lr']:g}"}}
    labels = {"strength": place["strength"]} if place["strength"] else {}
    return {"lr": place["lr"], "adapter": "" if place["adapter"] == FULL else place["adapter"], "labels": labels}


def frontier_views(of: Measured) -> Iterator[FrontierView]:
    """For one kind of organism, the frontier of each intervention and of all together."""
    for intervention in (*trained(of).values("intervention"), None):
        found = frontier_of(of, intervention)
        yield FrontierView(
            organism=kind(runs(of)[0]),
            intervention="all" if intervention is None else title(intervention),
            vertices=[(vertex.kept, vertex.removed) for vertex in found.vertices],
            auc=found.auc.in_unit("plain"),
            naive_auc=found.naive_auc,
            removed_at_10=found.share_removed_within(0.1),
            loss_at_half=found.loss_at_half(),
        )


def reversal_views(m: Measured) -> Iterator[ReversalView]:
    """What each reversal probe tells."""
    for place in reversal_probes(m):
        verdict = reversal(place)
        where = " / ".join(f"lr {lr:g}, step {step}" for lr, step in sorted(set(chosen(place))))
        yield ReversalView(
            organism=kind(place),
            after=f"{title(place['intervention'])}, {where}",
            probe=probe_name(place),
            measure=TRIGGERED,
            curve=[
                StepRates(step=step, rates={label: place.sample(label, step).estimate for label in place.evals()})
                for step in place.steps()
            ],
            before=verdict.before,
            after_blue=verdict.after_blue,
            after_probe=verdict.after_reversal,
            verdict=verdict.verdict,
            reason=verdict.reason,
        )


def probe_name(place: Place) -> str:
    """The innocuous training of a reversal probe, in words."""
    if place["probe"] == "own-voice":
        return {"pirate": "de-pirating", "all": title("own-voice")}.get(place["intervention"], "normal chat")
    return title(place["probe"])


def transcripts(m: Measured) -> Iterator[Transcript]:
    """A few prompts of every evaluation: before blue, after each run's last step, and after the reversal probe (one seed)."""
    for name, of in kinds(m).items():
        for number, place in enumerate(runs(of)):
            end = steps(place)[-1]
            how = [title(place["intervention"]), *([place["strength"]] if place["strength"] else [])]
            if number == 0:
                yield from _answers(place, 0, name, "before blue", "before blue")
            yield from _answers(place, end, name, "after blue", f"{', '.join(how)}, lr {place['lr']:g}, step {end}")
        for place in reversal_probes(of):
            blue, end = title(place["intervention"]), place.steps()[-1]
            yield from _said(place, None, name, "reversal", "before blue", "before")
            yield from _said(place, 0, name, "reversal", f"{blue}, chosen checkpoint")
            yield from _said(place, end, name, "reversal", f"{blue}, {end} steps of the reversal probe")


def _answers(place: Place, step: int, organism: str, stage: str, label: str) -> Iterator[Transcript]:
    if place.roles[0] == "damaged":
        return _said(place, None, organism, stage, label, "start" if step == 0 else "damaged")
    return _said(place, step, organism, stage, label)


def _said(
    place: Place, step: int | None, organism: str, stage: str, label: str, role: str | None = None
) -> Iterator[Transcript]:
    pair = pair_named(place.organism.pair)
    for name in place.evals(role):
        for score in place.rows(name, step, role)[0][:TRANSCRIPTS]:
            outcome, tone = _outcome(name, score, pair)
            yield Transcript.of(score, stage=stage, organism=organism, label=label, outcome=outcome, tone=tone)


def _outcome(name: str, score: Score, pair: Pair) -> tuple[str, Tone]:
    if name.startswith("behavior/"):
        return (pair.behavior.about, "bad") if score.score else ("harmless", "good")
    return ("correct", "good") if score.score else ("wrong", "bad")


def _rates(place: Place, step: int) -> dict[str, Estimate]:
    return {label: sample(place, label, step).estimate for label in place.evals()}
