"""Where a result comes from: its config with provenance, its recipes, the machine and the time that it took.

It is the same for every study.
"""

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
        seeds: of the study.
        recipes: what the study asked for.
        made: fingerprints of the artifacts that this run made; the others were in the store.
        command: the command line, for the reader who wants to run it again.
    """
    views = [_view(recipe, store, made) for recipe in lineage(*recipes)]
    return About(config, _environment(seeds, views, command), views)


def _view(recipe: Recipe, store: Store, made: frozenset[str]) -> RecipeView:
    real = not recipe.virtual
    there = real and store.has(recipe)  # an input may be gone while what was made from it is there
    return RecipeView(
        fingerprint=recipe.fingerprint,
        kind=recipe.kind,
        title=recipe.describe(),
        stage=recipe.stage,
        recipe=recipe.model_dump(mode="json"),
        command=f"cavesson make {recipe.fingerprint[:12]} --from result.json{_where(store)}" if real else "",
        seconds=store.manifest(recipe).wall_seconds if there else None,
        reused=real and recipe.fingerprint not in made,
    )


def _where(store: Store) -> str:
    """The option that names a store which is not the default one."""
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
    """The processor's name, as far as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 — a kernel file, not a path of ours
            return next(
                (line.partition(":")[2].strip() for line in file if line.startswith("model name")), platform.machine()
            )
    except OSError:
        return platform.processor() or platform.machine()
