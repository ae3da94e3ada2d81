"""Displays of a running lab: what they are told, the silent one, and the choice between those that show something."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Protocol

from bridle.lab.plan import Plan, Stage
from bridle.lab.stage import Progress


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


def display_for_terminal() -> Display:
    """A live display where people watch; plain lines in a pipe, in CI, on a dumb terminal or with `NO_COLOR`.

    Both write to standard error, so that standard output carries results alone.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("CI") or os.environ.get("TERM") == "dumb"
    if plain or not (sys.stdout.isatty() and sys.stderr.isatty()):
        from bridle.lab.board import Plain

        return Plain(sys.stderr)
    from bridle.lab.live import Live

    return Live()
