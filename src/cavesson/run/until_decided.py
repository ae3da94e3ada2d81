"""Seeds until the claims are decided: look after look, within a budget of time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from cavesson.errors import CavessonError, Stopped
from cavesson.figures import clock_time
from cavesson.findings.result import StudyResult
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.run.under_way import Finished, Run, say
from cavesson.studies.config import Looks
from cavesson.studies.looks import MARGIN, counted, left_over, schedule_note
from cavesson.studies.resolve import Resolved


def goes_on(resolved: Resolved) -> bool:
    """Whether seeds are to be added until the claims are decided."""
    return resolved.config.looks is not None and resolved.config.looks.look is None


def schedule(resolved: Resolved, store: Store) -> list[str]:
    """The looks of a study with `seeds: auto` in words, with the time that each takes as far as it is known; else nothing."""
    looks = resolved.config.looks
    if looks is None or not goes_on(resolved):
        return []
    lines, before = [], set[str]()
    with Lab(store) as lab:
        for look, seeds in enumerate(looks.at, 1):
            now = replace(resolved, config=resolved.config.at_look(look))
            stages = [one for one in lab.plan(now.recipes).to_make if one.fingerprint not in before]
            before |= {stage.fingerprint for stage in stages}
            known = [stage.seconds for stage in stages if stage.seconds is not None]
            time_for = f"about {clock_time(sum(known))} of work" if len(known) == len(stages) else "time not known yet"
            todo = f"{len(stages)} artifacts to make, {time_for}" if stages else "all there"
            lines.append(f"look {look} of {len(looks.at)}: {seeds} seeds, intervals at {looks.level}: {todo}")
    return [*lines, "It stops at the first look that leaves no statement undecided."]


def until_decided(run: Run, resolved: Resolved, budget: float | None) -> Finished:
    """Look after look, until nothing is left to decide or the budget does not reach the next look.

    Every look overwrites the report of the look before, so a run that is killed leaves the report of its last look.

    Raises:
        CavessonError: the budget does not reach the first look.
    """
    looks, clock = _looks(resolved), Clock(run, budget)
    if budget is not None:
        _reach_the_first_look(clock, replace(resolved, config=resolved.config.at_look(1)))
    made, finished = resolved, None
    for look, seeds in enumerate(looks.at, 1):
        try:
            with clock.making():
                made = run.make(replace(resolved, config=resolved.config.at_look(look)))
        except Stopped:
            if not clock.is_up:
                raise
            late = f"the budget of {clock_time(clock.budget)} ended before all of {seeds} seeds were made"
            if finished is None:
                raise CavessonError(f"There was no look: {late}.", _NO_LOOK) from None
            return _stop(run, made, finished.result, late)
        result = run.found(made)
        why = left_over(result.claims) or _nothing_further(looks, look)
        ahead = None
        if why is None:
            more = looks.at[look] - seeds
            ahead = clock.foretold(replace(made, config=made.config.at_look(look + 1)))
            why = clock.refusal(ahead, f"{more} more seeds")
            following = f"{more} more seeds follow{'' if ahead is None else f', about {clock_time(ahead)}'}"
        said = following if why is None else f"stopped: {why}"
        say(f"look {look} of {len(looks.at)}: {seeds} seeds; {counted(result.claims)}; {said}")
        if why is not None:
            return _stop(run, made, result, why)
        finished = run.write(made, result)
        clock.looked()
    raise AssertionError("the last look ends a study")


_NO_LOOK = (
    "Give a longer --budget, or a number of seeds (--seeds 5). The same command goes on with what is in the store."
)


def _reach_the_first_look(clock: Clock, resolved: Resolved) -> None:
    """See whether the budget reaches the first look; where nothing is known of a seed's cost, the first seed shows it.

    Raises:
        CavessonError: the budget does not reach the first look.
    """
    looks, config = _looks(resolved), resolved.config
    ahead = clock.foretold(resolved)
    if ahead is None:
        one = config.model_copy(update={"seeds": config.seeds[:1], "looks": None})
        try:
            with clock.making():
                made = clock.run.make(replace(resolved, config=one))
        except Stopped:
            if not clock.is_up:
                raise
            raise CavessonError(
                f"The budget of {clock_time(clock.budget)} ended with the first seed.", _NO_LOOK
            ) from None
        all_seeds = {"seeds": config.seeds, "looks": config.looks}
        ahead = clock.foretold(replace(made, config=made.config.model_copy(update=all_seeds)))
    why = clock.refusal(ahead, f"the {looks.at[0]} seeds of the first look")
    if why is not None:
        raise CavessonError(f"There was no look: {why}.", _NO_LOOK)


def _looks(resolved: Resolved) -> Looks:
    assert resolved.config.looks is not None, "the seeds of this study are fixed"
    return resolved.config.looks


def _nothing_further(looks: Looks, look: int) -> str | None:
    return "no further look was planned" if look == len(looks.at) else None


def _stop(run: Run, resolved: Resolved, result: StudyResult, why: str) -> Finished:
    """Write the report of the last look, with the reason for which it is the last; the stored study file has it too."""
    looks = _looks(resolved).model_copy(update={"why": why})
    resolved = replace(resolved, config=resolved.config.model_copy(update={"looks": looks}))
    note = schedule_note(looks)
    told = result.model_copy(update={"config": resolved.view(), "notes": [note, *result.notes[1:]]})
    return run.write(resolved, told)


class Clock:
    """The time of a run that adds seeds, and what more seeds would take."""

    def __init__(self, run: Run, budget: float | None) -> None:
        self.run = run
        self.budget = math.inf if budget is None else budget
        self._started = time.monotonic()
        self._making = self._work = 0.0  # seconds of making, and of the work on single cores that was done meanwhile
        self._made = self._started  # the end of the last making
        self._analysis = 0.0  # seconds of the last analysis

    @property
    def left(self) -> float:
        """Seconds of the budget."""
        return self.budget - (time.monotonic() - self._started)

    @property
    def is_up(self) -> bool:
        """Whether it is too late to make anything and report on it."""
        return self.left <= self._analysis

    @contextmanager
    def making(self) -> Iterator[None]:
        """Stops the lab when the budget is used, and measures how fast the lab works."""
        lab, before, start = self.run.lab, set(self.run.made), time.monotonic()
        lab.until = None if math.isinf(self.budget) else start + max(self.left - self._analysis, 0.0)
        try:
            yield
        finally:
            lab.until = None
        self._made = time.monotonic()
        self._making += self._made - start
        self._work += sum(self.run.lab.store.manifest(name).wall_seconds for name in self.run.made - before)

    def looked(self) -> None:
        """Note that the report of a look is written."""
        self._analysis = time.monotonic() - self._made

    def foretold(self, resolved: Resolved) -> float | None:
        """Seconds until the report on these seeds, from what the finished seeds took; None: no seed is finished."""
        found = self.run.cost(resolved)
        if found is None:
            return None
        rate = self._making / self._work if self._work > 1 else 1 / self.run.lab.workers
        return MARGIN * found.left * rate + max(self._analysis, time.monotonic() - self._made if self._making else 0.0)

    def refusal(self, ahead: float | None, what: str) -> str | None:
        """Why the budget does not reach that far; None if it does, as far as is known."""
        if ahead is None or ahead <= self.left:
            return None
        have = f"the budget of {clock_time(self.budget)} has {clock_time(max(self.left, 0.0))} left"
        return f"{what} would take about {clock_time(ahead)}, and {have}"
