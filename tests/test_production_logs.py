"""Logs of real deployments: what makes a comparison wrong is one error that names file, row and column."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cavesson.cli.argument import figures_in
from cavesson.errors import ConfigError
from cavesson.production.ab import Plan, compare
from cavesson.production.deployment import Delays, stream
from cavesson.production.logs import read_log
from test_bad_input import Said, cavesson, refused
from test_production import BETTER, deployment

__all__ = ["cavesson"]

Row = dict[str, Any]
Change = Callable[[list[Row]], object]


def rows(tasks: int = 200, seed: int = 0) -> list[Row]:
    """A sound log, in hours."""
    log = stream(BETTER, deployment(tasks=tasks, delays=Delays(good=0.5, bad=1)), seed)
    known = log.known <= log.now
    return [
        {
            "time": round(float(log.arrived[i]) * 24, 4),
            "arm": "with" if log.treated[i] else "without",
            "outcome": float(log.outcome[i]) if known[i] else None,
            "delay": round(float(log.known[i] - log.arrived[i]) * 24, 4) if known[i] else None,
            "kind": log.kinds[log.kind[i]],
        }
        for i in range(len(log))
    ]


def written(path: Path, given: list[Row]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in given), encoding="utf-8")
    return path


def test_a_log_is_read_as_what_it_says(tmp_path: Path) -> None:
    given = rows()
    log = read_log(written(tmp_path / "log.jsonl", given), unit="hours")
    assert len(log) == len(given)
    assert log.treated.tolist() == [row["arm"] == "with" for row in given]
    assert np.isnan(log.outcome).tolist() == [row["outcome"] is None for row in given]
    assert log.arrived[-1] == pytest.approx((given[-1]["time"] - given[0]["time"]) / 24)
    assert {log.kinds[kind] for kind in log.kind} == {"everyday", "hard"}
    waited = [row["delay"] / 24 for row in given if row["delay"] is not None]
    assert (log.known - log.arrived)[np.isfinite(log.known)] == pytest.approx(waited)


def test_jsonl_parquet_csv_and_other_names_give_the_same_comparison(tmp_path: Path) -> None:
    given = rows(3000)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    stamped = [
        {"at": start + timedelta(hours=row["time"]), "variant": "B" if row["arm"] == "with" else "A", "harm": None
         if row["outcome"] is None else 10 * row["outcome"], "wait": row["delay"], "kind": row["kind"]}
        for row in given
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(stamped), tmp_path / "log.parquet")
    lines = ["time,arm,outcome,delay,kind"] + [
        ",".join("" if value is None else str(value) for value in row.values()) for row in given
    ]
    (tmp_path / "log.csv").write_text("\n".join(lines), encoding="utf-8")
    names = {"time": "at", "arm": "variant", "outcome": "harm", "delay": "wait"}
    found = [
        compare(log, Plan()).last
        for log in (
            read_log(written(tmp_path / "log.jsonl", given), unit="hours"),
            read_log(tmp_path / "log.parquet", names, arms=("B", "A"), unit="hours", span=(0, 10)),
            read_log(tmp_path / "log.csv", unit="hours"),
        )
    ]
    assert found[0].verdict == "ship"
    for other in found[1:]:
        assert (other.low, other.high, other.day) == pytest.approx(
            (found[0].low, found[0].high, found[0].day), abs=1e-6
        )


def change(at: int, **values: Any) -> Change:
    return lambda given: given[at].update(values)


def _one_arm(given: list[Row]) -> None:
    for row in given:
        row["arm"] = "with"


def _stretch(given: list[Row]) -> None:
    for row in given[50:130]:
        row["arm"] = "without"


def _gap(given: list[Row]) -> None:
    del given[60:160]


WRONG: dict[str, tuple[Change, tuple[str, ...]]] = {
    "no time": (change(4, time=None), ("line 5: time is missing",)),
    "a text for a time": (change(4, time="noon"), ("line 5: time is 'noon', no time",)),
    "a date among numbers": (
        change(4, time="2026-11-29"),
        ("line 5: time is '2026-11-29'", "mixed", "Write every time alike"),
    ),
    "a time zone on one time alone": (
        lambda given: [
            row.update(time=f"2026-01-{1 + n // 100:02}T{n // 5 % 20:02}:{n % 5}0:00" + "+02:00" * (n == 4))
            for n, row in enumerate(given)
        ],
        ("line 5: time is '2026-01-01T00:40:00+02:00'", "one has a time zone, the other none"),
    ),
    "milliseconds": (
        lambda given: [row.update(time=row["time"] * 3.6e6) for row in given],
        ("time spans", "years", "--unit", "milliseconds"),
    ),
    "no arm": (change(4, arm=None), ("line 5: arm is missing", "--columns arm=COLUMN")),
    "another arm": (change(4, arm="Control"), ("line 5: arm is 'Control', neither 'with' nor 'without'",)),
    "a text for an outcome": (change(4, outcome="bad"), ("line 5: outcome is 'bad', no number",)),
    "a list for an outcome": (change(4, outcome=[1]), ("line 5: outcome is [1], no number",)),
    "not a number": (change(4, outcome=float("nan")), ("line 5: outcome is nan",)),
    "an outcome out of range": (change(4, outcome=7), ("line 5: outcome is 7, outside 0 to 1", "--range")),
    "an outcome below the range": (change(4, outcome=-0.1), ("line 5: outcome is -0.1, outside 0 to 1",)),
    "an outcome without a delay": (change(4, delay=None), ("line 5: delay is missing",)),
    "a delay without an outcome": (change(4, outcome=None), ("line 5: delay is", "but outcome is missing")),
    "known before the task came": (change(4, delay=-3.0), ("line 5: delay is -3", "before the task came")),
    "a weight of nothing": (change(4, weight=0), ("line 5: weight is 0",)),
    "times out of order": (change(4, time=0.0), ("line 5: time is earlier than in line 4", "Sort")),
    "a row twice": (lambda given: given.insert(5, dict(given[4])), ("line 6: the row is the same as in line 5",)),
    "one arm alone": (_one_arm, ("arm is 'with' in every row", "'without'")),
    "one arm alone for a while": (_stretch, ("arm is 'without'", "in a row", "not drawn at random")),
    "a gap": (_gap, ("line 61: time is", "after line 60", "gap", "--longest-gap")),
    "no tasks": (lambda given: given.clear(), ("holds no tasks",)),
    "one task": (lambda given: given.__delitem__(slice(1, None)), ("holds 1 tasks",)),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_log_is_one_error_that_names_file_row_and_column(what: str, tmp_path: Path) -> None:
    given = rows()
    spoil, phrases = WRONG[what]
    spoil(given)
    with pytest.raises(ConfigError) as said:
        read_log(written(tmp_path / "log.jsonl", given), unit="hours")
    for phrase in ("log.jsonl", *phrases):
        assert phrase in str(said.value)
    assert said.value.remedy


def test_an_id_that_stands_twice_is_a_task_that_stands_twice(tmp_path: Path) -> None:
    given = [{**row, "id": number} for number, row in enumerate(rows())]
    given[7]["id"] = 3
    with pytest.raises(ConfigError, match="line 8: id is 3 as in line 4"):
        read_log(written(tmp_path / "log.jsonl", given), unit="hours")


def test_a_table_may_leave_cells_empty_and_write_truth_values_as_text(tmp_path: Path) -> None:
    given = rows()
    plain = read_log(written(tmp_path / "log.jsonl", given), unit="hours")
    lines = [
        ",".join(("" if cell is None else str(cell)) for cell in (*row.values(), "", ""))
        for row in ({**row, "outcome": None if row["outcome"] is None else row["outcome"] > 0.5} for row in given)
    ]
    table = tmp_path / "log.csv"
    table.write_text("\n".join(["time,arm,outcome,delay,kind,id,weight", *lines]) + "\n")
    log = read_log(table, unit="hours")
    assert np.array_equal(log.outcome, plain.outcome, equal_nan=True) and np.array_equal(log.known, plain.known)


def test_equal_rows_of_two_tasks_are_told_apart_by_an_id(tmp_path: Path) -> None:
    given = rows()
    given.insert(5, dict(given[4]))
    named = [{**row, "id": number} for number, row in enumerate(given)]
    assert len(read_log(written(tmp_path / "log.jsonl", named), unit="hours")) == len(given)


def test_outcomes_that_cannot_be_known_yet_are_refused(tmp_path: Path) -> None:
    given = rows()
    path = written(tmp_path / "log.jsonl", given)
    last = max(row["time"] + row["delay"] for row in given if row["delay"] is not None)
    assert read_log(path, unit="hours", now=last + 1e-6).now > 0
    with pytest.raises(ConfigError, match="outcome cannot be known yet: time plus delay is after the end of the log"):
        read_log(path, unit="hours", now=given[-1]["time"] if last > given[-1]["time"] else last - 1)
    with pytest.raises(ConfigError, match="time is after the end of the log"):
        read_log(path, unit="hours", now=1.0)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    stamped = [
        {**row, "time": (tomorrow - timedelta(days=30) + timedelta(hours=row["time"])).isoformat()} for row in given
    ]
    stamped[40]["delay"], stamped[40]["outcome"] = 24 * 60, 1.0
    with pytest.raises(ConfigError, match=r"line 41: outcome cannot be known yet: time plus delay is in the future"):
        read_log(written(tmp_path / "later.jsonl", stamped), unit="hours")


def test_a_usual_gap_is_no_error_once_it_is_said(tmp_path: Path) -> None:
    given = rows()
    _gap(given)
    path = written(tmp_path / "log.jsonl", given)
    assert len(read_log(path, unit="hours", longest_gap=24 * 14)) == 100


def test_the_command_decides_and_says_so(cavesson: Callable[..., Said], tmp_path: Path) -> None:
    path = written(tmp_path / "log.jsonl", rows(3000))
    said = cavesson("ab", path, "--unit", "hours", "--horizon", 1000)
    assert said.code == 0, said.err
    assert "The measure lowers the cost" in said.out and "ship" in said.out and "drop: costs at most" in said.out
    assert cavesson("ab", path, "--unit", "hours", "--figures", "ab.json").code == 0
    effect = figures_in(tmp_path / "ab.json")["effect"]
    assert effect.low < effect.value < effect.high < 0
    found = json.loads(cavesson("ab", path, "--unit", "hours", "--json", "--through", "--looks", 9).out)
    assert found["verdict"] == "ship" and len(found["looks"]) == 9


def test_a_split_that_is_not_the_plans_is_said_first(cavesson: Callable[..., Said], tmp_path: Path) -> None:
    """A third of the tasks of one arm were lost on the way to the log."""
    given = [row for number, row in enumerate(rows(3000)) if row["arm"] == "with" or number % 3]
    said = cavesson("ab", written(tmp_path / "log.jsonl", given), "--unit", "hours")
    assert said.out.startswith("caution:") and "may not have been drawn at random" in " ".join(said.out.split())


@pytest.mark.parametrize(
    ("options", "phrases"),
    [
        (["--unit", "weeks"], ("--unit 'weeks'", "hours")),
        (["--columns", "outcome:harm"], ("--columns", "NAME=COLUMN")),
        (["--columns", "harm=outcome"], ("no column 'harm'",)),
        (["--columns", "outcome=delay"], ("'delay' cannot be both outcome and delay",)),
        (["--columns", "outcome=harm"], ("there is no column 'harm'", "--columns outcome=COLUMN")),
        (["--arms", "with"], ("--arms 'with'",)),
        (["--alpha", "0"], ("--alpha", "not greater than 0")),
        (["--share", "1.5"], ("--share",)),
        (["--range", "1,0"], ("range of outcomes", "lower end first")),
        (["--misses", "0.3,0.1"], ("--misses",)),
        (["--misses", "0.6", "--false-alarms", "0.5"], ("say nothing",)),
    ],
)
def test_a_wrong_option_is_named(
    cavesson: Callable[..., Said], tmp_path: Path, options: list[str], phrases: tuple[str, ...]
) -> None:
    refused(cavesson("ab", written(tmp_path / "log.jsonl", rows()), *options), tmp_path, *phrases)


def test_a_file_that_is_not_there_is_named(cavesson: Callable[..., Said], tmp_path: Path) -> None:
    refused(cavesson("ab", "nowhere.jsonl"), tmp_path, "nowhere.jsonl")


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.just(10**400), st.floats(), st.text(max_size=3), st.just([1, {"a": None}]),
    st.sampled_from(["with", "without", "2026-13-01", "0001-01-01T00:00:00", "9999-12-31T23:59:59+00:00", "1e999", "١"]),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 29), st.sampled_from(["time", "arm", "outcome", "delay", "kind", "weight", "id"]), CELLS)
def test_whatever_stands_in_a_cell_there_is_a_log_or_one_error(at: int, column: str, cell: Any) -> None:
    given_ = rows(30)
    given_[at][column] = cell
    with TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in given_), encoding="utf-8")
        try:
            log = read_log(path, unit="hours")
        except ConfigError as error:
            assert "log.jsonl" in error.problem and error.remedy
        else:
            assert len(log) == 30 and np.all(np.diff(log.arrived) >= 0) and np.all(log.known >= log.arrived)
            compare(log, Plan(looks=3))


def test_a_log_without_any_label_decides_nothing_and_is_still_json(tmp_path: Path) -> None:
    path = written(tmp_path / "log.jsonl", [{**row, "outcome": None, "delay": None} for row in rows()])
    found = json.loads(compare(read_log(path, unit="hours"), Plan(looks=3)).to_json(), parse_constant=pytest.fail)
    assert found["verdict"] == "undecided" and found["with_measure"] is None and len(found["looks"]) == 3
