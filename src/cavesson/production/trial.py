"""What an A/B test would say of two measured models, how long it would take, and what its mistakes would cost.

Many streams are drawn from the models' measured answers; on each, several rules decide. The truth is known here: it is the
difference between the tables of answers. Beside the confidence sequence stand the controls: the t-test that is looked at again and
again, the t-test at the end, and a sequence that leaves out the tasks whose labels are still to come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from cavesson.findings.views import TableView
from cavesson.production.ab import Plan, Verdict, compare
from cavesson.production.deployment import Answers, Deployment, effects, in_order, mix, stream
from cavesson.production.log import Array, Log
from cavesson.stats import Estimate, average_over, influences, wilson


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
        shipped, dropped, no_difference, undecided: shares of the streams.
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
        without: the same for the model without the measure alone.
        rules: what each rule decided.
        streams: drawn for each seed.
    """

    deployment: Deployment
    plan: Plan
    effect: Estimate
    without: Estimate
    rules: tuple[RuleRow, ...]
    streams: int

    @property
    def saved(self) -> Estimate | None:
        """The share of the cost without the measure that the measure saves; None where there is no cost to save.

        The interval is that of the effect, divided by the cost: it leaves out that the cost is itself an estimate.
        """
        if self.without.value <= 0:
            return None
        share = self.effect.plus(0.0, times=-1 / self.without.value).in_unit("percent")
        return Estimate(
            share.value,
            share.low,
            min(share.high, 1.0),
            share.n,
            share.method,
            replicates=share.replicates,
            each=share.each,
        )

    def rule(self, name: str) -> RuleRow:
        """The row of one rule."""
        return next(row for row in self.rules if row.rule == name)

    @property
    def sentence(self) -> str:
        """What an A/B test of this size would say, in words."""
        row = self.rules[0]
        return (
            f"In {row.shipped.n} simulated deployments of {self.deployment.tasks:,} tasks over {self.deployment.days} days the "
            f"confidence sequence ships the measure in {row.shipped.short}, drops it in {row.dropped.short} and decides nothing "
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
    decided: dict[str, list[tuple[Decision, float, float]]] = {name: [] for name in rules}
    for number, answers in enumerate(pairs):
        moved = effects(answers, deployment)
        truth = float(moved @ mix(deployment))
        for one in range(streams):
            log = stream(answers, deployment, seed=number * streams + one)
            for name in rules:
                decision = RULES[name](log, plan)
                decided[name].append((decision, truth, regret(decision, log, moved[log.kind], plan.share)))
    effect, without = (_over_seeds(pairs, deployment, side) for side in ("effect", "without"))
    rows = tuple(_row(name, found) for name, found in decided.items())
    return Trial(deployment, plan, effect, without, rows, streams)


def regret(decision: Decision, log: Log, moved: Array, share: float) -> float:
    """What a decision costs over a whole stream beyond the better arm from the first day, in costs of the dearest outcome.

    Args:
        moved: the true effect on each task, [tasks].
    """
    tested = log.arrived <= decision.day
    after = {"ship": 1.0, "drop": 0.0, "no difference": 0.0, "undecided": share}[decision.verdict]
    cost = share * moved[tested].sum() + after * moved[~tested].sum()
    return float(cost - min(0.0, moved.sum()))


def _row(name: str, found: Sequence[tuple[Decision, float, float]]) -> RuleRow:
    count = len(found)

    def share(verdict: Verdict) -> Estimate:
        return wilson(sum(decision.verdict == verdict for decision, _, _ in found), count)

    wrong = sum(
        (decision.verdict == "ship" and truth >= 0) or (decision.verdict == "drop" and truth <= 0)
        for decision, truth, _ in found
    )
    return RuleRow(
        rule=name,
        shipped=share("ship"),
        dropped=share("drop"),
        no_difference=share("no difference"),
        undecided=share("undecided"),
        wrong=wilson(wrong, count),
        median_days=float(np.median([decision.day for decision, _, _ in found])),
        regret=float(np.mean([cost for _, _, cost in found])),
    )


def _over_seeds(pairs: Sequence[Sequence[Answers]], deployment: Deployment, side: str) -> Estimate:
    """The cost per task at the stream's mix, over seeds and measured answers: the effect, or the cost without the measure."""
    factors = mix(deployment) * deployment.weights
    bounds = (-1.0, 1.0) if side == "effect" else (0.0, 1.0)
    values, moves = [], []
    for tables in (in_order(answers, deployment) for answers in pairs):
        scores = [_scores(table, side) for table in tables]
        values.append(sum(factor * each.mean() for factor, each in zip(factors, scores, strict=True)))
        moves.append(np.concatenate(list(_moves(factors, scores, bounds))))
    n = sum(len(table) for table in pairs[0])
    return average_over(values, np.array(moves), n=n, bounds=bounds).in_unit(
        "points" if side == "effect" else "percent"
    )


def _moves(factors: Array, scores: Sequence[Array], bounds: tuple[float, float]) -> Iterator[Array]:
    """How far each answer moves the cost per task: the answers of a kind weigh what the kind does."""
    for factor, each in zip(factors, scores, strict=True):
        yield factor * influences(each, bounds)


def _scores(table: Answers, side: str) -> Array:
    without = np.asarray(table.without, dtype=float)
    return without if side == "without" else np.asarray(table.with_, dtype=float) - without
