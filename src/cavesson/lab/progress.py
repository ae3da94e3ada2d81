"""Displays of a running lab: the interface, and a display that shows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cavesson.lab.plan import Plan, Stage
from cavesson.lab.stage import Progress


class Display(Protocol):
    """Shows what happens, in the process that runs the lab. Methods return quickly and raise nothing."""

    def begin(self, plan: Plan, workers: int) -> None:
        """The work on a plan begins."""

    def added(self, stages: Sequence[Stage]) -> None:
        """Further stages have to run: inputs turned out to be missing or damaged."""

    def started(self, stage: Stage) -> None:
        """A stage begins; a stage may begin several times."""

    def progress(self, stage: Stage, progress: Progress) -> None:
        """A stage reports its progress."""

    def waiting(self, stage: Stage, holder: str) -> None:
        """Another process is making the stage's artifact; the stage waits for that process."""

    def finished(self, stage: Stage, made: bool) -> None:
        """The artifact is finished; `made`: this lab made the artifact, not another process."""

    def halted(self, stage: Stage, reason: str) -> None:
        """The stage ended without its artifact: it failed, was stopped, or has to wait for an input."""

    def stopping(self) -> None:
        """The user asked to stop. Called from a signal handler, so only take note."""

    def end(self) -> None:
        """The work has ended, well or not."""


class Silent:
    """Shows nothing."""

    def begin(self, plan: Plan, workers: int) -> None: ...

    def added(self, stages: Sequence[Stage]) -> None: ...

    def started(self, stage: Stage) -> None: ...

    def progress(self, stage: Stage, progress: Progress) -> None: ...

    def waiting(self, stage: Stage, holder: str) -> None: ...

    def finished(self, stage: Stage, made: bool) -> None: ...

    def halted(self, stage: Stage, reason: str) -> None: ...

    def stopping(self) -> None: ...

    def end(self) -> None: ...
