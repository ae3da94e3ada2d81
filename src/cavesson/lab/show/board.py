"""The state of a running lab, an estimate of the time left, and a display in plain lines of text."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Literal, TextIO

from cavesson.figures import clock_time, compact, percent
from cavesson.lab.plan import Plan, Stage
from cavesson.lab.progress import Silent
from cavesson.lab.stage import Progress
from cavesson.lines import one_line

Clock = Callable[[], float]
TRUSTED_FRACTION = 0.05
"""Fraction done from which a stage's own pace predicts its time better than earlier stages of its kind."""
PLAN_COUNTS = 0.1
"""Share of a whole plan that counts as work that went as planned, before kinds of stages not yet seen are corrected."""
KIND_COUNTS = 0.25
"""Share of one stage that counts as work at the run's usual pace, before further stages of its kind are corrected."""
LEFT_SECONDS = 1.0
"""Seconds for which a display shows the time left as it was worked out: that looks at every stage."""
REPORT_SECONDS = 10.0
"""Seconds between the plain lines about a running stage, also about one that reports nothing."""


@dataclass
class Row:
    """One stage: its state, its start (the clock's seconds), its duration (seconds), its last report and the seconds until then."""

    stage: Stage
    state: Literal["waiting", "running", "done", "found", "halted"] = "waiting"
    begun: float = 0.0
    seconds: float = 0.0
    progress: Progress | None = None
    reported: float = 0.0
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
        self.later: tuple[Stage, ...] = ()
        self.there = 0
        self.workers = 1
        self.begun = clock()
        self.stop_asked = False
        self._ended: set[str] = set()
        self._left: tuple[float, float | None] | None = None

    def begin(self, plan: Plan, workers: int) -> None:
        self._ended, self._left = set(), None
        self.rows, self.later = {stage.fingerprint: Row(stage) for stage in plan.to_make}, plan.later
        self.there, self.workers = len(plan.there), workers
        self.begun, self.stop_asked = self.clock(), False

    def added(self, stages: Sequence[Stage]) -> None:
        self.rows.update({stage.fingerprint: Row(stage) for stage in stages})

    def started(self, stage: Stage) -> None:
        self.rows[stage.fingerprint] = Row(stage, "running", begun=self.clock())
        self._ended.discard(stage.fingerprint)

    def progress(self, stage: Stage, progress: Progress) -> None:
        row = self.rows[stage.fingerprint]
        row.progress, row.reported, row.note = progress, self.clock() - row.begun, ""

    def waiting(self, stage: Stage, holder: str) -> None:
        self.rows[stage.fingerprint].note = f"waits for {holder}"

    def finished(self, stage: Stage, made: bool) -> None:
        row = self.rows[stage.fingerprint]
        row.state, row.seconds, row.note = "done" if made else "found", self.clock() - row.begun, ""
        self._ended.add(stage.fingerprint)

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
        return len(self._ended)

    def remaining(self) -> dict[str, float] | None:
        """Seconds that each unfinished stage still needs, those of a later call included; None if no stage gives an estimate.

        A stage is estimated by the plan, corrected by how wrong the plan was about the stages of this run (`_factors`), and by its
        own pace the more, the more of it is done. Of a kind that the plan does not know, the others in this run tell. A stage of a
        new kind gets the mean of the other estimates.
        """
        seen: dict[str, list[float]] = {}
        for row in self.rows.values():
            if (total := self._total(row)) is not None:
                seen.setdefault(row.stage.recipe.kind, []).append(total)
        factors, usual = self._factors()
        left: dict[str, float | None] = {}
        for name, row in self._unfinished().items():
            kind = row.stage.recipe.kind
            total = self._total(row) or (median(seen[kind]) if kind in seen else None)
            if row.stage.seconds is not None:
                total = self._corrected(row, row.stage.seconds * factors.get(kind, usual))
            left[name] = None if total is None else max(total - self.elapsed(row) * (row.state == "running"), 0.0)
        known = [seconds for seconds in left.values() if seconds is not None]
        if not known and left:
            return None
        return {name: mean(known) if seconds is None else seconds for name, seconds in left.items()}

    def _unfinished(self) -> dict[str, Row]:
        """The rows of unfinished stages, those of a later call included."""
        rows = {stage.fingerprint: Row(stage) for stage in self.later} | self.rows
        return {name: row for name, row in rows.items() if not row.over}

    def _factors(self) -> tuple[dict[str, float], float]:
        """How many times longer than planned stages take in this run: of each kind of which some work is done, and of all kinds.

        Seconds spent are divided by the seconds planned for the same work, so a short stage says little about long ones. The
        plan counts as some work that went as planned, so the first seconds of a run say little as well.
        """
        spent: dict[str, list[tuple[float, float]]] = {}
        for row in self.rows.values():
            total = self._total(row)
            if row.stage.seconds and total is not None:
                done = 1.0 if row.state == "done" else self._fraction(row)
                spent.setdefault(row.stage.recipe.kind, []).append((done * total, done * row.stage.seconds))
        ahead = sum(row.stage.seconds or 0.0 for row in self._unfinished().values())
        own = [sum(column) for column in zip(*(pair for pairs in spent.values() for pair in pairs), strict=True)] or [
            0.0,
            0.0,
        ]
        prior = PLAN_COUNTS * (own[1] + ahead)
        usual = (own[0] + prior) / (own[1] + prior) if own[1] + prior else 1.0
        factors = {}
        for kind, pairs in spent.items():
            took, planned = (sum(column) for column in zip(*pairs, strict=True))
            prior = KIND_COUNTS * planned / len(pairs)
            factors[kind] = (took + usual * prior) / (planned + prior)
        return factors, usual

    def left(self) -> float | None:
        """Seconds to the end: the remaining work divided by the workers, or the longest chain of stages if that is longer."""
        remaining = self.remaining()
        if remaining is None:
            return None
        rows, ends = self._unfinished(), dict[str, float]()

        def end(name: str) -> float:
            if name not in ends:
                needs = [end(needed) for needed in rows[name].stage.needs if needed in remaining]
                ends[name] = remaining[name] + max(needs, default=0.0)
            return ends[name]

        longest = max((end(name) for name in remaining), default=0.0)
        return max(longest, sum(remaining.values()) / self.workers)

    def left_lately(self) -> float | None:
        """`left`, at most `LEFT_SECONDS` old."""
        if self.done() == len(self.rows) and not self.later:
            return 0.0
        now = self.clock()
        if self._left is None or not 0 <= now - self._left[0] < LEFT_SECONDS:
            self._left = now, self.left()
        return self._left[1]

    def _corrected(self, row: Row, planned: float) -> float:
        """Seconds of a stage from beginning to end: its own pace counts as much as it has done, the plan as much as is left."""
        total = self._total(row)
        if total is None or row.state == "done":
            return planned if total is None else total
        fraction = self._fraction(row)
        return fraction * total + (1 - fraction) * planned

    def _total(self, row: Row) -> float | None:
        """Seconds of a stage from beginning to end, from its own duration or pace; None if its pace is not known yet."""
        if row.state == "done":
            return row.seconds
        fraction = self._fraction(row)
        return row.reported / fraction if fraction >= TRUSTED_FRACTION else None

    def _fraction(self, row: Row) -> float:
        """How much of a running stage is done, as the stage says; 0 for other stages."""
        return row.progress.fraction if row.state == "running" and row.progress is not None else 0.0


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
        then = f", {len(self.later)} after these" if self.later else ""
        self._say(f"{len(self.rows)} to make, {self.there} there{then}")
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
        row, left = self.rows[stage.fingerprint], self.left_lately()
        about = f", about {clock_time(left)} left" if left else ""
        figures = figures_text(row.progress.figures) if row.progress is not None else ""
        how = f"in {clock_time(row.seconds)}" if made else "by another process"
        self._say(f"done   {row.title} {how}{_bracketed(figures)}  [{self.done()} of {len(self.rows)}{about}]")

    def halted(self, stage: Stage, reason: str) -> None:
        super().halted(stage, reason)
        self._say(f"halt   {stage.title}: {reason}")

    def end(self) -> None:
        self._over.set()
        self._say(f"{self.done()} of {len(self.rows)} made in {clock_time(self.clock() - self.begun)}")

    def _say_progress(self, row: Row) -> None:
        now = row.progress or Progress(0, 1)
        left = (self.remaining() or {}).get(row.stage.fingerprint)
        about = f", about {clock_time(left)} left" if left else ""
        times = f"{clock_time(self.elapsed(row))}{about}"
        self._say(f"  {percent(now.fraction, 0):>5}  {row.title}  {times}{_bracketed(figures_text(now.figures))}")

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


def _bracketed(text: str) -> str:
    return f" ({text})" if text else ""
