"""What every cluster shares: the loop that keeps stages under way on other machines, and what runs there."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cavesson.errors import CavessonError, ConfigError, Stopped
from cavesson.lab import trust
from cavesson.lab.plan import Stage
from cavesson.lab.recipe import Recipe, lineage
from cavesson.lab.stage import ONE_THREAD, Listener, Message, one_thread, run_reported
from cavesson.lab.store import Store
from cavesson.lab.work import Work
from cavesson.version import VERSION

LISTEN_SECONDS = 0.2
"""Seconds after which the user's wish to stop is noticed at the latest."""
LIVES = 4
"""How often a stage is begun whose machine is lost each time, before the stage counts as failed."""
LOST = "lost"
"""The message ("lost", why) about a job that ended without a message of its own: its machine or process died."""

HANDED_ON = (
    "CAVESSON_TRUST",
    "CAVESSON_MIRROR",
    "CAVESSON_PLAIN_HTTP",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    *("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR"),
)
"""Environment variables that decide what a stage does, so every machine gets this machine's. Keys are not among them."""

NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
"""Environment of a stage that asked for no GPU: it computes on the processor, as its numerics say, whatever the machine has."""

BIG = 50_000_000
"""Weights from which a model counts as one for a GPU, where the recipe's numerics do not say."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a stage asks of a machine.

    Attributes:
        gpu: the stage has to run on a GPU, by its numerics.
        large: the stage belongs on a GPU where there is one, since its model is large.
        memory: bytes for weights, gradients and optimizer in 32 bits; 0: not known, or too little to count.
        ranks: processes that make the stage together: each takes a core, and a GPU if the stage runs on one.
    """

    gpu: bool = False
    large: bool = False
    memory: int = 0
    ranks: int = 1


@dataclass(frozen=True, slots=True)
class Order:
    """All that another machine is told about a stage: a few kilobytes; artifacts travel through the store alone.

    Attributes:
        root: the store's folder; None: the machine's own store (`CAVESSON_HOME`), which shares artifacts through the mirror.
        fingerprint: the recipe's.
        recipe: as JSON values.
        paths: where this process finds a user's own modules; on other machines the same folders, if they are there.
        version: of the Cavesson that gives the order.
    """

    root: Path | None
    fingerprint: str
    recipe: dict[str, Any]
    paths: tuple[str, ...] = ()
    version: str = VERSION


class Jobs(Protocol):
    """A cluster's client: it starts jobs, each named by the fingerprint of its stage, and hears from them."""

    def submit(self, order: Order, needs: Needs) -> None:
        """Start the job of a stage."""

    def news(self, seconds: float) -> Iterator[tuple[str, Message]]:
        """What jobs said, with their names; waits so long for a first message. After a job's last message it is forgotten."""

    def stop(self) -> None:
        """Ask all jobs to stop at the next good moment; called again and again."""

    def cancel(self) -> None:
        """End what is still under way at once."""


def needs_of(recipe: Recipe) -> Needs:
    """What a recipe's stage asks of a machine. A stage that reads what was trained on a GPU has to run on one too."""
    effort = recipe.effort()
    weights = 0 if effort is None else effort.weights
    named = {one.numerics for one in lineage(recipe)} - {None}
    on_gpu, large = any("-cuda-" in str(name) for name in named), weights >= BIG
    bytes_each = 16 if effort is not None and effort.trained else 4
    return Needs(on_gpu, large and not named, weights * bytes_each if large else 0, recipe.ranks)


def keep_under_way(work: Work, jobs: Jobs, most: int, root: Path | None) -> None:
    """Run all stages of a work as jobs. A stage whose machine is lost begins again elsewhere.

    Args:
        most: jobs at once.
        root: the store's folder on the other machines, as in `Order`.
    """
    under_way: dict[str, Stage] = {}
    losses: Counter[str] = Counter()
    try:
        while True:
            while len(under_way) < most and (stage := work.take()) is not None:
                under_way[stage.fingerprint] = stage
                _submit(stage, work, jobs, root)
            if not under_way:
                return
            for name, message in jobs.news(LISTEN_SECONDS):
                stage = under_way[name]
                if message[0] == LOST:
                    losses[name] += 1
                    if not _begins_again(stage, losses[name], message[1], work, jobs, root):
                        del under_way[name]
                elif work.receive(stage, message):
                    del under_way[name]
            if work.stop.is_set():
                jobs.stop()
    finally:
        jobs.cancel()


def _submit(stage: Stage, work: Work, jobs: Jobs, root: Path | None) -> None:
    work.store.share(recipe for recipe in lineage(stage.recipe) if not recipe.virtual and recipe != stage.recipe)
    order = Order(root, stage.fingerprint, stage.recipe.model_dump(mode="json"), _own_places())
    jobs.submit(order, needs_of(stage.recipe))


def _begins_again(stage: Stage, times: int, why: str, work: Work, jobs: Jobs, root: Path | None) -> bool:
    """Start a lost stage once more; False if nothing is started any more, or the stage was lost too often."""
    if work.stop.is_set():
        work.failed(stage, Stopped())
        return False
    if times >= LIVES or work.error is not None:
        problem = f"The making of {stage.recipe.describe()} was lost {times} times, the last time because {why}"
        work.failed(
            stage, CavessonError(f"{problem}.", "Look at the machine's memory, and run the same command again.")
        )
        return False
    work.display.halted(stage, f"lost: {why}; made elsewhere")
    work.display.started(stage)
    _submit(stage, work, jobs, root)
    return True


def _own_places() -> tuple[str, ...]:
    """The folders of the import path that hold no installed packages."""
    places = (str(Path(path or ".").absolute()) for path in sys.path)
    return tuple(path for path in places if not f"{path}{os.sep}".startswith(trust.LIBRARIES))


def environment() -> dict[str, str]:
    """The variables that a machine needs to make the same bits as this one."""
    return {**ONE_THREAD, **{name: os.environ[name] for name in HANDED_ON if name in os.environ}}


def carry_out(order: Order, listener: Listener) -> Message:
    """Make the artifact of an order on this machine; returns the message that says how the stage ended."""
    if order.version != VERSION:
        return "error", ConfigError(
            f"This node has Cavesson {VERSION}, and the command runs {order.version}.",
            "Install one version on every machine.",
        )
    sys.path.extend(path for path in order.paths if path not in sys.path)
    try:
        store = Store(order.root)
    except CavessonError as error:
        return "error", error
    with one_thread():
        return run_reported(store, order.fingerprint, order.recipe, listener)


def as_numbers(figures: Mapping[str, float | str]) -> dict[str, float | str]:
    """The figures of a stage as values that every machine can read."""
    return {name: value if isinstance(value, str) else float(value) for name, value in figures.items()}
