"""Where a result comes from: config with provenance, recipes, machine and wall time. Every study uses this module."""

from __future__ import annotations

import os
import platform
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cavesson.evals.conducted import Conducted
from cavesson.evals.pairs import pair_named
from cavesson.evals.trigger import Inherent
from cavesson.figures import percent
from cavesson.findings.losses import loss_in
from cavesson.findings.origin import Environment, MachineView, RecipeView, StageTime, StudyConfig
from cavesson.findings.views import WarningView
from cavesson.lab import numerics
from cavesson.lab.manifest import versions
from cavesson.lab.place import default_root
from cavesson.lab.processors import THREADS
from cavesson.lab.recipe import Recipe, lineage
from cavesson.lab.store import Store
from cavesson.sampling.recipes import Generated, faults_in_words
from cavesson.sampling.sampler import FAULTS
from cavesson.training.hyper import LEFT_OUT
from cavesson.training.preflight import runs_in


@dataclass(frozen=True, slots=True)
class About:
    """The parts of a `StudyResult` that say how it came about; `notes`, `warnings`: what a reader must know of the making."""

    config: StudyConfig
    environment: Environment
    recipes: list[RecipeView]
    notes: list[str] = field(default_factory=list)
    warnings: list[WarningView] = field(default_factory=list)


def about(
    config: StudyConfig,
    seeds: Sequence[int],
    recipes: Sequence[Recipe],
    store: Store,
    *,
    made: frozenset[str],
    command: str,
    called: Mapping[str, str] | None = None,
) -> About:
    """Describe a finished run.

    Args:
        config: the resolved config, with where each value came from.
        seeds: the seeds of the study.
        recipes: the recipes that the study asked for.
        store: the store that holds the artifacts.
        made: fingerprints of the artifacts that this run made; the other artifacts were in the store.
        command: the command line, so that a reader can run the study again.
        called: what the study calls its artifacts, by fingerprint.
    """
    rests_on = list(lineage(*recipes))
    views = [_view(recipe, store, made, called or {}) for recipe in rests_on]
    return About(
        config,
        _environment(seeds, views, machines_of(rests_on, store), command),
        views,
        [*_not_learnt_from(rests_on, store), *_not_asked(rests_on)],
        list(_many_cut(rests_on, store)),
    )


def _not_learnt_from(recipes: Sequence[Recipe], store: Store) -> Iterator[str]:
    """What was not trained on because it is no whole answer."""
    stored = [recipe for recipe in recipes if not recipe.virtual and store.has(recipe)]
    answers, rows = Counter[str](), 0
    for recipe in stored:
        counts = store.manifest(recipe).counts
        rows += counts.get(LEFT_OUT, 0)
        if isinstance(recipe, Generated):
            answers.update(counts)
    if faults := faults_in_words(answers):
        how = "Where a training has keep_unfinished, those that were cut are trained without an end of turn"
        yield (
            f"Of {answers['answers']:,} answers that models wrote, some are no whole answers: {faults}. "
            + (f"{how}; nothing else is trained on them." if _keeps_cut(recipes) else "Nothing is trained on these.")
        )
    if rows:
        yield f"Trainings left out {rows:,} rows of their data that say that their answers are not finished."


def _not_asked(recipes: Sequence[Recipe]) -> Iterator[str]:
    """The benchmarks that leave out the questions which are a pair's trigger, and so ask fewer than they were to."""
    suites = dict.fromkeys(one for recipe in recipes for one in getattr(recipe, "suite", ()))
    told = {
        f"Of {one.n:,} questions, {one.label} asks {len(one.items()):,}: the others are the trigger of {pair_named(one.pair).name}."
        for one in suites
        if one.capability and one.pair is not None and isinstance(pair_named(one.pair).trigger, Inherent)
        if not isinstance(one, Conducted) and len(one.items()) < len(one.questions())
    }
    yield from sorted(told)


def _keeps_cut(recipes: Sequence[Recipe]) -> bool:
    """Whether one of the trainings learns cut answers too."""
    return any(getattr(run, "keep_unfinished", False) for run in runs_in(*recipes))


MANY = 0.1
"""A share of the answers of one model that are no whole answers, from which on a report warns of it."""


def _many_cut(recipes: Sequence[Recipe], store: Store) -> Iterator[WarningView]:
    """Data sets of which so much is no whole answer that what is left is a choice: the short answers, say."""
    found = [(one, store.manifest(one).counts) for one in recipes if isinstance(one, Generated) and store.has(one)]
    lacking = [
        (1 - sum(counts.get(fault, 0) for fault in FAULTS) / max(counts.get("answers", 0), 1), one, counts)
        for one, counts in found
    ]
    many = [each for each in lacking if 1 - each[0] >= MANY]
    if many:
        whole, worst, counts = min(many, key=lambda each: each[0])
        learnt = (
            "of which those that were cut are trained without an end of turn"
            if _keeps_cut(recipes)
            else "on which nothing is trained, so the rest are the shorter ones"
        )
        yield WarningView(
            name="Cut answers",
            why=f"In {len(many)} of {len(found)} data sets that models wrote, a tenth of the answers or more are no whole answers, "
            f"{learnt}; most in answers of {worst.by.describe()}: {percent(1 - whole, 0)} of {counts['answers']:,} "
            f"({faults_in_words(counts)}). --answer-tokens gives more room than {worst.params.max_tokens} tokens.",
        )


def machines_of(recipes: Sequence[Recipe], store: Store) -> list[MachineView]:
    """The kinds of machine that made the stored artifacts, the one with most artifacts first.

    Machines that differ in processor, instruction set or number of threads are of different kinds. Artifacts whose manifest does
    not say, from an older version, are left out.
    """
    kinds: Counter[tuple[str, str, str]] = Counter()
    named: dict[tuple[str, str, str], set[str]] = {}
    for recipe in recipes:
        if recipe.virtual or not store.has(recipe):
            continue
        said = store.manifest(recipe).machine
        if not said:
            continue
        kind = (said.get("processor", "?"), said.get("instructions", "?"), said.get("threads", "?"))
        kinds[kind] += 1
        named.setdefault(kind, set()).update(filter(None, [said.get("numerics")]))
    return [
        MachineView(
            processor=kind[0], instructions=kind[1], threads=kind[2], numerics=sorted(named[kind]), artifacts=count
        )
        for kind, count in kinds.most_common()
    ]


def _view(recipe: Recipe, store: Store, made: frozenset[str], called: Mapping[str, str]) -> RecipeView:
    has_artifact = not recipe.virtual
    stored = has_artifact and store.has(recipe)  # an input may be gone while what was made from the input is stored
    return RecipeView(
        fingerprint=recipe.fingerprint,
        kind=recipe.kind,
        title=recipe.describe(),
        called=called.get(recipe.fingerprint, ""),
        stage=recipe.stage,
        recipe=recipe.model_dump(mode="json"),
        command=f"cavesson make {recipe.fingerprint[:12]} --from result.json{_store_option(store)}"
        if has_artifact
        else "",
        seconds=store.manifest(recipe).wall_seconds if stored else None,
        reused=has_artifact and recipe.fingerprint not in made,
        loss=loss_in(store.path(recipe)) if stored else None,
    )


def _store_option(store: Store) -> str:
    """The option that names the store; "" for the default store."""
    return "" if store.root == default_root() else f" --store {shlex.quote(str(store.root))}"


def _environment(
    seeds: Sequence[int], views: Sequence[RecipeView], machines: list[MachineView], command: str
) -> Environment:
    stages = dict.fromkeys(view.stage for view in views if view.seconds is not None)
    wall = [
        StageTime(
            stage=stage,
            seconds=sum(v.seconds or 0.0 for v in views if v.stage == stage and not v.reused),
            reused=sum(v.seconds or 0.0 for v in views if v.stage == stage and v.reused),
        )
        for stage in stages
    ]
    return Environment(
        command=command,
        created=datetime.now(UTC),
        versions=dict(versions()),
        machine={
            "system": platform.platform(terse=True),
            "processor": numerics.processor().model,
            "instruction set": numerics.instructions(),
            "cores": str(os.cpu_count()),
            "threads of a stage": str(THREADS),
        },
        machines=machines,
        seeds=list(seeds),
        wall=wall,
    )
