"""Curves of a run at a tracking service: one run of the service for each stage that reports figures, and one for the study."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Protocol

from cavesson.estimate import Estimate
from cavesson.lab.plan import Stage
from cavesson.lab.progress import Silent
from cavesson.lab.stage import Progress
from cavesson.lines import one_line

PATIENCE = 60.0
"""Seconds that a finished run waits for a service to take its last figures."""


@dataclass(frozen=True, slots=True)
class About:
    """What a service is told about a run.

    Attributes:
        id: the stage's fingerprint, or the name of the study's report.
        title: in words.
        kind: of the recipe, or "study".
        study: name of the study's report, by which runs belong together.
        settings: the recipe's plain settings; no paths.
    """

    id: str
    title: str
    kind: str
    study: str
    settings: Mapping[str, str | int | float] = field(default_factory=dict)


class Run(Protocol):
    """One run at a service."""

    def log(self, step: float, figures: Mapping[str, float], at: float) -> None:
        """Keep the figures of a step; `at`: when they were measured, in seconds since 1970."""
        ...

    def end(self, well: bool) -> None:
        """The run is over."""
        ...


class Service(Protocol):
    """A tracking service. Making one checks that its package is there and writes nothing."""

    place: str
    """Where the curves are, for people."""

    def open(self, about: About) -> Run:
        """A run; one that the service has under this id already goes on, where the service allows that."""
        ...


Event = Callable[[dict[str, Run]], None]
"""Does something with the runs that are open, by id."""


class Curves(Silent):
    """Sends figures to a service from a thread of its own, so that a slow service slows no stage down.

    A failure of the service is raised by the next event, for `Displays` to catch.

    Args:
        service: takes the figures.
        study: name of the study's report.
        patience: seconds to wait for the service at the end.
    """

    def __init__(self, service: Service, study: str, patience: float = PATIENCE) -> None:
        self.place = service.place
        self._service = service
        self._study = study
        self._patience = patience
        self._events: SimpleQueue[Event | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    def progress(self, stage: Stage, progress: Progress) -> None:
        figures = {name: float(figure) for name, figure in progress.figures.items() if not isinstance(figure, str)}
        if figures:
            self._log(self._about(stage), progress.done, figures)

    def finished(self, stage: Stage, made: bool) -> None:
        self._end(stage.fingerprint, well=True)

    def halted(self, stage: Stage, reason: str) -> None:
        self._end(stage.fingerprint, well=False)

    def end(self) -> None:
        self._wait()

    def found(self, figures: Mapping[str, Estimate]) -> None:
        """The study's own run: each figure with the ends of its interval and its number of prompts."""
        plain = {
            f"{name}{end}": float(value)
            for name, figure in figures.items()
            for end, value in (("", figure.value), (" low", figure.low), (" high", figure.high), (" n", figure.n))
        }
        self._log(About(self._study, self._study, "study", self._study), 0, plain)
        self._end(self._study, well=True)
        self._wait()

    def _about(self, stage: Stage) -> About:
        plain = {
            name: value
            for name, value in stage.recipe.identity().items()
            if isinstance(value, (str, int, float)) and len(str(value)) <= 200
        }
        return About(stage.fingerprint, one_line(stage.title)[:120], stage.recipe.kind, self._study, plain)

    def _log(self, about: About, step: float, figures: Mapping[str, float]) -> None:
        now = time.time()

        def log(runs: dict[str, Run]) -> None:
            if about.id not in runs:
                runs[about.id] = self._service.open(about)
            runs[about.id].log(step, figures, now)

        self._put(log)

    def _end(self, id: str, well: bool) -> None:
        def end(runs: dict[str, Run]) -> None:
            if id in runs:
                runs.pop(id).end(well)

        self._put(end)

    def _put(self, event: Event | threading.Event) -> None:
        if self._failure is not None:
            raise self._failure
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="tracker", daemon=True)
            self._thread.start()
        self._events.put(event)

    def _wait(self) -> None:
        """Wait until the service has all figures."""
        if self._thread is None:
            return
        done = threading.Event()
        self._put(done)
        if not done.wait(self._patience):
            raise TimeoutError(f"{self.place} did not take all figures within {self._patience:g} s")
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        """Do one event after another; after a failure none but to end the waiting."""
        runs: dict[str, Run] = {}
        while True:
            event = self._events.get()
            if isinstance(event, threading.Event):
                event.set()
            elif self._failure is None:
                try:
                    event(runs)
                except Exception as error:  # a service may raise anything
                    self._failure = error
