"""Toy recipes that stand for real ones: quick, and importable by worker processes."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import time
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from cavesson.errors import Stopped, TrainingError
from cavesson.lab.recipe import Job, NotIdentity, Recipe, Value
from cavesson.lab.stage import Listener, Message, run_reported
from cavesson.lab.store import Store


class Number(Recipe):
    """Writes a number."""

    kind: ClassVar[str] = "toys:Number"

    value: int = 0
    note: Annotated[Path | None, NotIdentity] = None

    def make(self, job: Job) -> None:
        (job.folder / "value.txt").write_text(str(self.value))

    def describe(self) -> str:
        return f"number {self.value}"


class Sum(Recipe):
    """Adds its inputs up; leaves a line in `log`, if given, each time it is made."""

    kind: ClassVar[str] = "toys:Sum"

    of: tuple[Recipe, ...]
    seconds: float = 0.0
    seed: int = 0
    log: Annotated[Path | None, NotIdentity] = None

    def make(self, job: Job) -> None:
        total = sum(value_of(job.path(recipe)) for recipe in self.of)
        for step in range(10 if self.seconds else 1):
            time.sleep(self.seconds / 10)
            job.progress(step + 1, 10, loss=1 / (step + 1))
        (job.folder / "value.txt").write_text(str(total))
        (job.folder / "inner").mkdir()
        (job.folder / "inner" / "terms.json").write_text(json.dumps(len(self.of)))
        if self.log is not None:
            append(self.log, f"{self.fingerprint} {os.getpid()}")

    def describe(self) -> str:
        return f"sum of {len(self.of)}"


class View(Recipe):
    """A virtual recipe: its base, seen differently."""

    kind: ClassVar[str] = "toys:View"
    virtual: ClassVar[bool] = True

    base: Recipe


class Doubled(Recipe):
    """Reads its input through a view, as a model is loaded through its adapter's base."""

    kind: ClassVar[str] = "toys:Doubled"

    view: View

    def make(self, job: Job) -> None:
        (job.folder / "value.txt").write_text(str(2 * value_of(job.path(self.view.base))))


class Deep(Recipe):
    """Needs an input of its input."""

    kind: ClassVar[str] = "toys:Deep"

    over: Sum

    def make(self, job: Job) -> None:
        terms = [value_of(job.path(recipe)) for recipe in self.over.of]
        (job.folder / "value.txt").write_text(str([value_of(job.path(self.over)), *terms]))


class Counting(Recipe):
    """Counts to `steps`, saving each step in scratch; `log` gets a line for each step really taken."""

    kind: ClassVar[str] = "toys:Counting"

    steps: int
    seconds: float = 0.0
    after: Recipe | None = None
    log: Annotated[Path | None, NotIdentity] = None

    def make(self, job: Job) -> None:
        state = job.scratch / "state"
        done = int(state.read_text()) if state.exists() else 0
        while done < self.steps:
            time.sleep(self.seconds / self.steps)
            done += 1
            if self.log is not None:
                append(self.log, str(done))
            state.with_suffix(".new").write_text(str(done))
            state.with_suffix(".new").replace(state)
            job.progress(done, self.steps)
        (job.folder / "value.txt").write_text(str(done))


class Failing(Recipe):
    """Fails in one of several ways."""

    kind: ClassVar[str] = "toys:Failing"

    how: Literal["cavesson", "bug", "full", "killed", "killed once", "stopped", "stuck"]
    after: float = 0.0
    input: Recipe | None = None

    def make(self, job: Job) -> None:
        time.sleep(self.after)
        first_time = not (job.scratch / "tried").exists()
        (job.scratch / "tried").touch()
        match self.how:
            case "cavesson":
                raise TrainingError("The loss is not a number at step 3.", "Lower lr.")
            case "bug":
                raise ZeroDivisionError("a bug")
            case "full":
                (job.folder / "weights").symlink_to("/dev/full")
                (job.folder / "weights").write_text("x" * 100_000)
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "killed once" if first_time:
                os.kill(os.getpid(), signal.SIGKILL)
            case "stopped":
                raise Stopped
            case "stuck":  # in a library that never lets Python go on
                re.match("(a|aa)+$", "a" * 100 + "b")
        (job.folder / "value.txt").write_text("1")

    def describe(self) -> str:
        return f"failing ({self.how})"


class Hungry(Recipe):
    """Holds so much memory for a while."""

    kind: ClassVar[str] = "toys:Hungry"

    megabytes: int
    seconds: float = 0.0
    number: int = 0
    limit: bool = False
    """Forbid its process to have so much, as `ulimit -v` does."""

    def make(self, job: Job) -> None:
        if self.limit:
            resource.setrlimit(resource.RLIMIT_AS, (self.megabytes << 20, resource.RLIM_INFINITY))
        held = bytearray(b"x") * (self.megabytes << 20)
        time.sleep(self.seconds)
        (job.folder / "value.txt").write_text(str(len(held)))

    def describe(self) -> str:
        return f"{self.megabytes} MB held"


class Threads(Recipe):
    """Writes how many threads and cores it may use, and in which process it ran."""

    kind: ClassVar[str] = "toys:Threads"

    seconds: float = 0.0
    number: int = 0

    def make(self, job: Job) -> None:
        time.sleep(self.seconds)
        seen: dict[str, Any] = {
            "job": job.threads,
            "environment": os.environ.get("OMP_NUM_THREADS"),
            "cores": sorted(os.sched_getaffinity(0)),
            "process": os.getpid(),
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        }
        (job.folder / "seen.json").write_text(json.dumps(seen))


class Settings(Value):
    """A part of a recipe."""

    rate: float = 0.1
    names: tuple[str, ...] = ()


class Constant(Value):
    form: Literal["constant"]
    rate: float = 1.0


class Cosine(Value):
    form: Literal["cosine"]
    rate: float = 1.0


class Fitted(Recipe):
    """A recipe with fields of many types."""

    kind: ClassVar[str] = "toys:Fitted"

    data: Recipe | None = None
    parts: tuple[Recipe, ...] = ()
    settings: Settings = Settings()
    schedule: Constant | Cosine = Constant(form="constant")
    weights: dict[str, float] = {}
    steps: int | float = 100
    name: str = ""
    seed: int = 0
    place: Annotated[Path | None, NotIdentity] = None


def make_far_away(root: Path, fingerprint: str, recipe: dict[str, Any]) -> Message:
    """What a cluster's node runs: it knows the store and what to make, and nobody listens meanwhile."""
    deaf = Listener(progress=lambda progress: None, waiting=lambda holder: None, stopping=lambda: False)
    return run_reported(Store(root), fingerprint, recipe, deaf)


def value_of(folder: Path) -> int:
    return int((folder / "value.txt").read_text())


def append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")
