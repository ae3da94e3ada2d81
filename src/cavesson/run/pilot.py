"""A pilot: a whole study at a small part of its size, and what the study itself will cost on this machine."""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any, Literal

from cavesson.errors import CavessonError
from cavesson.figures import bytes_text, clock_time, percent
from cavesson.lab.documents import validated
from cavesson.lab.lab import Lab
from cavesson.lab.plan import UNKNOWN_SECONDS, Plan, Schedule, Stage
from cavesson.lab.progress import Display
from cavesson.lab.recipe import Recipe
from cavesson.lab.store import Store
from cavesson.lab.times import Taken
from cavesson.models.recipes import ModelRecipe
from cavesson.run.study import plan_study
from cavesson.run.under_way import Run
from cavesson.sampling.requests import requests
from cavesson.studies.resolve import Resolved

SHARE = 0.02
"""What a pilot keeps of every length and number."""

LEAST = {"steps": 10, "prompts": 64, "samples": 64, "n": 16, "n_control": 16}
"""The numbers of a config that a pilot makes smaller, each with the least that still means something; a smaller number stays."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a study will cost on this machine.

    Attributes:
        share: of the study's work that the pilot did.
        took: seconds of the pilot.
        stages: that are still to make.
        work: seconds of all of them on one core.
        wall: seconds until the report, with so many workers.
        workers: stages that run at the same time.
        memory: the most that a stage takes, in GB.
        disk: bytes of what will be made.
        asked: what models behind an API will be asked, in words.
        uncounted: what the study decides on the way to make, in words.
    """

    share: float
    took: float
    stages: int
    work: float
    wall: float
    workers: int
    memory: float
    disk: float
    asked: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The forecast in words."""
        at_once = f"{self.workers} stages at a time" if self.workers > 1 else "one stage at a time"
        together = f" ({self.workers} × {self.memory:.1f} GB)" if self.workers > 1 else ""
        return [
            f"the pilot did {percent(self.share, 0)} of the work in {clock_time(self.took)}; the whole study on this machine:",
            f"time: about {clock_time(self.wall)}, {at_once} ({self.stages} to make, {clock_time(self.work)} of work)",
            f"memory: about {self.workers * self.memory:.1f} GB at its peak{together}",
            f"disk: about {bytes_text(self.disk)}",
            *(f"requests: {line}" for line in self.asked or ("none to models behind an API",)),
            *self.uncounted,
        ]


def smaller(resolved: Resolved) -> Resolved:
    """The same study with few steps, prompts and questions and its first seed; the grid stays whole, so every kind of stage runs.

    Blue also trains organisms that so few steps of red have not made.
    """
    values = {**_smaller(resolved.config.model_dump(mode="json")), "seeds": [resolved.config.seeds[0]], "looks": None}
    config = validated(resolved.study.config, values, {})
    return replace(resolved, study=replace(resolved.study, takes=None), config=config)


def _smaller(values: Mapping[str, Any]) -> dict[str, Any]:
    """A section of a config with smaller numbers; steps within a training move with its length."""
    found = {name: _smaller(value) if isinstance(value, dict) else value for name, value in values.items()}
    for name, least in LEAST.items():
        if isinstance(values.get(name), int):
            found[name] = min(values[name], max(least, round(SHARE * values[name])))
    if isinstance(values.get("steps"), int):
        shrink = found["steps"] / values["steps"]
        for name in ("probes", "at", "sweep"):
            if values.get(name) and all(isinstance(step, int) for step in values[name]):
                found[name] = sorted({max(1, round(step * shrink)) for step in values[name]})
    return found


def pilot_study(
    resolved: Resolved, store: Store, *, workers: int | Literal["auto"], display: Display, executor: str = "local"
) -> Forecast:
    """Run a study small, in a corner of the store's cache, and foretell what the study itself will cost.

    What the stages of the pilot took is added to the store's times, so later estimates know it too. Nothing else of the real
    study's place is touched; `cavesson store gc --cache` removes the corner. A model behind an API is asked for the pilot too.

    Raises:
        CavessonError: the study cannot be run; the message says how to repair that.
        Stopped: the user asked to stop; the same call goes on where it was.
    """
    corner, small, start = Store(store.root / "cache" / "pilot"), smaller(resolved), time.monotonic()
    with Lab(corner, workers, display, executor) as lab:
        run = Run(lab, "pilot", f"cavesson run {resolved.named} --pilot")
        before = corner.times().past
        plan = lab.plan(run.recipes(small))
        made = run.make(small)
        ready = time.monotonic()
        with suppress(CavessonError):  # so short a training may leave nothing that a report could be about
            run.write(made, run.found(made))
        analysis, count = time.monotonic() - ready, lab.workers
    taken = corner.times().past
    store.learn_times(corner)
    seconds = {stage.fingerprint: corner.manifest(stage.recipe).wall_seconds for stage in plan.stages}
    idle = max(ready - start - _wall(plan, count, lambda stage: seconds[stage.fingerprint]), 0.0) if not before else 0.0
    return _forecast(resolved, store, plan, taken, corner, count, took=time.monotonic() - start, on_top=analysis + idle)


def _forecast(
    resolved: Resolved,
    store: Store,
    tried: Plan,
    taken: Sequence[Taken],
    corner: Store,
    workers: int,
    *,
    took: float,
    on_top: float,
) -> Forecast:
    """The forecast from a finished pilot.

    Args:
        tried: the plan of the pilot.
        taken: what its stages took.
        on_top: seconds of the pilot beside making: starting workers, analysis, report.
    """
    whole, times = plan_study(resolved, store), store.times()

    def guessed(plan: Plan) -> float:
        return sum(effort.guess() for stage in plan.stages if (effort := stage.recipe.effort()) is not None)

    def foretold(stage: Stage) -> float:
        return times.foretold(stage.recipe.task, stage.recipe.effort()) or UNKNOWN_SECONDS

    missing = Plan(whole.to_make)
    tokens = _tokens_a_request(tried, corner)
    return Forecast(
        share=guessed(tried) / max(guessed(whole), 1e-9),
        took=took,
        stages=len(missing.stages),
        work=sum(map(foretold, missing.stages)),
        wall=_wall(missing, workers, foretold) + on_top,
        workers=workers,
        memory=max((one.peak for one in taken), default=0.0),
        disk=sum(_size(stage.recipe, taken) for stage in missing.stages),
        asked=tuple(line + tokens for line in requests(stage.recipe for stage in missing.stages)),
        uncounted=tuple(resolved.study.uncounted(resolved.config)),
    )


def _wall(plan: Plan, workers: int, seconds: Callable[[Stage], float]) -> float:
    """Seconds from the first stage to the last, if so many workers take stages as the lab gives them out."""
    schedule, now = Schedule(plan), 0.0
    running: list[tuple[float, int, Stage]] = []
    while len(schedule):
        while len(running) < workers and (stage := schedule.take()) is not None:
            heapq.heappush(running, (now + seconds(stage), len(schedule) * workers + len(running), stage))
        now, _, stage = heapq.heappop(running)
        schedule.finish(stage)
    return now


def _size(recipe: Recipe, taken: Sequence[Taken]) -> float:
    """Bytes of an artifact, from artifacts of its task: the weights of a model keep their size, all else grows with the work."""
    effort = recipe.effort()
    weights, guess = (0, 0.0) if effort is None else (effort.weights, effort.guess())
    alike = [one for one in taken if one.task == recipe.task and one.weights == weights]
    grows = 1.0 if isinstance(recipe, ModelRecipe) else guess
    sizes = [one.size * (grows / one.guess if one.guess and grows != 1.0 else 1.0) for one in alike]
    return mean(sizes) if sizes else 0.0


def _tokens_a_request(tried: Plan, corner: Store) -> str:
    """What an answer of a model behind an API took in the pilot, in words; empty if no such model was asked."""
    used = [
        json.loads(path.read_text(encoding="utf-8"))
        for stage in tried.stages
        if (path := corner.path(stage.recipe) / "usage.json").is_file()
    ]
    asked = sum(one.get("requests", 0) for one in used)
    return f", some {sum(one.get('tokens', 0) for one in used) / asked:.0f} tokens each" if asked else ""
