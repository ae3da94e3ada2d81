"""Two arms of a deployment, compared as often as one likes: the intervals hold at all moments at once.

Every task is given to an arm at random with a known probability, so that the weighted outcome of a task has the measure's effect
on this very task as its expectation, whatever the mix of tasks does. The average of these is what `sequence` bounds; the estimand
is the average effect on the tasks that came so far. Predictions for each arm and kind of task (from labels that were there when
the task came) narrow the interval and cannot bias it (Howard et al. 2021, corollary 2).

A label that is not there yet may say anything: the interval is the union over all that the label could say. Labels known to be
wrong at some rate are corrected (Rogan and Gladen 1978), with the worst case over the rates that are allowed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from cavesson.estimate import Estimate
from cavesson.figures import percent
from cavesson.lab.recipe import Value
from cavesson.production.log import Array, Log
from cavesson.production.sequence import half_width

Verdict = Literal["ship", "drop", "no difference", "undecided"]
Pending = Literal["bounded", "left out"]

LEFT_OFF = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of the newest tasks that a look may leave out, because their labels are still to come; the narrowest interval counts."""

REFRESHED = 100
"""Tasks after which the predictions take in the labels that have come."""

SHRUNK = 10.0
"""Labels' worth of trust in the guess that bad outcomes are rare, with which predictions begin."""

SHARE_FOR_LEVEL = 0.1
"""Share of α for the level of the costs, which is needed where the labels of the two arms may err at different rates."""


class LabelErrors(Value):
    """How often labels are wrong, each as the least and the greatest rate that is possible.

    Attributes:
        false_alarms: share of the good outcomes that are labelled bad.
        misses: share of the bad outcomes that are labelled good.
        same_in_both_arms: whether the two arms are known to err at the same rates. A measure may hide what it does not remove.
    """

    false_alarms: tuple[float, float] = (0.0, 0.0)
    misses: tuple[float, float] = (0.0, 0.0)
    same_in_both_arms: bool = False

    @field_validator("false_alarms", "misses")
    @classmethod
    def _rates(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= ends[0] <= ends[1] < 1:
            raise ValueError("rates are 0 to below 1, the lower first")
        return ends

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.false_alarms[1] + self.misses[1] >= 1:
            raise ValueError(
                "labels with as many false alarms and misses say nothing: the two must add up to less than 1"
            )
        return self

    @property
    def none(self) -> bool:
        """Whether labels are always right."""
        return self.false_alarms[1] == self.misses[1] == 0

    @property
    def common(self) -> bool:
        """Whether both arms have one and the same rates, if not known ones."""
        return self.same_in_both_arms or (
            self.false_alarms[0] == self.false_alarms[1] and self.misses[0] == self.misses[1]
        )


class Plan(Value):
    """How an A/B test is run and read; fixed before the first outcome.

    Attributes:
        alpha: the probability with which the interval may miss the truth at any time.
        margin: effects up to this size do not matter, in the unit of the outcomes; 0: every effect matters.
        looks: how many times the log is looked at, evenly over its time. Any number does no harm.
        share: the probability with which a task goes to the arm with the measure.
        label_errors: how often labels are wrong.
        tightest: the variance seen (about 4 × tasks × rate of bad outcomes) at which the interval is at its best. Any value is
            valid; in streams of 10,000 tasks 500 finds more than 200 does at rates of 0.1 to 0.4, and less below 0.01.
        horizon: tasks that will come after the test, for the cost of a wrong decision; None: not known.
    """

    alpha: float = Field(0.05, gt=0, lt=1)
    margin: float = Field(0.0, ge=0, lt=1)
    looks: int = Field(40, ge=1, le=10_000)
    share: float = Field(0.5, ge=0.01, le=0.99)
    label_errors: LabelErrors = LabelErrors()
    tightest: float = Field(500.0, ge=1)
    horizon: int | None = Field(None, ge=0)

    @property
    def reach(self) -> float:
        """How far a weighted outcome may lie from its prediction."""
        return 1 / min(self.share, 1 - self.share)

    def moments(self, end: float) -> list[float]:
        """When a log that ends at `end` is looked at."""
        return [float(moment) for moment in np.linspace(0, end, self.looks + 1)[1:]]


@dataclass(frozen=True, slots=True)
class Look:
    """What could be said at one moment about the effect: the cost per task with the measure, less the cost without.

    Attributes:
        day: the moment, in days since the first task.
        tasks: that had come.
        counted: of these, the oldest that the interval is about.
        pending: of those counted, how many had no label yet.
        value: the estimate.
        low, high: the interval, which holds at all looks at once.
        verdict: what the plan's rule says.
    """

    day: float
    tasks: int
    counted: int
    pending: int
    value: float
    low: float
    high: float
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """All looks at one log, the last of them the first at which the rule decided, or the end of the log.

    Attributes:
        with_measure, without: mean cost per labelled task of each arm at the end of the log, as labelled, for orientation only; None: it
            has no label.
        balance: evidence (an e-value) that the arms were not drawn with the plan's share; above 1000 something is wrong.
    """

    plan: Plan
    looks: tuple[Look, ...]
    tasks: int
    source: str
    with_measure: float | None
    without: float | None
    balance: float

    @property
    def last(self) -> Look:
        """The look at which the test ended."""
        return self.looks[-1]

    @property
    def verdict(self) -> Verdict:
        """What the rule says: ship the measure, drop it, there is no difference that matters, or nothing yet."""
        return self.last.verdict

    @property
    def days(self) -> float:
        """How long the test took."""
        return self.last.day

    @property
    def effect(self) -> Estimate:
        """The cost per task with the measure, less that without, with the interval of the last look."""
        look, plan = self.last, self.plan
        method = f"confidence sequence, {percent(1 - plan.alpha)} at every look at once"
        return Estimate(look.value, look.low, look.high, max(look.counted, 1), method, "plain")

    @property
    def regrets(self) -> dict[str, float]:
        """What each decision costs at most against the better arm, in costs of the dearest outcome; empty without a horizon.

        "wait" is the cost of one more look at the same split.
        """
        horizon, look, share = self.plan.horizon, self.last, self.plan.share
        if horizon is None:
            return {}
        step = min(horizon, self.tasks / self.plan.looks)
        worse, better = max(look.high, 0.0), max(-look.low, 0.0)
        waiting = step * max(share * worse, (1 - share) * better)
        return {"ship": horizon * worse, "drop": horizon * better, "wait": waiting}

    @property
    def sentence(self) -> str:
        """The finding in words."""
        look = self.last
        found = {
            "ship": "The measure lowers the cost",
            "drop": "The measure raises the cost",
            "no difference": f"The measure changes the cost by less than {self.plan.margin:g}",
            "undecided": "Nothing is decided yet",
        }[self.verdict]
        return (
            f"{found}: {look.value:+.4f} a task ({look.low:+.4f} to {look.high:+.4f}, at every look at once, "
            f"{percent(1 - self.plan.alpha)}), after {look.day:.1f} days and {look.tasks:,} tasks, {look.counted:,} of them "
            f"counted, {look.pending:,} of these without a label."
        )

    def to_json(self) -> str:
        """Everything as JSON."""
        found = asdict(self) | {"plan": self.plan.model_dump(), "verdict": self.verdict, "regrets": self.regrets}
        return json.dumps(found | {"sentence": self.sentence}, indent=1)


def compare(log: Log, plan: Plan, *, stop: bool = True, pending: Pending = "bounded") -> Comparison:
    """Look at a log again and again, and stop when the plan's rule decides.

    Args:
        stop: whether to stop at the first decision; else every look is made.
        pending: what a missing label may say: anything ("bounded"), or nothing ("left out": a control, which is wrong where the
            delay of a label depends on what the label says).
    """
    weighted = Weighted(log, plan)
    looks = []
    for moment in plan.moments(log.now):
        looks.append(_look(weighted, moment, pending))
        if stop and looks[-1].verdict != "undecided":
            break
    means = [_mean(log.cost[log.known_by(log.now) & (log.treated == arm)]) for arm in (True, False)]
    return Comparison(plan, tuple(looks), len(log), log.source, means[0], means[1], balance(log.treated, plan.share))


class Weighted:
    """A log with the predictions that could be made when each task came."""

    def __init__(self, log: Log, plan: Plan) -> None:
        self.log, self.plan = log, plan
        self._terms: dict[tuple[float, float], tuple[Array, ...]] = {}

    @cached_property
    def _predicted(self) -> tuple[Array, Array]:
        """Predicted costs with and without the measure, each [tasks]."""
        log = self.log
        starts = log.arrived[::REFRESHED]
        blocks = np.arange(len(log)) // REFRESHED
        found = []
        for arm in (True, False):
            mine = log.treated == arm
            every_sum, every_count = _running(log, mine, starts)
            overall = every_sum / (every_count + SHRUNK)
            predicted = np.zeros(len(log))
            for kind in range(len(log.kinds)):
                total, count = _running(log, mine & (log.kind == kind), starts)
                guess = (total + SHRUNK * overall) / (count + SHRUNK)
                here = log.kind == kind
                predicted[here] = np.minimum(guess[blocks[here]], 1.0)
            found.append(np.minimum(predicted, log.weight))
        return found[0], found[1]

    def terms(self, weights: tuple[float, float]) -> tuple[Array, ...]:
        """For `weights` of the arms' costs (with, without): predictions, and what the label adds, each [tasks].

        Returns:
            The prediction, what a label adds (0 where there is none), the least and the most that any label could add, and
            the largest square of these.
        """
        if weights not in self._terms:
            self._terms[weights] = self._worked_out(weights)
        return self._terms[weights]

    def _worked_out(self, weights: tuple[float, float]) -> tuple[Array, ...]:
        treated, share = self.log.treated, self.plan.share
        with_, without = self._predicted
        prediction = weights[0] * with_ + weights[1] * without
        factor = np.where(treated, weights[0] / share, weights[1] / (1 - share))
        own = np.where(treated, with_, without)
        ends = factor * (0.0 - own), factor * (self.log.weight - own)
        low, high = np.minimum(*ends), np.maximum(*ends)
        added = np.nan_to_num(factor * (self.log.cost - own))
        return prediction, added, low, high, np.maximum(low * low, high * high)


def _running(log: Log, mine: NDArray[np.bool_], moments: Array) -> tuple[Array, Array]:
    """Sum and number of the costs of some tasks whose labels were there before each moment."""
    known, cost = log.known[mine], log.cost[mine]
    there = np.isfinite(known)
    order = np.argsort(known[there], kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(cost[there][order])])
    count = np.searchsorted(known[there][order], moments, side="left")
    return sums[count], count.astype(float)


def _look(weighted: Weighted, moment: float, pending: Pending) -> Look:
    """What can be said at a moment."""
    log, plan = weighted.log, weighted.plan
    came = int(np.searchsorted(log.arrived, moment, side="right"))
    errors = plan.label_errors
    level = 0.0 if errors.none or errors.common else SHARE_FOR_LEVEL
    effect = _interval(weighted, moment, came, (1.0, -1.0), plan.alpha * (1 - level), pending)
    low, value, high, counted, missing = effect
    if not errors.none:
        bounds = (0.0, 0.0)
        if level:
            without = _interval(weighted, moment, came, (0.0, 1.0), plan.alpha * level, pending, only=counted)
            bounds = max(without[0], 0.0), min(without[2], 1.0)
        mean_weight = float(log.weight[:counted].mean()) if counted else 1.0
        low, value, high = corrected((low, value, high), bounds, mean_weight, errors)
    low, high = max(low, -1.0), min(high, 1.0)
    return Look(moment, came, counted, missing, value, low, high, _verdict(low, high, plan.margin))


def _interval(
    weighted: Weighted,
    moment: float,
    came: int,
    weights: tuple[float, float],
    alpha: float,
    pending: Pending,
    only: int | None = None,
) -> tuple[float, float, float, int, int]:
    """The narrowest interval at a moment: low, value, high, tasks counted, tasks of these without a label."""
    plan = weighted.plan
    sizes = [came - int(part * came) for part in LEFT_OFF] if only is None else [only]
    counted = np.array(sorted({size for size in sizes if size > 0}), dtype=int)
    if not len(counted):
        return -1.0, 0.0, 1.0, 0, 0
    there = weighted.log.known_by(moment)[:came]
    prediction, added, least, most, square = (term[:came] for term in weighted.terms(weights))

    def until(per_task: Array | NDArray[np.bool_]) -> Array:
        return np.asarray(np.cumsum(per_task, dtype=float)[counted - 1])

    missing = until(~there)
    squares = until(np.where(there, added**2, square if pending == "bounded" else 0.0))
    known = until(np.where(there | (pending == "bounded"), prediction, 0.0) + np.where(there, added, 0.0))
    below = until(np.where(there, 0.0, least)) if pending == "bounded" else 0.0
    above = until(np.where(there, 0.0, most)) if pending == "bounded" else 0.0
    number = np.maximum(counted - (missing if pending == "left out" else 0), 1)
    half = half_width(squares, number, alpha=alpha, reach=plan.reach, tightest=plan.tightest)
    low, high = (known + below) / number - half, (known + above) / number + half
    best = int(np.argmin(high - low))
    value = float(known[best] / number[best])
    return float(low[best]), value, float(high[best]), int(counted[best]), int(missing[best])


def corrected(
    effect: tuple[float, float, float], level: tuple[float, float], weight: float, errors: LabelErrors
) -> tuple[float, float, float]:
    """The true effect (low, value, high) behind that of the labels, at the worst rates of errors that are allowed.

    Args:
        effect: of the labels: low, value, high.
        level: least and greatest mean cost of the labels without the measure; not read where the arms err alike.
        weight: the mean weight of the tasks.
        errors: how often labels are wrong.
    """
    low, value, high = effect
    corners = list(product(errors.false_alarms, errors.misses))
    middle = 1 - sum(errors.false_alarms) / 2 - sum(errors.misses) / 2
    if errors.common:
        found = [end / (1 - alarm - miss) for end in (low, high) for alarm, miss in corners]
    else:
        found = [
            (cost + end - alarm * weight) / (1 - alarm - miss) - (cost - alarm_0 * weight) / (1 - alarm_0 - miss_0)
            for (alarm, miss), (alarm_0, miss_0) in product(corners, corners)
            for cost, end in product(level, (low, high))
        ]
    return min(found), value / middle, max(found)


def balance(treated: NDArray[np.bool_], share: float) -> float:
    """The e-value against "each task was with probability `share` with the measure": a mixture over all other probabilities.

    Source: Robbins (1970), "Statistical methods related to the law of the iterated logarithm"; uniform prior.
    """
    from scipy.special import betaln

    ones, count = int(treated.sum()), len(treated)
    log = betaln(ones + 1, count - ones + 1) - ones * np.log(share) - (count - ones) * np.log(1 - share)
    return float(np.exp(min(log, 500.0)))


def _verdict(low: float, high: float, margin: float) -> Verdict:
    if high < -margin:
        return "ship"
    if low > margin:
        return "drop"
    return "no difference" if -margin < low and high < margin else "undecided"


def _mean(values: Array) -> float | None:
    return float(values.mean()) if len(values) else None
