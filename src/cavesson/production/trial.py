"""What an A/B test would say of two measured models, how long it would take, and what its mistakes would cost.

Many streams are drawn from the models' measured answers; on each, several rules decide. The truth is known here: it is the
difference between the tables of answers. Beside the confidence sequence stand the controls: the t-test that is looked at again and
again, the t-test at the end, and a sequence that leaves out the tasks whose labels are still to come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from cavesson.clusters import share
from cavesson.estimate import Estimate
from cavesson.findings.views import TableView
from cavesson.production.ab import Plan, Verdict, compare
from cavesson.production.deployment import Answers, Deployment, effects, in_order, mix, stream
from cavesson.production.log import Array, Log
from cavesson.stats import average_over, influences, wilson


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rule decided on one stream, and on which day."""

    verdict: Verdict
    day: float


Rule = Callable[[Log, Plan], Decision]


def sequence(log: Log, plan: Plan) -> Decision:
    """The confidence sequence, looked at as often as the plan says."""
    found = compare(log, plan)
    return Decision(found.verdict, found.days)


def sequence_of_labelled(log: Log, plan: Plan) -> Decision:
    """Control: the confidence sequence over the tasks whose labels have come, as if the others were like them."""
    found = compare(log, plan, pending="left out")
    return Decision(found.verdict, found.days)


def peeking(log: Log, plan: Plan) -> Decision:
    """Control: a t-test over the labels that have come, at every look; the first that is significant decides."""
    for moment in plan.moments(log.now):
        verdict = _t_test(log, plan, moment)
        if verdict != "undecided":
            return Decision(verdict, moment)
    return Decision("undecided", log.now)


def at_the_end(log: Log, plan: Plan) -> Decision:
    """Control: one t-test, over the labels that have come by the end."""
    return Decision(_t_test(log, plan, log.now), log.now)


def _t_test(log: Log, plan: Plan, moment: float) -> Verdict:
    """Welch's test with normal quantiles (hundreds of labels), against the plan's margin."""
    there = log.known_by(moment)
    arms = [log.cost[there & (log.treated == arm)] for arm in (True, False)]
    if min(map(len, arms)) < 2:
        return "undecided"
    effect = arms[0].mean() - arms[1].mean()
    half = ndtri(1 - plan.alpha / 2) * np.sqrt(sum(arm.var(ddof=1) / len(arm) for arm in arms))
    if effect + half < -plan.margin:
        return "ship"
    return "drop" if effect - half > plan.margin else "undecided"


RULES: dict[str, Rule] = {
    "confidence sequence, every look": sequence,
    "t-test, every look": peeking,
    "t-test, once at the end": at_the_end,
    "sequence of the labels that are in": sequence_of_labelled,
}
"""The rule that is recommended, and its controls."""


@dataclass(frozen=True)
class RuleRow:
    """How one rule did over all streams.

    Attributes:
        shipped, dropped, no_difference, undecided: shares of the streams; their intervals, and that of `wrong`, are over the pairs
            of models: streams of the same two models mostly end alike.
        wrong: share of the streams in which the rule shipped a measure that does not save, or dropped one that does no harm.
        median_days: until the rule stopped.
        regret: mean cost over the whole stream, in costs of the dearest outcome, beyond that of the better arm from the first day.
    """

    rule: str
    shipped: Estimate
    dropped: Estimate
    no_difference: Estimate
    undecided: Estimate
    wrong: Estimate
    median_days: float
    regret: float


@dataclass(frozen=True)
class Trial:
    """A deployment of measured models.

    Attributes:
        deployment, plan: as given.
        effect: cost per task with the measure, less that without, in costs of the dearest outcome. The interval is over the
            measured answers and the seeds of the models: no number of simulated tasks can make it narrower.
        saved: the share of the cost without the measure that the measure saves; None where some seed has no cost to save.
        rules: what each rule decided.
        streams: drawn for each seed.
    """

    deployment: Deployment
    plan: Plan
    effect: Estimate
    saved: Estimate | None
    rules: tuple[RuleRow, ...]
    streams: int

    def rule(self, name: str) -> RuleRow:
        """The row of one rule."""
        return next(row for row in self.rules if row.rule == name)

    @property
    def sentence(self) -> str:
        """What an A/B test of this size would say, in words."""
        row = self.rules[0]
        return (
            f"In {row.shipped.n} simulated deployments of {self.deployment.tasks:,} tasks over {self.deployment.days} days the "
            f"confidence sequence ships the intervention in {row.shipped.short}, drops it in {row.dropped.short} and decides nothing "
            f"in {row.undecided.short} (median {row.median_days:.0f} days; wrong in {row.wrong.brief})."
        )

    def table(self) -> TableView:
        """The rules side by side."""
        return TableView(
            title="A/B test in production: what each rule decides",
            caption=f"{self.streams} streams a seed, {self.deployment.tasks:,} tasks each, {self.plan.looks} looks; regret in costs "
            "of the dearest outcome, beyond the better arm's. All but the first rule are controls.",
            columns=["rule", "ships", "drops", "no difference", "undecided", "wrong", "median days", "regret"],
            rows=[
                [row.rule, row.shipped, row.dropped, row.no_difference, row.undecided, row.wrong, f"{row.median_days:.1f}",
                 f"{row.regret:.1f}"]
                for row in self.rules
            ],
        )  # fmt: skip


def deployed(
    pairs: Sequence[Sequence[Answers]],
    deployment: Deployment,
    plan: Plan | None = None,
    streams: int = 20,
    rules: Sequence[str] = tuple(RULES),
) -> Trial:
    """Deploy measured models, with and without the measure, many times over.

    Args:
        pairs: for each seed of the experiment the answers of its two models to each kind of task; the same items in each.
        plan: of the test; its `share` must be the deployment's. None: the usual plan.
        streams: to draw for each seed.
        rules: names in `RULES`.
    """
    plan = Plan(share=deployment.share) if plan is None else plan
    if plan.share != deployment.share:
        raise ValueError(f"the plan reads a split of {plan.share}, the deployment makes one of {deployment.share}")
    decided: dict[str, list[_Decided]] = {name: [] for name in rules}
    for number, answers in enumerate(pairs):
        moved = effects(answers, deployment)
        truth = float(moved @ mix(deployment))
        for one in range(streams):
            log = stream(answers, deployment, seed=number * streams + one)
            for name in rules:
                decision = RULES[name](log, plan)
                lost = regret(decision, log, moved[log.kind], plan.share)
                decided[name].append(_Decided(number, decision, truth, lost))
    rows = tuple(_row(name, found) for name, found in decided.items())
    return Trial(deployment, plan, effect(pairs, deployment), saved(pairs, deployment), rows, streams)


def regret(decision: Decision, log: Log, moved: Array, share: float) -> float:
    """What a decision costs over a whole stream beyond the better arm from the first day, in costs of the dearest outcome.

    Args:
        moved: the true effect on each task, [tasks].
    """
    tested = log.arrived <= decision.day
    after = {"ship": 1.0, "drop": 0.0, "no difference": 0.0, "undecided": share}[decision.verdict]
    cost = share * moved[tested].sum() + after * moved[~tested].sum()
    return float(cost - min(0.0, moved.sum()))


@dataclass(frozen=True, slots=True)
class _Decided:
    """What a rule decided on one stream of a pair of models, whose true effect is known, and what that cost."""

    pair: int
    decision: Decision
    truth: float
    regret: float

    @property
    def wrong(self) -> bool:
        said = self.decision.verdict
        return (said == "ship" and self.truth >= 0) or (said == "drop" and self.truth <= 0)


def _row(name: str, found: Sequence[_Decided]) -> RuleRow:
    pairs = [str(one.pair) for one in found]

    def of(hits: Sequence[bool]) -> Estimate:
        if len(set(pairs)) > 1:
            return share(hits, pairs, "model pair")
        one = wilson(sum(hits), len(hits))
        return replace(one, method=f"{one.method}; one pair of models: variance between pairs is not included")

    def decided(verdict: Verdict) -> Estimate:
        return of([one.decision.verdict == verdict for one in found])

    return RuleRow(
        rule=name,
        shipped=decided("ship"),
        dropped=decided("drop"),
        no_difference=decided("no difference"),
        undecided=decided("undecided"),
        wrong=of([one.wrong for one in found]),
        median_days=float(np.median([one.decision.day for one in found])),
        regret=float(np.mean([one.regret for one in found])),
    )


def effect(pairs: Sequence[Sequence[Answers]], deployment: Deployment) -> Estimate:
    """The cost per task with the measure, less that without, over the seeds of the models and their measured answers."""
    values, moves = [], []
    for tables in pairs:
        values.append(float(effects(tables, deployment) @ mix(deployment)))
        moved = [_side(table, 1.0, -1.0) for table in in_order(tables, deployment)]
        moves.append(_moves(deployment, moved, (-1.0, 1.0)))
    n = sum(map(len, pairs[0]))
    return average_over(values, np.array(moves), n=n, bounds=(-1.0, 1.0)).in_unit("points")


def saved(pairs: Sequence[Sequence[Answers]], deployment: Deployment) -> Estimate | None:
    """The share of the cost without the measure that the measure saves; None where some seed has no cost to save."""
    found = saved_by_seed(pairs, deployment)
    if found is None:
        return None
    return average_over(*found, n=sum(map(len, pairs[0])), bounds=(-np.inf, 1.0))


def saved_by_seed(pairs: Sequence[Sequence[Answers]], deployment: Deployment) -> tuple[Array, Array] | None:
    """The same under each seed, [seeds], and how far each answer moves it (delta method), [seeds, answers]."""
    factors = mix(deployment) * deployment.weights
    values, moves = [], []
    for tables in (in_order(answers, deployment) for answers in pairs):
        with_, without = (
            float(factors @ np.array([_side(table, *sides).mean() for table in tables]))
            for sides in ((1.0, 0.0), (0.0, 1.0))
        )
        if without == 0:
            return None
        ratio = with_ / without
        own, other = (
            _moves(deployment, [_side(table, *sides) for table in tables], (0.0, 1.0))
            for sides in ((1.0, 0.0), (0.0, 1.0))
        )
        values.append(1 - ratio)
        moves.append(-(own - ratio * other) / without)
    return np.array(values), np.array(moves)


def _moves(deployment: Deployment, scores: Sequence[Array], bounds: tuple[float, float]) -> Array:
    """How far each answer moves the cost per task, one kind after the other: the answers of a kind weigh what the kind does."""
    factors = mix(deployment) * deployment.weights
    return np.concatenate([factor * influences(each, bounds) for factor, each in zip(factors, scores, strict=True)])


def _side(table: Answers, with_: float, without: float) -> Array:
    """A weighted sum of the two models' answers, item by item."""
    return with_ * np.asarray(table.with_, dtype=float) + without * np.asarray(table.without, dtype=float)
