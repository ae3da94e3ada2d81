"""Trackers: what they are told, where they write, and that their failures stop nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from cavesson.errors import ConfigError, Stopped
from cavesson.estimate import Estimate
from cavesson.lab.lab import Lab
from cavesson.lab.plan import Plan, Stage
from cavesson.lab.progress import Silent
from cavesson.lab.show.trackers import TRACKERS, Displays, JsonLines, Tracker, tracker_named
from cavesson.lab.stage import Progress
from cavesson.lab.store import Store
from cavesson.run import run_study
from cavesson.studies.resolve import resolve
from miniature import contents, study_file
from toys import Counting, Failing, Number, Sum

ONE, TWO = Number(value=1), Number(value=2)
SHARE = Estimate(value=0.25, low=0.1, high=0.5, n=20, method="Wilson")


def lines(folder: Path) -> list[dict[str, object]]:
    [file] = (folder / "track").iterdir()
    return [json.loads(line) for line in file.read_text().splitlines()]


class Broken(Silent):
    """A tracker whose service goes away with the first figures."""

    place = "https://nowhere.invalid"

    def __init__(self) -> None:
        self.told: list[str] = []

    def begin(self, plan: Plan, workers: int) -> None:
        self.told.append("begin")

    def progress(self, stage: Stage, progress: Progress) -> None:
        self.told.append("progress")
        raise ConnectionError("no route\nto host")

    def found(self, figures: Mapping[str, Estimate]) -> None:
        self.told.append("found")


@pytest.mark.parametrize("workers", [1, 2])
def test_json_lines_hold_every_stage_with_its_figures(tmp_path: Path, workers: int) -> None:
    tracker = JsonLines(tmp_path / "report", "toy-quick-1a2b")
    displays = Displays(Silent(), {"jsonl": tracker}, say=pytest.fail)
    assert not (tmp_path / "report").exists()  # a run that is refused leaves nothing behind
    with Lab(Store(tmp_path / "store"), workers, displays) as lab:
        lab.make([Sum(of=(ONE, TWO))])
    displays.found({"safe: AUC": SHARE})
    rows = lines(tmp_path / "report")
    assert tracker.place == str(next((tmp_path / "report" / "track").iterdir()))
    assert {row["study"] for row in rows} == {"toy-quick-1a2b"} and all(row["time"] for row in rows)
    assert [row["event"] for row in rows if row["event"] in ("begin", "found")] == ["begin", "found"]
    assert (rows[0]["to_make"], rows[0]["there"]) == (3, 0)
    total = Sum(of=(ONE, TWO))
    mine = [row for row in rows if row.get("stage") == total.fingerprint]
    assert [row["event"] for row in mine] == ["started", "progress", "finished"]
    assert {row["title"] for row in mine} == {"sum of 2"}
    assert (mine[1]["step"], mine[1]["of"], mine[1]["figures"]) == (1, 10, {"loss": 1.0})
    figure = rows[-1]["figures"]["safe: AUC"]
    assert (figure["value"], figure["low"], figure["high"], figure["n"]) == (0.25, 0.1, 0.5, 20)
    assert (figure["method"], figure["unit"]) == ("Wilson", "percent")


def test_a_failed_stage_is_on_record(tmp_path: Path) -> None:
    displays = Displays(Silent(), {"jsonl": JsonLines(tmp_path, "toy")}, say=pytest.fail)
    with Lab(Store(tmp_path / "store"), display=displays) as lab, pytest.raises(ZeroDivisionError):
        lab.make([Failing(how="bug")])
    assert lines(tmp_path)[-1]["reason"] == "a bug"


def test_a_tracker_that_fails_stops_nothing_and_is_told_nothing_more(tmp_path: Path) -> None:
    said: list[str] = []
    broken, sound = Broken(), JsonLines(tmp_path, "toy")
    displays = Displays(Silent(), {"broken": broken, "jsonl": sound}, say=said.append)
    with Lab(Store(tmp_path / "store"), display=displays) as lab:
        lab.make([Counting(steps=3)])
    displays.found({})
    assert broken.told == ["begin", "progress"]
    assert said == ["note: the tracker broken failed and is off; the run goes on: ConnectionError: no route"]
    assert [row["step"] for row in lines(tmp_path) if row["event"] == "progress"] == [1, 2, 3]


def test_a_display_that_is_interrupted_still_interrupts(tmp_path: Path) -> None:
    class Impatient(Silent):
        def progress(self, stage: Stage, progress: Progress) -> None:
            raise KeyboardInterrupt

    displays = Displays(Impatient(), {}, say=pytest.fail)
    with Lab(Store(tmp_path / "store"), display=displays) as lab, pytest.raises((KeyboardInterrupt, Stopped)):
        lab.make([Counting(steps=3)])


@pytest.mark.parametrize("name", sorted(set(TRACKERS) - {"trackio"}))  # trackio has one place for all runs
def test_every_tracker_can_be_told_everything(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip({"jsonl": "json"}.get(name, name))
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker: Tracker = tracker_named(name)(tmp_path / name, "toy")
    stage = Stage(ONE, (), False)
    for _ in range(2):  # a study that grows begins more than once
        tracker.begin(Plan((stage,)), 1)
        tracker.added([stage])
        tracker.started(stage)
        tracker.waiting(stage, "process 7")
        tracker.progress(stage, Progress(1, 2, {"loss": 0.5, "scored": "3/4"}))
        tracker.halted(stage, "stopped")
        tracker.finished(stage, made=True)
        tracker.stopping()
        tracker.end()
    tracker.found({"AUC": SHARE})
    assert str(tmp_path / name) in tracker.place


def test_an_unknown_tracker_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="no tracker 'jsonlines'") as raised:
        tracker_named("jsonlines")
    assert raised.value.remedy == "Did you mean 'jsonl'?"


def test_a_study_is_tracked_from_its_first_step_to_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, store, out = study_file(tmp_path), Store(tmp_path / "store"), tmp_path / "out"
    (tmp_path / "mine.py").write_text(
        "from cavesson.lab.progress import Silent\n\n\n"
        "class Refusing(Silent):\n"
        "    place = 'nowhere'\n"
        "    def __init__(self, folder, study): pass\n"
        "    def begin(self, plan, workers): raise OSError('disk full')\n"
    )
    track = ["jsonl", f"{tmp_path / 'mine.py'}:Refusing"]
    finished = run_study(resolve(str(file)), store, workers=1, track=track, out=out)
    said = capsys.readouterr().err.splitlines()
    [written] = (out / "track").iterdir()
    assert said[0] == f"track  jsonl: {written}"
    assert any(
        line.endswith("mine.py:Refusing failed and is off; the run goes on: OSError: disk full") for line in said
    )
    rows = lines(out)
    assert len([row for row in rows if row["event"] == "finished"]) == finished.made == len(contents(store))
    figures = [row["figures"] for row in rows if row["event"] == "progress"]
    assert any({"loss", "lr", "tok_per_s"} <= set(one) for one in figures if isinstance(one, dict))
    assert rows[-1]["event"] == "found" and rows[-1]["figures"]
    again = run_study(resolve(str(file)), store, workers=1, track=["jsonl"])
    assert again.made == 0 and [row["event"] for row in lines(again.report.parent)] == ["found"]
    assert {row["study"] for row in rows} == {again.report.parent.name}
    assert str(again.report.parent) in capsys.readouterr().err
