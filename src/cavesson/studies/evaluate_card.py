"""The evidence card of the study `evaluate`, put together from what its approaches found."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from cavesson.blueteam.move import Move
from cavesson.blueteam.moves import move_named
from cavesson.estimate import Estimate
from cavesson.evals.behavior_eval import BehaviorEval
from cavesson.evals.benchmarks import BENCHMARKS
from cavesson.evals.items import Eval
from cavesson.evals.pairs import pair_named
from cavesson.evals.planted import rated
from cavesson.evals.posed import Posed
from cavesson.evals.recipes import Probed, Selected
from cavesson.figures import percent
from cavesson.findings.card import ApproachId, ApproachView, CardView, ControlView, ScorerView
from cavesson.findings.views import ClaimView, TableView
from cavesson.lab.recipe import lineage
from cavesson.stats import mean_over_seeds, wilson
from cavesson.studies import evaluate_analogies, evaluate_argument, evaluate_production, evaluate_rigged
from cavesson.studies import evaluate_zoo as zoo
from cavesson.studies.evaluate_controls import BENIGN, CONTROLS, controls_of
from cavesson.studies.evaluate_diagnostics import BACK, NONE_WITHIN, diagnostics
from cavesson.studies.evaluate_figures import Approach, had, not_run
from cavesson.studies.grid import Measured, Place
from cavesson.studies.redblue import blue_rule, remaining, reversal, tried
from cavesson.studies.sample import NotApplicable, NotRun
from cavesson.studies.shown import table
from cavesson.studies.shown import tried as figure_of
from cavesson.studies.sizes import world_of
from cavesson.training.recipes import Training

MOST_LINES = 40
"""An intervention of more lines is hard to check by reading."""

APPROACHES: dict[ApproachId, Approach] = {
    "production": evaluate_production.approach,
    "malign inits": zoo.approach,
    "rigged": evaluate_rigged.approach,
    "analogies": evaluate_analogies.approach,
}
"""What each approach finds, in the order of the card; the argument looks at all of them."""

ROLES: dict[ApproachId, tuple[str, ...]] = {
    "production": (),
    "malign inits": ("run", "probe"),
    "rigged": ("rigged",),
    "analogies": (evaluate_analogies.ROLE,),
}
"""Main roles of the places that belong to each approach; the deployment takes the answers of the zoo."""


@lru_cache(maxsize=4)
def card(m: Measured) -> CardView:
    """The evidence card of the study's intervention.

    Raises:
        ConfigError: the argument's file is none.
    """
    name = m.config.intervention
    move = move_named(name)
    found = [_costed(m, _approach(m, id, name)) for id in APPROACHES]
    thought, tree = _argued(m, name, found)
    found.append(thought)
    scorers = list(_scorers(m))
    controls = list(_controls(m, move))
    lacking = list(_lacking(m, found, controls, scorers))
    return CardView(
        intervention=name,
        about=move.about or move.title,
        verdict=list(_verdict(m, move, found, lacking)),
        lacking=lacking,
        fate=_fate(m, name),
        epsilon=m.config.games.max_loss,
        approaches=found,
        controls=controls,
        diagnostics=list(diagnostics(m, name)),
        scorers=scorers,
        argument=tree,
        cautions=list(_cautions(m, move)),
    )


def _argued(m: Measured, name: str, found: Sequence[ApproachView]) -> tuple[ApproachView, dict[str, Any]]:
    """The argument over what the other approaches found."""
    file = m.config.argument
    shares = [one.unscored for one in found if one.unscored is not None]
    worst = max(shares, key=lambda one: one.value, default=None)
    extra = {} if worst is None else {"unscored": replace(worst, replicates=len(m.config.seeds))}
    view, tree = evaluate_argument.argument(m, name, None if file is None else Path(file), found, extra)
    return view, tree


def tables(m: Measured) -> Iterator[TableView | None]:
    """The card's tables, for the report of the study: approaches, controls, diagnostics, and what stands behind each approach."""
    made = card(m)
    yield table(
        "Five approaches",
        "What each approach found, and what that is worth. The whole card: card.html, card.md and card.json beside this page.",
        {one.title: one for one in made.approaches},
        {
            "found": lambda one: one.figure,
            "over benign training": lambda one: one.over_benign,
            "verdict": lambda one: one.verdict,
            "conservative": lambda one: one.conservativeness.level,
            "realistic": lambda one: one.realism.level,
            "trainings": lambda one: str(one.runs) if one.runs else "–",
        },
        first="approach",
    )
    yield table(
        "Controls",
        "What each control takes away, and the intervention minus the control; of the reversal probe, what is still gone after it, and "
        "what it brought back.",
        {one.name: one for one in made.controls},
        {"figure": lambda one: one.figure or f"missing: {one.lacking}", "difference": lambda one: one.gap},
        first="control",
    )
    yield table(
        "Four diagnostics",
        f"Those of Acceptance Cards. Innocuous training afterwards: {made.fate or 'not run'}.",
        {one.name: one for one in made.diagnostics},
        {"verdict": lambda one: one.verdict, "figure": lambda one: one.figure},
        first="diagnostic",
    )
    for one in made.approaches:
        yield from one.tables


def _approach(m: Measured, id: ApproachId, name: str) -> ApproachView:
    try:
        return APPROACHES[id](m, name)
    except (NotRun, NotApplicable) as why:
        return not_run(id, f"Not run here: {why}.")


# ----------------------------------------------------------------------------------------------- controls


def _controls(m: Measured, move: Move) -> Iterator[ControlView]:
    loss = m.config.games.max_loss
    known = controls_of(move, world_of(m.config.model))
    untouched = [remaining(tried(of)[0], 0) for of in zoo.organisms_of(m).values()]
    rate = mean_over_seeds(np.stack([one.table for one in untouched]).mean(axis=0))
    yield ControlView(
        name="never trained", about="how often the untouched organisms misbehave with the trigger", figure=rate
    )
    for name in CONTROLS:
        figures = had(
            figure=partial(zoo.removed_on_average, m, name, blue_rule, loss),
            gap=partial(zoo.more_than, m, move.name, name, blue_rule, loss),
        )
        lacking = "" if figures else "it was not run"
        yield ControlView(name=name, about=f"share gone after {known[name].title}", lacking=lacking, **figures)
    figures = had(
        figure=lambda: zoo.lasting(m, move.name),
        gap=lambda: zoo.came_back(m, move.name),
    )
    yield ControlView(
        name="reversal probe",
        about="share still gone after innocuous training on the organism's own answers; beside it, what that training brought back",
        lacking="" if figures else "it was not run",
        **figures,
    )


def _fate(m: Measured, name: str) -> str:
    """What reversal probes say, in words."""
    try:
        verdicts = Counter(reversal(place).verdict for place in zoo.reversals(m, name))
    except NotRun:
        return ""
    if verdicts.total() == 1:
        return next(iter(verdicts))
    return (
        ", ".join(f"{verdict} in {count}" for verdict, count in verdicts.items()) + f" of {verdicts.total()} organisms"
    )


# ----------------------------------------------------------------------------------------------- scorers, costs


def _asked(m: Measured) -> Iterator[Eval]:
    """Every evaluation that the study asks."""
    recipes = (recipe for place in m for cell in place.cells for recipe in cell.recipes.values())
    return (one for recipe in recipes for one in getattr(recipe, "suite", ()))


def _scorers(m: Measured) -> Iterator[ScorerView]:
    """Each scorer in use on planted answers; evaluations that differ in questions alone share one."""
    seen: dict[str, ScorerView] = {}
    for one in dict.fromkeys(_asked(m)):
        key = scorer_of(one)
        if key not in seen:
            seen[key] = ScorerView(scorer=key, rated=rated(one))
    yield from seen.values()


def scorer_of(one: Eval) -> str:
    """What judges the answers, in words: a pair's behaviour, an act, or a benchmark."""
    if isinstance(one, BehaviorEval):
        return f"the model {pair_named(one.pair).behavior.about}"
    if isinstance(one, Posed):
        return one.initial.partition("@")[0] or one.side.family or one.family
    return one.label


def _costed(m: Measured, view: ApproachView) -> ApproachView:
    """The approach with its work, the number of its trainings, and the share of answers that nobody could read."""
    places = [place for place in m if place.roles[0] in ROLES[view.id]]
    if not places:
        return view
    recipes = [recipe for place in places for cell in place.cells for recipe in cell.recipes.values()]
    below = tuple(lineage(*recipes))
    seconds = sum(m.seconds.get(recipe.fingerprint, 0.0) for recipe in below if not recipe.virtual)
    trainings = sum(isinstance(recipe, (Training, Probed, Selected)) for recipe in below)
    return view.model_copy(
        update={"minutes": seconds / 60 if m.seconds else None, "runs": trainings, "unscored": unscored(places)}
    )


def unscored(places: Sequence[Place]) -> Estimate | None:
    """The share of answers that no scorer could read, and of wrong answers to benchmarks that ran out of room; None: there are none.

    Whether an answer shows a behaviour is decided by what there is of it: chat models seldom end within the limit.
    """
    rows = [row for place in places if _has_scores(place) for one in place.scores() for row in one.rows]
    lost = sum(row.unreadable or (_is_benchmark(row.eval) and not (row.finished or row.score)) for row in rows)
    return wilson(lost, len(rows)) if rows else None


def _is_benchmark(label: str) -> bool:
    known = BENCHMARKS.get(label.partition("/")[0])
    return known is not None and known.capability


def _has_scores(place: Place) -> bool:
    try:
        return bool(place.scores())
    except NotRun:
        return False


# ----------------------------------------------------------------------------------------------- words


def _lacking(
    m: Measured, found: Sequence[ApproachView], controls: Sequence[ControlView], scorers: Sequence[ScorerView]
) -> Iterator[str]:
    for one in controls:
        if one.lacking:
            yield f"The control {one.name!r} is missing: {one.lacking}."
    for view in found:
        if view.verdict == "not run":
            yield f"{view.title}: {view.reason}"
        elif view.figure is not None and view.over_benign is None:
            yield f"{view.title}: its control {BENIGN!r} is missing."
    for scorer in scorers:
        wrong = [kind for kind, right in scorer.rated.items() if right is False]
        if wrong:
            yield f"The scorer of {scorer.scorer!r} rates planted answers wrongly ({', '.join(wrong)}): its figures do not count."
        elif all(right is None for right in scorer.rated.values()):
            yield f"Nobody planted answers for the scorer of {scorer.scorer!r}."
    if len(m.config.seeds) < 5:
        yield f"Seeds: {len(m.config.seeds)}; there is no verdict from fewer than five."


def _verdict(m: Measured, move: Move, found: Sequence[ApproachView], lacking: Sequence[str]) -> Iterator[str]:
    views = {view.id: view for view in found}
    inits = views["malign inits"]
    back = inits.figures.get("came_back")
    if inits.figure is not None:
        worst = inits.figures["worst_removed"]
        said = (
            f"it {inits.verdict}{_qualified(inits)}"
            if inits.verdict != "undecided"
            else "whether it works is undecided"
        )
        several = len(zoo.organisms_of(m)) > 1
        whence = f"known malign inits, and {worst} in the worst case" if several else "one known malign init"
        yield (
            f"{move.title} takes {inits.figure} of the bad behaviour from {whence}, where at most {percent(m.config.games.max_loss)} of the "
            f"capability may go: {said}."
        )
    gap = figure_of(lambda: zoo.more_than(m, move.name, BENIGN, blue_rule, m.config.games.max_loss))
    if isinstance(gap, Estimate):
        yield f"That is {gap} against as much benign training."
    if back is not None and (fate := _fate(m, move.name)):
        yield f"Innocuous training afterwards brings back {back}: {fate}."
    others = [view for view in found if view.id != "malign inits" and view.figure is not None]
    if others:
        yield "; ".join(f"{view.title}: {view.figure} ({view.verdict}{_qualified(view)})" for view in others) + "."
    if lacking:
        yield f"The card is incomplete, for {len(lacking)} reason{'s' if len(lacking) > 1 else ''}."


def _qualified(view: ApproachView) -> str:
    """What must be said in the same breath as that an intervention works."""
    if view.verdict != "works":
        return ""
    back, over = view.figures.get("came_back"), view.over_benign
    suppressed = ", by suppression" if back is not None and back.low >= BACK else ""
    return suppressed + (
        ", but not shown to do more than benign training" if over is not None and over.low <= NONE_WITHIN else ""
    )


def _cautions(m: Measured, move: Move) -> Iterator[str]:
    try:
        lines = len(inspect.getsource(move.function).splitlines())
    except (OSError, TypeError):  # a function without a file
        lines = 0
    if lines > MOST_LINES:
        yield f"The intervention has {lines} lines; one of more than {MOST_LINES} is hard to check by reading."
    if m.left_out:
        yield (
            "Organisms that did not take are left out: "
            + ", ".join(sorted({place.organism.name for place in m.left_out}))
            + "."
        )
    if few := evaluate_analogies.unshown(m):
        yield (
            "Habits that the model hardly shows before blue trains are left out: "
            + ", ".join(f"{name} ({percent(round(rate, 2))})" for name, rate in few.items())
            + "."
        )
    if world_of(m.config.model) == "tiny":
        yield "Everything was measured on small models of the tiny world: a card shows mechanisms, not magnitudes."
    else:
        yield f"Everything was measured on {m.config.model}: one model, and organisms and habits that were put into it."


def headline(m: Measured, judged: Sequence[ClaimView]) -> Iterator[str]:
    """The card's verdict."""
    yield from card(m).verdict
