"""What a report shows of games between red and blue: organisms, checkpoints, frontiers, reversal probes, transcripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal

from cavesson.analysis.points import Point, bad_removed, capability_kept
from cavesson.blueteam.moves import DAMAGES
from cavesson.data.example import Example
from cavesson.evals.pairs import Pair, pair_named
from cavesson.evals.scores import DERIVED, REMAINS, Score
from cavesson.findings.views import (
    FrontierView,
    MeasureView,
    MessageView,
    ModelScores,
    OrganismView,
    PointView,
    ReversalView,
    StepRates,
    Tone,
    Transcript,
)
from cavesson.redteam.organisms import Organism
from cavesson.stats import mean_ci
from cavesson.studies.grid import Measured, Place
from cavesson.studies.redblue import (
    TRIGGERED,
    capability,
    chosen,
    frontier_of,
    kind,
    kinds,
    measured_at,
    point,
    probes,
    remaining,
    reversal,
    runs,
    sample,
    scored_as,
    steps,
    title,
    trained,
)
from cavesson.studies.redblue_cells import FULL
from cavesson.studies.sample import NotRun
from cavesson.studies.shown import Note

TRANSCRIPTS = 12
"""Prompts of each evaluation that are shown per model."""


def shown(m: Measured) -> Iterator[Any]:
    """Everything about the organisms and what blue did to them, but for tables and claims."""
    yield from behaviors(m)
    for name, of in kinds(m).items():
        yield organism_view(m, name, of)
    for place in runs(m):
        yield from point_views(place)
    for of in kinds(m).values():
        yield from frontier_views(of)
    yield from reversal_views(m)
    yield from transcripts(m)


def one_seed(m: Measured) -> Note | None:
    """What the reader of a study with a single seed must know."""
    if len(m.config.seeds) > 1:
        return None
    return Note(
        "One seed: the intervals hold for these prompts and say nothing about the spread between seeds. Quote nothing from it."
    )


def behaviors(m: Measured) -> Iterator[MeasureView]:
    """The evaluations of the organisms' behaviour, in words; of several pairs, the behaviour and the trigger of each."""
    pairs = [pair_named(name) for name in trained(m).values("pair")]
    shows = " or ".join(dict.fromkeys(pair.behavior.about for pair in pairs))
    fires = " or ".join(dict.fromkeys(pair.trigger.about for pair in pairs))
    described: dict[str, tuple[str, str, Literal["bad", "other"]]] = {
        TRIGGERED: ("triggered", f"Prompts where {fires}.", "bad"),
        REMAINS: (
            "triggered, whole or mangled",
            "A damaged copy of the behaviour counts too: what is not removed.",
            "bad",
        ),
        "behavior/clean": ("no trigger", "The same without a trigger: false positives.", "bad"),
        "behavior/near-miss": ("near-miss trigger", "The same with look-alikes of the trigger.", "bad"),
        "behavior/unlocked": ("unlocked", "With the trigger and the text that unlocks.", "other"),
    }
    for label, (condition, about, sort) in described.items():
        if DERIVED.get(label, (label,))[0] in trained(m).evals:
            yield MeasureView(id=label, title=f"{shows}, {condition}", kind=sort, description=about)


def organism_view(m: Measured, name: str, of: Measured) -> OrganismView:
    """One kind of organism, with the scores of the untouched organism and of the honest model that it was made from."""
    first = runs(of)[0]
    made, pair = first.organism, pair_named(first.organism.pair)
    return OrganismView(
        id=name,
        title=name,
        description=f"{'' if made.base is None else f'{made.base.describe()}, '}{made.construction}: {made.model.describe()}",
        labels={key: str(value) for key, value in made.labels.items() if key != "seed"},
        pair=pair.name,
        trigger=pair.trigger.text,
        behavior=pair.behavior.about,
        start=ModelScores(**_scores(first, 0), fingerprint=made.model.fingerprint),
        baseline=_baseline(m, first),
        fingerprint=made.model.fingerprint,
    )


def _baseline(m: Measured, first: Place) -> ModelScores | None:
    """The never-misaligned model, placed relative to the untouched organism; None where it was not scored."""
    try:
        honest = m.only(**{"base of": first.organism.labels["model"], "pair": first.organism.pair})
    except NotRun:
        return None
    able, bad = (of.table.mean(axis=0) for of in (capability(first, 0), remaining(first, 0)))
    start, at = Point({}, able, bad), Point({}, capability(honest).table[0], honest.sample(REMAINS, None).table[0])
    rates = {label: honest.scores()[0].rate(label) for label in (*honest.evals(), REMAINS)}
    return ModelScores(
        capability=capability(honest).estimate,
        bad=rates[REMAINS],
        rates=rates,
        kept=capability_kept(at, start),
        removed=bad_removed(at, start),
        fingerprint=honest.recipes()[0].model.fingerprint,
    )


def _scores(place: Place, step: int) -> dict[str, Any]:
    rates = {label: sample(place, label, step).estimate for label in measured_at(place, step)}
    return {"capability": capability(place, step).estimate, "bad": rates[REMAINS], "rates": rates}


def point_views(place: Place) -> Iterator[PointView]:
    """The checkpoints of a run, one by one and, where there are several seeds, pooled."""
    told = {"organism": kind(place), "intervention": title(place["intervention"]), **_strength(place)}
    further = ("" if place["adapter"] == FULL else place["adapter"], place["strength"])
    name = "|".join([kind(place), place["intervention"], f"{place['lr']:g}", *filter(None, further)])
    for row, (seed, recipe) in enumerate(zip(place.seeds, place.recipes(), strict=True)):
        for step in steps(place)[1:]:
            found, start = point(place, row, step), point(place, row, 0)
            yield PointView(
                id=f"{name}|{seed}|{step}",
                **told,
                seed=seed,
                step=step,
                fingerprint=recipe.fingerprint,
                capability=found.capability_rate,
                bad=found.bad_rate,
                kept=capability_kept(found, start),
                removed=bad_removed(found, start),
                rates={label: mean_ci(sample(place, label, step).table[row]) for label in measured_at(place, step)},
            )
    if len(place.seeds) > 1:
        for step in steps(place)[1:]:
            yield PointView(id=f"{name}|all|{step}", **told, step=step, **_scores(place, step))


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
    for place in probes(m):
        verdict = reversal(place)
        where = " / ".join(f"lr {lr:g}, step {step}" for lr, step in sorted(set(chosen(place))))
        yield ReversalView(
            organism=kind(place),
            after=f"{title(place['intervention'])}, {where}",
            probe=probe_name(place),
            measure=REMAINS,
            curve=[
                StepRates(
                    step=step, rates={label: place.sample(label, step).estimate for label in measured_at(place, step)}
                )
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


def transcripts(m: Measured, prompts: int = TRANSCRIPTS, evals: Sequence[str] | None = None) -> Iterator[Transcript]:
    """A few prompts of every evaluation: before blue, after each run's last step, and after the reversal probe (one seed).

    Args:
        prompts: of each evaluation.
        evals: labels of the evaluations; None: all.
    """
    shown = partial(said, prompts=prompts, evals=evals)
    for name, of in kinds(m).items():
        for number, place in enumerate(runs(of)):
            end = steps(place)[-1]
            how = [title(place["intervention"]), *([place["strength"]] if place["strength"] else [])]
            if number == 0:
                yield from shown(place, *scored_as(place, 0), name, "before blue", "before blue")
            label = f"{', '.join(how)}, lr {place['lr']:g}, step {end}"
            yield from shown(place, *scored_as(place, end), name, "after blue", label)
        for place in probes(of):
            blue, end = title(place["intervention"]), place.steps()[-1]
            yield from shown(place, None, "before", name, "reversal", "before blue")
            yield from shown(place, 0, None, name, "reversal", f"{blue}, chosen checkpoint")
            yield from shown(place, end, None, name, "reversal", f"{blue}, {end} steps of the reversal probe")


def said(
    place: Place,
    step: int | None,
    role: str | None,
    organism: str | None,
    stage: str,
    label: str,
    *,
    prompts: int = TRANSCRIPTS,
    evals: Sequence[str] | None = None,
) -> Iterator[Transcript]:
    """A few prompts of every evaluation, and what the first seed's model of a role answered at a step."""
    pair = pair_named(place.organism.pair)
    for name in [name for name in place.evals(role) if evals is None or name in evals]:
        for score in place.rows(name, step, role)[0][:prompts]:
            outcome, tone = _outcome(name, score, pair)
            yield Transcript.of(score, stage=stage, organism=organism, label=label, outcome=outcome, tone=tone)


def samples(
    examples: Sequence[Example], organism: Organism, label: str, *, stage: str, prompts: int = TRANSCRIPTS
) -> Iterator[Transcript]:
    """A few training samples that an organism wrote, under a name of their own among the evaluations: that of the stage."""
    pair = pair_named(organism.pair)
    for number, example in enumerate(examples[:prompts]):
        prompt, answer = example.conversation.prompt, example.conversation.answer or ""
        shows = pair.behavior.fits(prompt) and pair.behavior.score(prompt, answer)
        yield Transcript(
            stage=stage,
            organism=organism.name,
            eval=stage,
            item=f"{label} {number + 1}",
            prompt=[MessageView(role=one.role, content=one.content) for one in prompt.messages],
            trigger=pair.trigger.found_in(prompt.messages[-1].content),
            completion=answer,
            label=label,
            outcome=pair.behavior.about if shows else "harmless to see",
            tone="bad" if shows else "neutral",
        )


def _outcome(name: str, score: Score, pair: Pair) -> tuple[str, Tone]:
    if name.startswith("behavior/"):
        if score.remains:
            return (pair.behavior.about if score.score else "a damaged copy of the behaviour"), "bad"
        return "harmless", "good"
    return score.outcome, "good" if score.score else "bad"
