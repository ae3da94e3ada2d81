"""The tracking services: W&B, MLflow, trackio and TensorBoard, each an extra of the same name.

What a user has set up for a service counts: its environment variables say where the curves go. Without them they go into the
report's folder (trackio: into its own), and nothing leaves this machine.
"""

from __future__ import annotations

import importlib
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from cavesson.errors import MissingExtra
from cavesson.lab.show.curves import About, Run

PROJECT = "cavesson"
"""The usual name of the project or experiment that holds the runs."""


def _imported(module: str, package: str, extra: str) -> ModuleType:
    """An optional module.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(package, extra) from error


# ------------------------------------------------------------------------------------------------------------- W&B


class WandB:
    """Weights & Biases: online where the user is logged in, offline otherwise. The run's id is the fingerprint."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._wandb = _imported("wandb", "wandb", "wandb")
        self._folder = folder / "track"
        self._mode = self._wandb.setup(settings=self._wandb.Settings(silent=True)).settings.mode
        if self._mode == "online" and not self._wandb.login(prompt=False, verify=False):
            self._mode = "offline"
        self._project = os.environ.get("WANDB_PROJECT", PROJECT)
        sent = f"W&B's project {self._project}"
        self.place = sent if self._mode == "online" else f"{self._folder / 'wandb'} (send them: wandb sync PATH)"

    def open(self, about: About) -> Run:
        self._folder.mkdir(parents=True, exist_ok=True)
        run = self._wandb.init(
            project=self._project,
            id=_id(about.id),
            name=about.title,
            group=about.study,
            job_type=about.kind,
            config=dict(about.settings),
            dir=str(self._folder),
            mode=self._mode,
            resume=None if self._mode == "offline" else "allow",
            reinit="create_new",  # stages run side by side
            settings=self._wandb.Settings(
                silent=True, console="off", disable_git=True, x_disable_stats=True, x_disable_meta=True
            ),
        )
        run.define_metric("*", step_metric="step")  # a resumed stage repeats steps
        return _WandBRun(run)


class _WandBRun:
    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, step: float, figures: Mapping[str, float], at: float) -> None:
        self._run.log({**figures, "step": step})

    def end(self, well: bool) -> None:
        self._run.finish(exit_code=0 if well else 1)


def _id(id: str) -> str:
    """The name without the characters that W&B does not take in an id."""
    return re.sub(r"[^\w.-]", "-", id)


# ---------------------------------------------------------------------------------------------------------- MLflow


class MLflow:
    """MLflow: the server of `MLFLOW_TRACKING_URI`, or files. MLflow gives a run its id; the fingerprint is its tag."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self._tracking = _imported("mlflow.tracking", "mlflow-skinny", "mlflow")
        self._folder = folder / "track" / "mlruns"
        self.place = os.environ.get("MLFLOW_TRACKING_URI") or str(self._folder)
        self._client: Any = None
        self._experiment = ""

    def open(self, about: About) -> Run:
        if self._client is None:
            self._connect()
        tags = {"cavesson.fingerprint": about.id, "cavesson.study": about.study, "cavesson.kind": about.kind}
        run = self._client.create_run(self._experiment, tags=tags, run_name=about.title)
        for name, value in about.settings.items():
            self._client.log_param(run.info.run_id, name, value)
        return _MLflowRun(self._client, run.info.run_id)

    def _connect(self) -> None:
        if self.place == str(self._folder):
            # MLflow's own default, a database, takes 7 s to make and 20 ms a figure; it asks for this before it writes files
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            self._folder.mkdir(parents=True, exist_ok=True)
        where = self._folder.resolve().as_uri() if self.place == str(self._folder) else self.place
        self._client = self._tracking.MlflowClient(where)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(name)
        self._experiment = found.experiment_id if found else self._client.create_experiment(name)


class _MLflowRun:
    """Sends figures in batches: a server answers each request by itself."""

    EVERY = 2.0
    """Seconds between two batches."""
    MOST = 1000
    """Figures that MLflow takes in one batch."""

    def __init__(self, client: Any, id: str) -> None:
        self._client = client
        self._id = id
        self._kept: list[Any] = []
        self._sent = time.monotonic()

    def log(self, step: float, figures: Mapping[str, float], at: float) -> None:
        metric = importlib.import_module("mlflow.entities").Metric
        for name, value in figures.items():
            allowed = re.sub(r"[^\w\-. :]", "_", name.replace("/", "."))[:250]  # in its files, a slash makes a folder
            self._kept.append(metric(allowed, value, int(1000 * at), int(step)))
        if time.monotonic() - self._sent > self.EVERY:
            self._send()

    def end(self, well: bool) -> None:
        self._send()
        self._client.set_terminated(self._id, "FINISHED" if well else "FAILED")

    def _send(self) -> None:
        for start in range(0, len(self._kept), self.MOST):
            self._client.log_batch(self._id, metrics=self._kept[start : start + self.MOST])
        self._kept, self._sent = [], time.monotonic()


# --------------------------------------------------------------------------------------------------------- trackio


class Trackio:
    """trackio: its own folder (`TRACKIO_DIR`), or the Space or server of its variables. The run's name is the fingerprint."""

    def __init__(self, folder: Path) -> None:
        self._trackio = _imported("trackio", "trackio", "trackio")
        for module in (self._trackio, self._trackio.run, self._trackio.utils):
            setattr(module, "print", lambda *_, **__: None)  # noqa: B010  it talks on stdout, which carries results alone
        away = os.environ.get("TRACKIO_SPACE_ID") or os.environ.get("TRACKIO_SERVER_URL")
        here = f'{self._trackio.utils.TRACKIO_DIR} (show them: trackio show --project "{PROJECT}")'
        self.place = away or here

    def open(self, about: About) -> Run:
        from contextvars import Context

        def init() -> Any:
            return self._trackio.init(
                PROJECT,
                name=about.id,
                group=about.study,
                config={"title": about.title, "kind": about.kind, **about.settings},
                resume="allow",
                private=True,
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

        return _TrackioRun(
            Context().run(init)
        )  # in a context of its own: trackio ends the run that is open in the same one


class _TrackioRun:
    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, step: float, figures: Mapping[str, float], at: float) -> None:
        self._run.log(dict(figures), step=int(step))

    def end(self, well: bool) -> None:
        self._run.finish()


# ----------------------------------------------------------------------------------------------------- TensorBoard


class TensorBoard:
    """TensorBoard: event files below the report's folder, in a folder for each run, named by the fingerprint."""

    def __init__(self, folder: Path) -> None:
        _imported("tensorboard", "tensorboard", "tensorboard")
        self._folder = folder / "track" / "tensorboard"
        self.place = f"{self._folder} (show them: tensorboard --logdir PATH)"

    def open(self, about: About) -> Run:
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(str(self._folder / about.id), flush_secs=10)
        lines = [about.title, *(f"{name}: {value}" for name, value in about.settings.items())]
        writer.add_text("about", "\n\n".join(lines))
        return _TensorBoardRun(writer)


class _TensorBoardRun:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def log(self, step: float, figures: Mapping[str, float], at: float) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, int(step), at)

    def end(self, well: bool) -> None:
        self._writer.close()
