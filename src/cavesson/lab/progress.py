"""Displays of a running lab: what they are told, and the silent one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cavesson.lab.plan import Plan, Stage
from cavesson.lab.stage import Progress


class Display(Protocol):
    """Told what happens, in the process that runs the lab. Methods return quickly and raise nothing."""

    def begin(self, plan: Plan, workers: int) -> None:
        """Work on a plan begins."""

    def added(self, stages: Sequence[Stage]) -> None:
        """More has to be made than was planned: inputs turned out to be missing or damaged."""

    def started(self, stage: Stage) -> None:
        """A stage begins (again, if it was started before)."""

    def progress(self, stage: Stage, progress: Progress) -> None:
        """A stage reports."""

    def waiting(self, stage: Stage, holder: str) -> None:
        """Another process is making this artifact; the stage waits for it."""

    def finished(self, stage: Stage, made: bool) -> None:
        """The artifact is there; `made`: made here, not by another process."""

    def halted(self, stage: Stage, reason: str) -> None:
        """The stage ended without its artifact: it failed, was stopped, or has to wait for an input."""

    def stopping(self) -> None:
        """The user asked to stop. Called from a signal handler: only note it."""

    def end(self) -> None:
        """Work has ended, well or not."""


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
