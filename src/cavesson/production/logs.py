"""Logs of real deployments: JSON lines, Parquet or CSV with a row for each task, in the order of arrival.

Whatever would make the comparison wrong is one error that names file, row and column: no interval comes from a log that is not
what it says. What a file cannot show (whether the arms were drawn at random, whether labels err) is an assumption, and is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import time as clock
from typing import Any, Literal

import numpy as np

from cavesson.data.files import rows_of
from cavesson.errors import ConfigError, nearest, quoted
from cavesson.production.log import Log

Unit = Literal["seconds", "minutes", "hours", "days"]

DAYS: dict[str, float] = {"seconds": 1 / 86_400, "minutes": 1 / 1440, "hours": 1 / 24, "days": 1.0}

COLUMNS = ("time", "arm", "outcome", "delay")
"""The columns that a log must have, under these names or mapped ones."""

OPTIONAL = ("kind", "weight", "id")
"""Columns that are read where the log has them: the kind of task, what a bad outcome costs, and what tells tasks apart."""

ARMS = ("with", "without")

GAP_SHARE, GAP_TASKS = 0.1, 30.0
"""A stretch without tasks is a gap in the log from this share of its time and this many times the usual wait on."""

LONGEST = 100 * 365.0
"""Days that no log of a deployment spans: such times are in another unit."""

RUN_CHANCE = 1e-9
"""A run of tasks in one arm that is rarer than this is no draw at random."""


@dataclass
class _Rows:
    """The columns read so far."""

    path: Path
    places: list[str] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    treated: list[bool] = field(default_factory=list)
    outcome: list[float] = field(default_factory=list)
    known: list[float] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)


def read_log(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    arms: tuple[str, str] = ARMS,
    unit: Unit = "days",
    now: float | str | None = None,
    span: tuple[float, float] = (0.0, 1.0),
    share: float = 0.5,
    longest_gap: float | None = None,
) -> Log:
    """The log in a file.

    Args:
        path: of the file; the format is told by name and content (`cavesson.data.files`).
        columns: the log's own names of columns, such as {"outcome": "incident"}.
        arms: how the log calls the arm with, and the arm without, the measure.
        unit: of times and delays that are numbers. Times may also be ISO 8601 texts or timestamps.
        now: when the log was written, in the log's own form of time; None: the latest moment in the log.
        span: the outcomes that mean "as good as can be" and "as bad as can be".
        share: the probability with which a task goes to the arm with the measure.
        longest_gap: the longest stretch without tasks that is usual, in `unit`; None: a tenth of the log's time.

    Raises:
        ConfigError: a row, a column or the log as a whole is not what it must be.
    """
    named = _columns(path, columns or {})
    if not span[0] < span[1]:
        raise ConfigError(
            f"The range of outcomes {span[0]:g} to {span[1]:g} holds nothing.", "Give the lower end first."
        )
    rows, first = _Rows(path), None
    seen: dict[Any, str] = {}
    for place, cells in rows_of(path):
        row = {name: None if cell == "" else cell for name, cell in cells.items()}  # CSV has no other way to leave out
        if first is None:
            first = row
            _has_columns(place, row, named)
        time = _time(place, named["time"], row.get(named["time"]), unit)
        _alike(place, named["time"], row, first)
        _not_twice(place, row, named, seen)
        _in_order(place, named["time"], time, rows)
        rows.places.append(place)
        rows.arrived.append(time)
        rows.treated.append(_arm(place, named["arm"], row.get(named["arm"]), arms))
        outcome, known = _outcome(place, named, row, time, unit, span)
        rows.outcome.append(outcome)
        rows.known.append(known)
        rows.kind.append(str(row[named["kind"]]) if row.get(named["kind"]) is not None else "task")
        rows.weight.append(_weight(place, named["weight"], row))
    if len(rows.arrived) < 2:
        raise ConfigError(f"{path} holds {len(rows.arrived) or 'no'} tasks.", "A comparison needs many, in both arms.")
    end = _end(path, rows, named, now, unit, stamped=not _plain((first or {}).get(named["time"])))
    return _checked(rows, named, arms, share, end, longest_gap and longest_gap * DAYS[unit])


def _columns(path: Path, columns: Mapping[str, str]) -> dict[str, str]:
    """Our name of each column → the log's."""
    known = (*COLUMNS, *OPTIONAL)
    for name in columns:
        if name not in known:
            raise ConfigError(f"A log has no column {name!r}.", nearest(name, known))
    taken = [columns.get(name, name) for name in COLUMNS]
    twice = next((column for column in taken if taken.count(column) > 1), None)
    if twice is not None:
        roles = " and ".join(name for name in COLUMNS if columns.get(name, name) == twice)
        raise ConfigError(f"The column {twice!r} cannot be both {roles}.", "Name another: --columns NAME=COLUMN")
    return {name: columns.get(name, name) for name in known}


def _has_columns(place: str, row: Mapping[str, Any], named: Mapping[str, str]) -> None:
    for name in COLUMNS:
        if named[name] not in row:
            raise ConfigError(
                f"{place}: there is no column {named[name]!r}.",
                f"Its columns: {', '.join(map(str, row)) or 'none'}. Name yours: --columns {name}=COLUMN",
            )


def _alike(place: str, column: str, row: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """Refuse a number among moments of the calendar, or the other way round: nothing says how far apart they are."""
    one, other = row.get(column), first.get(column)
    if one is not None and other is not None and _plain(one) != _plain(other):
        raise ConfigError(
            f"{place}: {column} is {quoted(one)}, and in the first row {quoted(other)}: numbers and dates are mixed.",
            "Write every time alike.",
        )
    if None not in (one, other) and _zoned(one) != _zoned(other):
        raise ConfigError(
            f"{place}: {column} is {quoted(one)}, and in the first row {quoted(other)}: one has a time zone, the other none.",
            "Write every time with its zone (2026-11-29T15:00:00+00:00), or all without one (UTC).",
        )


def _zoned(value: Any) -> bool:
    """Whether a moment of the calendar says its time zone; what is no moment says none."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return False
    return isinstance(moment, datetime) and moment.tzinfo is not None


def _time(place: str, column: str, value: Any, unit: str) -> float:
    """A moment in days."""
    if isinstance(value, datetime):
        return _since_epoch(value)
    if isinstance(value, str) and not _is_number(value):
        try:
            return _since_epoch(datetime.fromisoformat(value))
        except ValueError:
            raise ConfigError(
                f"{place}: {column} is {quoted(value)}, no time.",
                "Write a number, or a time as in 2026-11-29T15:00:00.",
            ) from None
    return _number(place, "time", column, value, "no time") * DAYS[unit]


def _since_epoch(moment: datetime) -> float:
    """Days; a time without a zone is taken as UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() / 86_400


def _plain(value: Any) -> bool:
    """Whether a time is a number, so that nobody knows what the calendar says."""
    return isinstance(value, int | float) or (isinstance(value, str) and _is_number(value))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text.strip()) is not None


def _number(place: str, name: str, column: str, value: Any, otherwise: str = "no number") -> float:
    """A finite number; texts count where they are numbers (CSV has nothing else). `name` is ours, `column` the log's."""
    if isinstance(value, bool) or not (
        isinstance(value, int | float) or (isinstance(value, str) and _is_number(value))
    ):
        problem = (
            f"{place}: {column} is missing" if value is None else f"{place}: {column} is {quoted(value)}, {otherwise}"
        )
        raise ConfigError(f"{problem}.", f"Correct the row, or name another column: --columns {name}=COLUMN")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError(
            f"{place}: {column} is {number}, no finite number.", "Leave the cell empty (null) where nothing is known."
        )
    return number


def _not_twice(place: str, row: Mapping[str, Any], named: Mapping[str, str], seen: dict[Any, str]) -> None:
    """Refuse a task that stands twice."""
    own = row.get(named["id"])
    key = ("id", repr(own)) if own is not None else tuple((name, repr(value)) for name, value in row.items())
    if key in seen:
        what = f"{named['id']} is {quoted(own)} as" if own is not None else "the row is the same as"
        raise ConfigError(
            f"{place}: {what} in {_short(seen[key])}.",
            "Remove the copy; if they are two tasks, add a column `id` that tells them apart.",
        )
    seen[key] = place


def _in_order(place: str, column: str, time: float, rows: _Rows) -> None:
    if rows.arrived and time < rows.arrived[-1]:
        raise ConfigError(
            f"{place}: {column} is earlier than in {_short(rows.places[-1])}.",
            "Sort the log by time: the comparison reads the tasks as they came.",
        )


def _arm(place: str, column: str, value: Any, arms: tuple[str, str]) -> bool:
    given = str(value).lower() if isinstance(value, bool) else str(value)
    if value is None or given not in arms:
        if value is None:
            raise ConfigError(
                f"{place}: {column} is missing.", "Correct the row, or name another column: --columns arm=COLUMN"
            )
        raise ConfigError(
            f"{place}: {column} is {quoted(value)}, neither {arms[0]!r} nor {arms[1]!r}.",
            "Say what your arms are called: --arms WITH,WITHOUT (the measure first).",
        )
    return given == arms[0]


def _outcome(
    place: str, named: Mapping[str, str], row: Mapping[str, Any], time: float, unit: str, span: tuple[float, float]
) -> tuple[float, float]:
    """The outcome as 0 to 1 and the day on which it was known; NaN and infinite where it is not known."""
    value, delay = (row.get(named[name]) for name in ("outcome", "delay"))
    if isinstance(value, str) and value.lower() in ("true", "false"):  # how CSV writes truth values
        value = value.lower() == "true"
    if value is None:
        if delay is not None:
            raise ConfigError(
                f"{place}: {named['delay']} is {quoted(delay)}, but {named['outcome']} is missing.",
                "Leave both empty until the outcome is known.",
            )
        return math.nan, math.inf
    number = float(value) if isinstance(value, bool) else _number(place, "outcome", named["outcome"], value)
    if not span[0] <= number <= span[1]:
        raise ConfigError(
            f"{place}: {named['outcome']} is {number:g}, outside {span[0]:g} to {span[1]:g}.",
            "Give the range of your outcomes, the good end first: --range LOW,HIGH",
        )
    given = _number(place, "delay", named["delay"], delay)
    if given < 0:
        raise ConfigError(
            f"{place}: {named['delay']} is {given:g}: the outcome was known before the task came.",
            "A delay is the time from the task to the label.",
        )
    return (number - span[0]) / (span[1] - span[0]), time + given * DAYS[unit]


def _weight(place: str, column: str, row: Mapping[str, Any]) -> float:
    value = row.get(column)
    if value is None:
        return 1.0
    number = _number(place, "weight", column, value)
    if number <= 0:
        raise ConfigError(f"{place}: {column} is {number:g}.", "A weight is what a bad outcome costs: above 0.")
    return number


def _end(path: Path, rows: _Rows, named: Mapping[str, str], now: float | str | None, unit: str, stamped: bool) -> float:
    """The end of the log in days; no row may know what was labelled later."""
    latest = max(rows.arrived[-1], max((known for known in rows.known if math.isfinite(known)), default=0.0))
    if now is None:
        if stamped and latest > clock() / 86_400:
            at = int(np.argmax([known if math.isfinite(known) else 0.0 for known in rows.known]))
            raise ConfigError(
                f"{rows.places[at]}: {named['outcome']} cannot be known yet: {named['time']} plus {named['delay']} is in the "
                "future.",
                "Check the delay and its unit (--unit).",
            )
        return latest
    end = _time(str(path), "now", now, unit)
    for place, arrived, known in zip(rows.places, rows.arrived, rows.known, strict=True):
        if arrived > end:
            raise ConfigError(f"{place}: {named['time']} is after the end of the log ({now}).", "Check --now.")
        if math.isfinite(known) and known > end:
            raise ConfigError(
                f"{place}: {named['outcome']} cannot be known yet: {named['time']} plus {named['delay']} is after the end of "
                f"the log ({now}).",
                "Check the delay and its unit (--unit), or --now.",
            )
    return end


def _checked(
    rows: _Rows, named: Mapping[str, str], arms: tuple[str, str], share: float, end: float, longest_gap: float | None
) -> Log:
    """The log as arrays, if it is fit for a comparison."""
    arrived, treated = np.array(rows.arrived), np.array(rows.treated)
    for arm, name in ((True, arms[0]), (False, arms[1])):
        if not np.any(treated == arm):
            raise ConfigError(
                f"{rows.path}: {named['arm']} is {arms[0] if treated[0] else arms[1]!r} in every row; there is no task of the "
                f"arm {name!r}.",
                "A comparison needs both arms, side by side in time.",
            )
    _no_gap(rows, named["time"], arrived, longest_gap)
    _mixed(rows, named["arm"], treated, share, arms)
    kinds = tuple(dict.fromkeys(rows.kind))
    weight = np.array(rows.weight)
    return Log(
        arrived=arrived - arrived[0],
        treated=treated,
        outcome=np.array(rows.outcome),
        known=np.array(rows.known) - arrived[0],
        kind=np.array([kinds.index(kind) for kind in rows.kind], dtype=np.int64),
        weight=weight / weight.max(),
        now=end - arrived[0],
        kinds=kinds,
        source=str(rows.path),
    )


def _no_gap(rows: _Rows, column: str, arrived: np.ndarray[Any, np.dtype[np.float64]], longest: float | None) -> None:
    """Refuse a log with a stretch in which it must have lost tasks."""
    if (spans := float(arrived[-1] - arrived[0])) > LONGEST:
        years = spans / 365
        raise ConfigError(
            f"{rows.path}: {column} spans {f'{years:,.0f}' if years < 1e6 else f'{years:.0e}'} years.",
            "Say in which unit times and delays are (--unit); milliseconds: divide both by 1000.",
        )
    waits = np.diff(arrived)
    at = int(np.argmax(waits))
    usual = spans / len(waits)
    most = longest if longest is not None else max(GAP_SHARE * spans, GAP_TASKS * usual)
    if waits[at] > most:
        raise ConfigError(
            f"{rows.places[at + 1]}: {column} is {waits[at]:.3g} days after {_short(rows.places[at])}, where {usual:.2g} days "
            "are usual: the log has a gap.",
            "Put the missing tasks in. If none came then, say how long a gap may be: --longest-gap",
        )


def _mixed(
    rows: _Rows, column: str, treated: np.ndarray[Any, np.dtype[np.bool_]], share: float, arms: tuple[str, str]
) -> None:
    """Refuse a stretch in which one arm alone got tasks: the arms were not drawn at random there."""
    ends = np.flatnonzero(np.diff(treated)) + 1
    starts, stops = np.concatenate([[0], ends]), np.concatenate([ends, [len(treated)]])
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        chance = share if treated[start] else 1 - share
        if len(treated) * chance ** (stop - start) < RUN_CHANCE:
            raise ConfigError(
                f"{rows.places[start]} to {_short(rows.places[stop - 1])}: {column} is {arms[0] if treated[start] else arms[1]!r} "
                f"{stop - start} times in a row: the arms were not drawn at random there.",
                "Leave out the time in which one arm was off, or give the share of the arm with the measure: --share",
            )


def _short(place: str) -> str:
    """`line 3` of `data.jsonl, line 3`."""
    return place.rpartition(", ")[2]
