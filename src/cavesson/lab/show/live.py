"""The live display: a tree of stages with bars, current figures and the time left, for terminals."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cavesson.figures import clock_time
from cavesson.lab.plan import Plan, Stage, tree
from cavesson.lab.show.board import Board, Clock, Row, figures_text
from cavesson.lab.show.terminal import Console
from cavesson.lines import one_line

REFRESHES_PER_SECOND = 5
WIDE = 80
"""Columns from which there is room for bars."""
ROOMY = 110
"""Columns from which there is room for long bars."""


class Live(Board):
    """Redraws the board at the bottom of the terminal; the last picture stays."""

    def __init__(self, console: Console | None = None, clock: Clock = time.monotonic) -> None:
        super().__init__(clock)
        self.console = console if console is not None else Console(stderr=True)
        self._spinner = Spinner("dots", style="cyan")
        self._live: RichLive | None = None

    def begin(self, plan: Plan, workers: int) -> None:
        super().begin(plan, workers)
        self._live = RichLive(
            get_renderable=self.picture,
            console=self.console,
            refresh_per_second=REFRESHES_PER_SECOND,
            vertical_overflow="crop",
        )
        self._live.start(refresh=True)

    def end(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def picture(self) -> RenderableType:
        """The whole display at this moment."""
        wide = self.console.width >= WIDE
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=1)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        if wide:
            table.add_column(width=6 if self.console.width < ROOMY else 20)
        share = 4 if self.console.width < ROOMY else 3  # a title says more than a figure
        table.add_column(no_wrap=True, overflow="ellipsis", width=max(self.console.width // share, 12))
        table.add_column(no_wrap=True, justify="right", min_width=13 if wide else 0)
        rows = dict(self.rows)  # the refreshing thread must not meet a change of size
        shown = tree([row.stage for row in self._chosen(list(rows.values()))])
        for guide, (stage, _) in zip(guides([depth for _, depth in shown]), shown, strict=True):
            row = rows[stage.fingerprint]
            cells = [self._icon(row), Text.assemble((guide, "dim"), (one_line(row.title), _style(row)))]
            if wide:
                cells.append(self._bar(row))
            table.add_row(*cells, self._figures(row), Text(self._times(row), style="dim" if row.over else ""))
        return Group(table, self._summary(len(rows) - len(shown)))

    def _chosen(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that fit the screen: running and failed stages, the last finished stages, and the next stages."""
        room = max(self.console.height - 3, 3)
        if len(rows) <= room:
            return list(rows)
        active = [row for row in rows if row.state in ("running", "halted")][:room]
        done = sorted((row for row in rows if row.over), key=lambda row: -(row.begun + row.seconds))
        next_ones = [row for row in rows if row.state == "waiting"]
        free = room - len(active)
        recent = done[: max(free // 2, free - len(next_ones))]
        chosen = {id(row) for row in (*active, *recent, *next_ones[: free - len(recent)])}
        return [row for row in rows if id(row) in chosen]

    def _icon(self, row: Row) -> RenderableType:
        if row.state == "running":
            return self._spinner
        mark, style = {
            "waiting": ("·", "dim"),
            "done": ("✓", "green"),
            "found": ("✓", "green"),
            "halted": ("✗", "red"),
        }[row.state]
        return Text(mark, style=style)

    def _bar(self, row: Row) -> RenderableType:
        if row.state != "running":
            return Text()
        if row.progress is None:
            return ProgressBar(pulse=True, animation_time=self.clock())
        return ProgressBar(total=1.0, completed=row.progress.fraction)

    def _figures(self, row: Row) -> Text:
        if row.note:
            return Text(row.note, style="red" if row.state == "halted" else "yellow")
        return Text(
            figures_text(row.progress.figures) if row.progress is not None else "", style="dim" if row.over else ""
        )

    def _times(self, row: Row) -> str:
        if row.state == "waiting":
            return ""
        if row.state == "found":
            return "found"
        elapsed, total = self.elapsed(row), self._total(row)
        return (
            clock_time(elapsed)
            if row.state != "running" or total is None
            else f"{clock_time(elapsed)} of {clock_time(max(elapsed, total))}"
        )

    def _summary(self, hidden: int) -> RenderableType:
        done, left = self.done(), self.left_lately()
        parts = [f"{done} of {len(self.rows)} made"]
        if self.later:
            parts.append(f"{len(self.later)} after these")
        if self.there:
            parts.append(f"{self.there} were there")
        if hidden > 0:
            parts.append(f"{hidden} not shown")
        parts.append(clock_time(self.clock() - self.begun))
        if done < len(self.rows) and left is not None:
            parts.append(f"about {clock_time(left)} left")
        line = Text("  " + " · ".join(parts), style="bold")
        if self.stop_asked and any(row.state == "running" for row in self.rows.values()):
            line.append("\n  Stopping after saving; Ctrl-C again stops at once.", style="yellow")
        return line

    def added(self, stages: Sequence[Stage]) -> None:
        self.rows = {**self.rows, **{stage.fingerprint: Row(stage) for stage in stages}}


def guides(depths: Sequence[int]) -> list[str]:
    """The tree lines in front of each entry, from the depths of the entries in order."""

    def goes_on(position: int, depth: int) -> bool:
        """Whether another entry of this depth follows below the same parent."""
        for later in depths[position + 1 :]:
            if later <= depth:
                return later == depth
        return False

    return [
        "".join(
            ("│ " if level < depth else "├ ") if goes_on(position, level) else ("  " if level < depth else "└ ")
            for level in range(1, depth + 1)
        )
        for position, depth in enumerate(depths)
    ]


def _style(row: Row) -> str:
    return {"waiting": "dim", "running": "bold", "done": "", "found": "", "halted": "red"}[row.state]
