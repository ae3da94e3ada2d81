"""A simulated deployment: a stream of tasks that two models do, with what each model really answered when it was measured.

The rates are not made up: for every kind of task there is a table of scored answers of the model without and of the model with the
measure, to the same items, and the simulator draws from the tables. Made up are the mix of tasks and its drift, the delays of the
truth, the errors of labels, and the costs: they are the settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from cavesson.errors import ConfigError
from cavesson.lab.recipe import Value
from cavesson.production.log import Array, Log

if TYPE_CHECKING:
    from cavesson.evals.scores import Scores


class KindOfTask(Value):
    """One kind of task in the stream.

    Attributes:
        name: of the kind; the measured answers have the same.
        share: its share of the stream at the start, relative to the other kinds'. A rare trigger has 0.002, say.
        later: its share at the end; None: as at the start.
        cost: what one bad outcome costs (an incident: 100 wrong answers, say).
    """

    name: str = Field(min_length=1)
    share: float = Field(gt=0, allow_inf_nan=False)
    later: float | None = Field(None, gt=0)
    cost: float = Field(1.0, gt=0)


class Delays(Value):
    """How many days pass until an outcome is labelled; exponential, so that some labels take long.

    Attributes:
        good, bad: mean days until a good and until a bad outcome is labelled.
        with_measure: how many times later bad outcomes are noticed in the arm with the measure; above 1, the measure hides.
        lost: share of the tasks that are never labelled.
    """

    good: float = Field(1.0, ge=0)
    bad: float = Field(2.0, ge=0)
    with_measure: float = Field(1.0, gt=0)
    lost: float = Field(0.0, ge=0, lt=1)


class Deployment(Value):
    """A stream of tasks.

    Attributes:
        kinds: what tasks there are.
        tasks: how many come.
        days: over how many days.
        share: the probability with which a task goes to the arm with the measure.
        wander: standard deviation of the daily step of each kind's log share, on top of the drift.
        delays: until the truth is known.
        false_alarms: share of the good outcomes that are labelled bad.
        misses: share of the bad outcomes that are labelled good.
        seed: of the stream.
    """

    kinds: tuple[KindOfTask, ...] = Field(min_length=1)
    tasks: int = Field(20_000, ge=1, le=10_000_000)
    days: int = Field(40, ge=1, le=10_000)
    share: float = Field(0.5, ge=0.01, le=0.99)
    wander: float = Field(0.1, ge=0)
    delays: Delays = Delays()
    false_alarms: float = Field(0.0, ge=0, lt=1)
    misses: float = Field(0.0, ge=0, lt=1)
    seed: int = 0

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [kind.name for kind in self.kinds]
        if len(set(names)) < len(names):
            raise ValueError("two kinds of task have the same name")
        return self

    @property
    def weights(self) -> Array:
        """Cost of a bad outcome of each kind, as a share of the dearest, [kinds]."""
        costs = np.array([kind.cost for kind in self.kinds])
        return np.asarray(costs / costs.max())


@dataclass(frozen=True)
class Answers:
    """Measured answers of two models to the same items of one kind.

    Attributes:
        kind: name of the kind of task.
        without, with_: 1 where the answer of the model without, and with, the measure is bad, else 0; the same items.
    """

    kind: str
    without: tuple[float, ...]
    with_: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.without or len(self.without) != len(self.with_):
            raise ConfigError(
                f"The answers to tasks of the kind {self.kind!r} do not pair: {len(self.without)} without the measure, "
                f"{len(self.with_)} with it.",
                "Measure both models on the same items, at least one.",
            )
        if not {*self.without, *self.with_} <= {0, 1}:
            raise ConfigError(f"An answer to tasks of the kind {self.kind!r} is neither 0 nor 1.", "Score each answer.")

    def __len__(self) -> int:
        return len(self.without)


def answers_of(
    kind: str,
    without: Scores,
    with_: Scores,
    labels: Sequence[str],
    *,
    good: bool,
    step_without: int | None = None,
    step_with: int | None = None,
) -> Answers:
    """Answers of one kind from the scores of two models.

    Args:
        labels: the evaluations that are tasks of this kind.
        good: whether a score of 1 is good (a benchmark) or bad (a behaviour that shows).
    """
    for label in labels:
        if without.items(label) != with_.items(label):
            raise ConfigError(f"The two models were asked different items of {label}.", "Score both on the same suite.")
    bad = [scores.pooled(labels, step) for scores, step in ((without, step_without), (with_, step_with))]
    first, second = (1 - each if good else each for each in bad)
    return Answers(kind, tuple(first.tolist()), tuple(second.tolist()))


def stream(answers: Sequence[Answers], deployment: Deployment, seed: int) -> Log:
    """One stream of tasks, done by the two models.

    Args:
        answers: of every kind of the deployment, in any order.
        seed: of this stream, beside the deployment's own.

    Raises:
        ConfigError: a kind of task has no answers, or answers have no kind.
    """
    rng = np.random.default_rng([deployment.seed, seed])
    tables = in_order(answers, deployment)
    count = deployment.tasks
    arrived = np.sort(rng.uniform(0, deployment.days, count))
    kind = _kinds(deployment, arrived, rng)
    treated = rng.random(count) < deployment.share
    sizes = np.array([len(table) for table in tables])
    firsts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    item = firsts[kind] + (rng.random(count) * sizes[kind]).astype(int)
    every = [np.concatenate([np.asarray(side, dtype=float) for side in sides])
             for sides in zip(*((table.without, table.with_) for table in tables), strict=True)]  # fmt: skip
    bad = np.where(treated, every[1][item], every[0][item])
    known = arrived + _delays(deployment.delays, bad, treated, rng)
    luck = rng.random(count)
    label = np.where(bad == 1, luck >= deployment.misses, luck < deployment.false_alarms).astype(float)
    label[~np.isfinite(known)] = np.nan
    return Log(
        arrived=arrived,
        treated=treated,
        outcome=label,
        known=known,
        kind=kind,
        weight=deployment.weights[kind],
        now=float(deployment.days),
        kinds=tuple(one.name for one in deployment.kinds),
        source="a simulated deployment",
    )


def in_order(answers: Sequence[Answers], deployment: Deployment) -> list[Answers]:
    """The answers in the order of the deployment's kinds."""
    by_kind = {table.kind: table for table in answers}
    wanted = [kind.name for kind in deployment.kinds]
    if sorted(by_kind) != sorted(wanted) or len(by_kind) < len(answers):
        raise ConfigError(
            f"The deployment has tasks of the kinds {', '.join(wanted)}; there are answers to {', '.join(t.kind for t in answers)}.",
            "Give answers to each kind once.",
        )
    return [by_kind[name] for name in wanted]


def effects(answers: Sequence[Answers], deployment: Deployment) -> Array:
    """The true cost of a task with the measure, less that without, for each kind, [kinds]."""
    tables = in_order(answers, deployment)
    moved = np.array([np.mean(table.with_) - np.mean(table.without) for table in tables])
    return np.asarray(moved * deployment.weights)


def mix(deployment: Deployment) -> Array:
    """The share of each kind in the whole stream, drift included and wandering left out, [kinds]."""
    start, end = _log_shares(deployment)
    path = start + np.linspace(0, 1, deployment.days)[:, None] * (end - start)
    shares = np.exp(path - path.max(axis=1, keepdims=True))
    return np.asarray((shares / shares.sum(axis=1, keepdims=True)).mean(axis=0))


def _log_shares(deployment: Deployment) -> tuple[Array, Array]:
    start = np.log([kind.share for kind in deployment.kinds])
    end = np.log([kind.later or kind.share for kind in deployment.kinds])
    return np.asarray(start), np.asarray(end)


def _kinds(deployment: Deployment, arrived: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """The kind of each task: log shares drift from start to end and wander from day to day."""
    start, end = _log_shares(deployment)
    path = start + np.linspace(0, 1, deployment.days)[:, None] * (end - start)
    path = path + np.cumsum(rng.normal(0, deployment.wander, path.shape), axis=0)
    shares = np.exp(path - path.max(axis=1, keepdims=True))
    up_to = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)[:, :-1]
    day = np.minimum(arrived.astype(int), deployment.days - 1)
    return np.asarray((rng.random(len(arrived))[:, None] > up_to[day]).sum(axis=1), dtype=np.int64)


def _delays(delays: Delays, bad: Array, treated: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """Days until each outcome is labelled; infinite where none will be."""
    mean = np.where(bad == 1, delays.bad * np.where(treated, delays.with_measure, 1.0), delays.good)
    waited = rng.exponential(1.0, len(bad)) * mean
    return np.where(rng.random(len(bad)) < delays.lost, np.inf, waited)
