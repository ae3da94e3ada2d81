"""The state of a running lab, an estimate of the time left, and a display in plain lines of text."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Literal, TextIO

from cavesson.lab.plan import Plan, Stage, duration
from cavesson.lab.progress import Silent
from cavesson.lab.stage import Progress
from cavesson.lines import one_line

Clock = Callable[[], float]
TRUSTED_FRACTION = 0.05
"""Fraction done from which a stage's own pace predicts its time better than earlier stages of its kind."""
REPORT_SECONDS = 10.0
"""Seconds between the plain lines about a running stage, also about one that reports nothing."""


@dataclass
class Row:
    """One stage: its state, its start (the clock's seconds), its duration (seconds), and its last report."""

    stage: Stage
    state: Literal["waiting", "running", "done", "found", "halted"] = "waiting"
    begun: float = 0.0
    seconds: float = 0.0
    progress: Progress | None = None
    note: str = ""

    @property
    def over(self) -> bool:
        """Whether the artifact is finished."""
        return self.state in ("done", "found")

    @property
    def title(self) -> str:
        """The recipe in a few words."""
        return self.stage.title


class Board(Silent):
    """Keeps a row for each stage that has to be made. A display is a board that also shows the rows."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.rows: dict[str, Row] = {}
        self.there = 0
        self.workers = 1
        self.begun = clock()
        self.stop_asked = False

    def begin(self, plan: Plan, workers: int) -> None:
        self.rows = {stage.fingerprint: Row(stage) for stage in plan.to_make}
        self.there, self.workers = len(plan.there), workers
        self.begun, self.stop_asked = self.clock(), False

    def added(self, stages: Sequence[Stage]) -> None:
        self.rows.update({stage.fingerprint: Row(stage) for stage in stages})

    def started(self, stage: Stage) -> None:
        self.rows[stage.fingerprint] = Row(stage, "running", begun=self.clock())

    def progress(self, stage: Stage, progress: Progress) -> None:
        row = self.rows[stage.fingerprint]
        row.progress, row.note = progress, ""

    def waiting(self, stage: Stage, holder: str) -> None:
        self.rows[stage.fingerprint].note = f"waits for {holder}"

    def finished(self, stage: Stage, made: bool) -> None:
        row = self.rows[stage.fingerprint]
        row.state, row.seconds, row.note = "done" if made else "found", self.clock() - row.begun, ""

    def halted(self, stage: Stage, reason: str) -> None:
        row = self.rows[stage.fingerprint]
        row.state, row.seconds, row.note = "halted", self.clock() - row.begun, reason

    def stopping(self) -> None:
        self.stop_asked = True

    def elapsed(self, row: Row) -> float:
        """Seconds that a stage has taken so far."""
        return self.clock() - row.begun if row.state == "running" else row.seconds

    def done(self) -> int:
        """How many stages are over."""
        return sum(row.over for row in self.rows.values())

    def remaining(self) -> dict[str, float] | None:
        """Seconds that each unfinished stage still needs; None if no stage gives an estimate.

        A stage is estimated from its own duration or pace, and before that by the plan, corrected by how wrong the plan was about
        the stages of its kind in this run. Of a kind that the plan does not know, the others in this run tell. A stage of a new
        kind gets the mean of the other estimates.
        """
        seen: dict[str, list[float]] = {}
        wrong: dict[str, list[float]] = {}
        for row in self.rows.values():
            if (total := self._total(row)) is not None:
                seen.setdefault(row.stage.recipe.kind, []).append(total)
                if row.stage.seconds and row.state == "done":
                    wrong.setdefault(row.stage.recipe.kind, []).append(total / row.stage.seconds)
        left: dict[str, float | None] = {}
        for name, row in self.rows.items():
            if not row.over:
                kind = seen.get(row.stage.recipe.kind)
                total = self._total(row) or (median(kind) if kind else None)
                if row.stage.seconds is not None:
                    total = self._corrected(row, row.stage.seconds * median(wrong.get(row.stage.recipe.kind, [1.0])))
                left[name] = None if total is None else max(total - self.elapsed(row) * (row.state == "running"), 0.0)
        known = [seconds for seconds in left.values() if seconds is not None]
        if not known and left:
            return None
        return {name: mean(known) if seconds is None else seconds for name, seconds in left.items()}

    def left(self) -> float | None:
        """Seconds to the end: the remaining work divided by the workers, or the longest chain of stages if that is longer."""
        remaining = self.remaining()
        if remaining is None:
            return None
        ends: dict[str, float] = {}

        def end(name: str) -> float:
            if name not in ends:
                needs = [end(needed) for needed in self.rows[name].stage.needs if needed in remaining]
                ends[name] = remaining[name] + max(needs, default=0.0)
            return ends[name]

        longest = max((end(name) for name in remaining), default=0.0)
        return max(longest, sum(remaining.values()) / self.workers)

    def _corrected(self, row: Row, planned: float) -> float:
        """Seconds of a stage from beginning to end: its own pace counts as much as it has done, the plan as much as is left."""
        total = self._total(row)
        if total is None or row.state == "done":
            return planned if total is None else total
        fraction = row.progress.fraction if row.progress is not None else 0.0
        return fraction * total + (1 - fraction) * planned

    def _total(self, row: Row) -> float | None:
        """Seconds of a stage from beginning to end, from its own duration or pace; None if its pace is not known yet."""
        if row.state == "done":
            return row.seconds
        fraction = row.progress.fraction if row.state == "running" and row.progress is not None else 0.0
        return self.elapsed(row) / fraction if fraction >= TRUSTED_FRACTION else None


class Plain(Board):
    """Lines of plain text, for pipes and logs."""

    def __init__(self, stream: TextIO, clock: Clock = time.monotonic) -> None:
        super().__init__(clock)
        self._stream = stream
        self._line_at: dict[str, float] = {}
        self._over = threading.Event()

    def begin(self, plan: Plan, workers: int) -> None:
        super().begin(plan, workers)
        self._line_at.clear()
        self._say(f"{len(self.rows)} to make, {self.there} there")
        self._over = threading.Event()
        threading.Thread(target=self._watch, args=(self._over,), daemon=True).start()

    def _watch(self, over: threading.Event) -> None:
        """Say now and then that a stage runs which reports nothing: one step of a large model may take minutes."""
        while not over.wait(1.0):
            self.still_running()

    def still_running(self) -> None:
        """A line about every running stage that has been silent for long."""
        for row in list(self.rows.values()):
            if row.state == "running" and self._is_time(row.stage):
                self._say_progress(row)

    def started(self, stage: Stage) -> None:
        super().started(stage)
        self._line_at[stage.fingerprint] = self.clock()
        self._say(f"start  {stage.title}")

    def progress(self, stage: Stage, progress: Progress) -> None:
        super().progress(stage, progress)
        if self._is_time(stage):
            self._say_progress(self.rows[stage.fingerprint])

    def waiting(self, stage: Stage, holder: str) -> None:
        super().waiting(stage, holder)
        if self._is_time(stage):
            self._say(f"wait   {stage.title}: {holder} is making it")

    def finished(self, stage: Stage, made: bool) -> None:
        super().finished(stage, made)
        row, left = self.rows[stage.fingerprint], self.left()
        about = f", about {duration(left)} left" if left else ""
        figures = figures_text(row.progress.figures) if row.progress is not None else ""
        how = f"in {duration(row.seconds)}" if made else "by another process"
        self._say(f"done   {row.title} {how}{_bracketed(figures)}  [{self.done()} of {len(self.rows)}{about}]")

    def halted(self, stage: Stage, reason: str) -> None:
        super().halted(stage, reason)
        self._say(f"halt   {stage.title}: {reason}")

    def end(self) -> None:
        self._over.set()
        self._say(f"{self.done()} of {len(self.rows)} made in {duration(self.clock() - self.begun)}")

    def _say_progress(self, row: Row) -> None:
        now = row.progress or Progress(0, 1)
        left = (self.remaining() or {}).get(row.stage.fingerprint)
        about = f", about {duration(left)} left" if left else ""
        times = f"{duration(self.elapsed(row))}{about}"
        self._say(f"  {now.fraction:4.0%}  {row.title}  {times}{_bracketed(figures_text(now.figures))}")

    def _is_time(self, stage: Stage) -> bool:
        due = self.clock() - self._line_at.setdefault(stage.fingerprint, self.clock()) >= REPORT_SECONDS
        if due:
            self._line_at[stage.fingerprint] = self.clock()
        return due

    def _say(self, line: str) -> None:
        print(one_line(line), file=self._stream, flush=True)


def figures_text(figures: Mapping[str, float | str]) -> str:
    """Current figures in a few words: `loss 0.53 · 21k tok/s` (a name that ends in `_per_s` is a rate)."""
    parts = []
    for name, value in figures.items():
        text = value if isinstance(value, str) else compact(value)
        rate = name.removesuffix("_per_s")
        parts.append(f"{text} {rate}/s" if rate != name else f"{name.replace('_', ' ')} {text}")
    return " · ".join(parts)


def compact(value: float) -> str:
    """A number in at most three significant digits: `0.534`, `21.4k`, `1.2M`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _bracketed(text: str) -> str:
    return f" ({text})" if text else ""
