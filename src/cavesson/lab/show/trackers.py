"""Trackers: displays that write the figures of a run down, for other programs to draw and compare."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from cavesson.errors import entry_of
from cavesson.estimate import Estimate
from cavesson.lab.own import is_own, made_by
from cavesson.lab.plan import Plan, Stage
from cavesson.lab.progress import Display, Silent
from cavesson.lab.show.curves import Curves
from cavesson.lab.show.services import MLflow, TensorBoard, Trackio, WandB
from cavesson.lab.stage import Progress


class Tracker(Display, Protocol):
    """A display that writes down what happens and, at the end of a study, what the study found.

    A tracker writes nothing before its first event: a run may be refused before anything begins.
    """

    place: str
    """Where the tracker writes, for people: a path or an address."""

    def found(self, figures: Mapping[str, Estimate]) -> None:
        """The study is finished; `figures` are its headline figures by name."""


class JsonLines(Silent):
    """One JSON object a line, into a new file of the folder for each run.

    Every line has `time` (ISO 8601, UTC), `study` and `event`. A line about a stage has `stage` (the fingerprint) and
    `title`; a line of progress also has `step`, `of` and `figures` (loss, lr, tok_per_s …).

    Args:
        folder: of the report; the file goes into `track/` below the folder.
        study: name of the run, as the report's folder is called.
    """

    def __init__(self, folder: Path, study: str) -> None:
        self._file = folder / "track" / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S-%f}.jsonl"
        self._study = study
        self.place = str(self._file)

    def begin(self, plan: Plan, workers: int) -> None:
        self._write("begin", to_make=len(plan.to_make), there=len(plan.there), workers=workers)

    def started(self, stage: Stage) -> None:
        self._write_stage("started", stage)

    def progress(self, stage: Stage, progress: Progress) -> None:
        self._write_stage("progress", stage, step=progress.done, of=progress.total, figures=dict(progress.figures))

    def finished(self, stage: Stage, made: bool) -> None:
        self._write_stage("finished", stage, made=made)

    def halted(self, stage: Stage, reason: str) -> None:
        self._write_stage("halted", stage, reason=reason)

    def found(self, figures: Mapping[str, Estimate]) -> None:
        self._write("found", figures={name: asdict(figure) for name, figure in figures.items()})

    def _write_stage(self, event: str, stage: Stage, **facts: Any) -> None:
        self._write(event, stage=stage.fingerprint, title=stage.title, **facts)

    def _write(self, event: str, **facts: Any) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        line = {"time": datetime.now(UTC).isoformat(), "study": self._study, "event": event, **facts}
        with self._file.open("a", encoding="utf-8") as file:  # opened for each line: a killed run loses none
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


TRACKERS: dict[str, Callable[[Path, str], Tracker]] = {
    "jsonl": JsonLines,
    "wandb": lambda folder, study: Curves(WandB(folder), study),
    "mlflow": lambda folder, study: Curves(MLflow(folder), study),
    "trackio": lambda folder, study: Curves(Trackio(folder), study),
    "tensorboard": lambda folder, study: Curves(TensorBoard(folder), study),
}
"""Every tracker by its name: a function of a report's folder and a run's name. The function raises `MissingExtra`, before
anything starts, if the tracker's package is not installed."""


def tracker_named(name: str) -> Callable[[Path, str], Tracker]:
    """The function that makes a tracker, by its name or from a user's own code (`path/to/file.py:NAME`).

    Raises:
        ConfigError: there is no such tracker.
    """
    if is_own(name):
        return partial(made_by, name, "tracker", ("place",))
    return entry_of(TRACKERS, name, "tracker")


class Displays:
    """A display and any number of trackers; every event goes to all of them.

    A tracker that fails gets no further events, one line tells the user, and the run goes on.

    Args:
        display: what the user watches.
        trackers: the trackers by name.
        say: shows a line to the user.
    """

    def __init__(self, display: Display, trackers: Mapping[str, Tracker], say: Callable[[str], None]) -> None:
        self._display = display
        self._trackers = dict(trackers)
        self._say = say

    def begin(self, plan: Plan, workers: int) -> None:
        self._tell(lambda display: display.begin(plan, workers))

    def added(self, stages: Sequence[Stage]) -> None:
        self._tell(lambda display: display.added(stages))

    def started(self, stage: Stage) -> None:
        self._tell(lambda display: display.started(stage))

    def progress(self, stage: Stage, progress: Progress) -> None:
        self._tell(lambda display: display.progress(stage, progress))

    def waiting(self, stage: Stage, holder: str) -> None:
        self._tell(lambda display: display.waiting(stage, holder))

    def finished(self, stage: Stage, made: bool) -> None:
        self._tell(lambda display: display.finished(stage, made))

    def halted(self, stage: Stage, reason: str) -> None:
        self._tell(lambda display: display.halted(stage, reason))

    def stopping(self) -> None:
        self._tell(lambda display: display.stopping())

    def end(self) -> None:
        self._tell(lambda display: display.end())

    def found(self, figures: Mapping[str, Estimate]) -> None:
        """Tell the trackers what the study found; displays show progress alone."""
        self._note(lambda tracker: tracker.found(figures))

    def _tell(self, event: Callable[[Display], None]) -> None:
        event(self._display)
        self._note(event)

    def _note(self, event: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                event(tracker)
            except Exception as error:  # a tracker or its service may raise anything
                del self._trackers[name]
                self._say(f"note: the tracker {name} failed and is off; the run goes on: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
