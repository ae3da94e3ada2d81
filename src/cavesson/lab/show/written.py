"""The state of a running lab as a file beside its report, for programs that look on, such as `cavesson view`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cavesson.errors import StoreError
from cavesson.estimate import Estimate
from cavesson.lab import disk
from cavesson.lab.plan import Stage
from cavesson.lab.show.board import Board, Clock, Row, figures_text
from cavesson.lab.stage import Progress
from cavesson.lines import parse_json

NAME = "progress.json"
WRITE_SECONDS = 2.0
"""Seconds between two states that are written, at least."""
_MOST = 1 << 20
"""Bytes of the largest file that is read."""


class Running(BaseModel):
    """A stage that is being made.

    Attributes:
        done: share of it, 0 to 1; None: it has not said.
        left: seconds that it still needs, as far as that can be told.
        figures: what it reports, in words ("loss 0.53").
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    title: str
    done: float | None = None
    left: float | None = None
    figures: str = ""


class State(BaseModel):
    """How far a lab had come at a moment.

    Attributes:
        at: the moment.
        left: seconds to the end, from then on; None: not known.
        running: the stages that were being made, by fingerprint.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    at: datetime
    left: float | None = None
    running: dict[str, Running] = {}

    def left_now(self) -> float | None:
        """Seconds to the end, from now on."""
        gone = (datetime.now(UTC) - self.at).total_seconds()
        return None if self.left is None else max(0.0, self.left - max(0.0, gone))


class Written(Board):
    """Keeps the state in the file `progress.json` of a run's folder while the lab works; a disk that refuses is left alone."""

    def __init__(self, folder: Path, clock: Clock = time.monotonic) -> None:
        super().__init__(clock)
        self.place = str(folder / NAME)
        self._file = folder / NAME
        self._at: float | None = None

    def started(self, stage: Stage) -> None:
        super().started(stage)
        self._write()

    def progress(self, stage: Stage, progress: Progress) -> None:
        super().progress(stage, progress)
        self._write()

    def finished(self, stage: Stage, made: bool) -> None:
        super().finished(stage, made)
        self._write()

    def end(self) -> None:
        self._at = None
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def found(self, figures: Mapping[str, Estimate]) -> None:
        """A study's figures stand in its result."""

    def _write(self) -> None:
        now = self.clock()
        if self._at is not None and now - self._at < WRITE_SECONDS:
            return
        self._at = now
        remaining = self.remaining() or {}
        running = {
            name: self._running(row, remaining.get(name)) for name, row in self.rows.items() if row.state == "running"
        }
        state: dict[str, Any] = {"at": datetime.now(UTC).isoformat(), "left": self.left_lately(), "running": running}
        with suppress(OSError, StoreError):
            disk.write_whole(self._file, json.dumps(state, ensure_ascii=False))

    def _running(self, row: Row, left: float | None) -> dict[str, Any]:
        done = None if row.progress is None else row.progress.fraction
        figures = "" if row.progress is None else figures_text(row.progress.figures)
        return {"title": row.title, "done": done, "left": left, "figures": figures}


def read(folder: Path) -> State | None:
    """The state that was last written in a run's folder; None: there is none that can be read."""
    try:
        state = State.model_validate(parse_json(disk.read_plain(folder / NAME, _MOST)))
    except (OSError, ValueError, ValidationError):
        return None
    return state if state.at.tzinfo is not None else None
