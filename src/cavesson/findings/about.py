"""Where a result comes from: config with provenance, recipes, machine and wall time. Every study uses this module."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cavesson.findings.views import Environment, RecipeView, StageTime, StudyConfig
from cavesson.lab.manifest import versions
from cavesson.lab.recipe import Recipe, lineage
from cavesson.lab.store import Store, default_root


@dataclass(frozen=True, slots=True)
class About:
    """The parts of a `StudyResult` that say how it came about."""

    config: StudyConfig
    environment: Environment
    recipes: list[RecipeView]


def about(
    config: StudyConfig,
    seeds: Sequence[int],
    recipes: Sequence[Recipe],
    store: Store,
    *,
    made: frozenset[str],
    command: str,
) -> About:
    """Describe a finished run.

    Args:
        config: the resolved config, with where each value came from.
        seeds: the seeds of the study.
        recipes: the recipes that the study asked for.
        store: the store that holds the artifacts.
        made: fingerprints of the artifacts that this run made; the other artifacts were in the store.
        command: the command line, so that a reader can run the study again.
    """
    views = [_view(recipe, store, made) for recipe in lineage(*recipes)]
    return About(config, _environment(seeds, views, command), views)


def _view(recipe: Recipe, store: Store, made: frozenset[str]) -> RecipeView:
    has_artifact = not recipe.virtual
    stored = has_artifact and store.has(recipe)  # an input may be gone while what was made from the input is stored
    return RecipeView(
        fingerprint=recipe.fingerprint,
        kind=recipe.kind,
        title=recipe.describe(),
        stage=recipe.stage,
        recipe=recipe.model_dump(mode="json"),
        command=f"cavesson make {recipe.fingerprint[:12]} --from result.json{_store_option(store)}"
        if has_artifact
        else "",
        seconds=store.manifest(recipe).wall_seconds if stored else None,
        reused=has_artifact and recipe.fingerprint not in made,
    )


def _store_option(store: Store) -> str:
    """The option that names the store; "" for the default store."""
    return "" if store.root == default_root() else f" --store {shlex.quote(str(store.root))}"


def _environment(seeds: Sequence[int], views: Sequence[RecipeView], command: str) -> Environment:
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
        machine={"system": platform.platform(terse=True), "processor": _processor(), "cores": str(os.cpu_count())},
        seeds=list(seeds),
        wall=wall,
    )


def _processor() -> str:
    """The processor's name if the system knows the name, else its architecture."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 — a file of the kernel
            return next(
                (line.partition(":")[2].strip() for line in file if line.startswith("model name")), platform.machine()
            )
    except OSError:
        return platform.processor() or platform.machine()
