"""Claims: published statements, each with the test that decides it here.

A claim holds, does not hold, or is undecided; the interval decides, never the point estimate. "Does not hold in this world"
and "cannot be decided with these seeds and prompts" are results like any other. A claim without its runs is *not run*; one that
the data cannot bear on, whatever is run, is *not applicable*. There is no verdict from fewer than `FEWEST_SEEDS` seeds: where
seeds have lost a behaviour or have all of it, three of them agree by luck too often, and their interval covers the truth some 70 %
of the time. Each claim is tested at 95 % on its own: of forty that are false by a hair, about one holds by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

from cavesson.estimate import Estimate, Unit
from cavesson.figures import percent

Verdict = Literal["holds", "does not hold", "undecided", "not run", "not applicable"]

DECIDED: tuple[Verdict, ...] = ("holds", "does not hold")
"""The verdicts that an interval gave."""

FEWEST_SEEDS = 5
"""Repetitions from which on an interval decides; fewer *suggest*. `docs/statistics.md` has the coverage that this rests on."""

FEWEST_CASES = 3
"""Teachers, students or pairs from which on a statement about some of them, or about all, can be asked."""

Results = TypeVar("Results")
"""What a study hands to its claims."""

T = TypeVar("T")

Kind = Literal["replication", "check"]
"""Whether a statement was found elsewhere and is tested here, or is a check of the machinery: its effect was planted in the world
that is measured, or it is a control that the method demands. A check shows whether the instruments work, and is not counted."""


@dataclass(frozen=True)
class ClaimResult:
    """What was found here.

    Attributes:
        ours: the figure that decided; None: there is none.
        verdict: what the interval says.
        reason: the verdict in a sentence.
        measure: what the figure measures, in words; empty where there is no figure.
        seeds: repetitions behind the verdict, where they are others than those of `ours`.
    """

    ours: Estimate | None
    verdict: Verdict
    reason: str
    measure: str = ""
    seeds: int | None = None

    @property
    def replicates(self) -> int:
        """Independent repetitions behind the verdict: seeds, or the pairs or organisms that are taken as random."""
        if self.seeds is not None:
            return self.seeds
        return 1 if self.ours is None else self.ours.replicates

    @property
    def tentative(self) -> bool:
        """Whether an interval gave a verdict, but of too few repetitions to stand."""
        return self.verdict in DECIDED and self.replicates < FEWEST_SEEDS

    @property
    def told(self) -> str:
        """The verdict in words: `holds`; of fewer than five seeds, `suggests it holds`; of one seed, `this seed: yes`."""
        if not self.tentative:
            return self.verdict
        if self.replicates == 1:
            return "this seed: yes" if self.verdict == "holds" else "this seed: no"
        return f"suggests it {self.verdict}"


@dataclass(frozen=True)
class Claim(Generic[Results]):
    """One published statement.

    Attributes:
        id: short stable name, e.g. `pirate-beats-hhh`.
        source: where it was published.
        statement: the claim in words that this study can test.
        published: the published figure, as printed.
        test: from the study's results to what was found here.
        unit: how the figure is written; None: as the test gives it.
        says: what each verdict is called, where a claim is put in other words: of a hypothesis, "ruled out".
        kind: a replication, or a check of the machinery (see `Kind`).
        needs: from a study's config to what the claim needs more than that, in words ("n >= 155"); None: nothing. A study says
            so when it is planned, and the claim is then not applicable.
    """

    id: str
    source: str
    statement: str
    published: str
    test: Callable[[Results], ClaimResult]
    unit: Unit | None = None
    says: Mapping[Verdict, str] = field(default_factory=dict)
    kind: Kind = "replication"
    needs: Callable[[Any], str | None] | None = None

    def lacking(self, config: Any) -> str | None:
        """What the claim needs more than a config gives; None: nothing."""
        return None if self.needs is None or config is None else self.needs(config)

    def judged(self, results: Results, config: Any = None) -> ClaimResult:
        """What was found here; of a claim that the config cannot answer, that it needs more."""
        lacking = self.lacking(config)
        return self.test(results) if lacking is None else not_applicable(f"it needs {lacking}")

    def ruling(self, found: ClaimResult) -> str:
        """What was found in the claim's own words; the reason, where no figure decided."""
        if not found.measure:
            return found.reason
        said = self.says.get(found.verdict)
        if said is None:
            return found.told
        if not found.tentative:
            return said
        return f"this seed: {said}" if found.replicates == 1 else f"suggests: {said}"


def least_n(reaches: Callable[[int], bool], n: int, most: int = 10_000, name: str = "n") -> str | None:
    """What a claim needs whose interval must be able to reach a bound: `n >= 155`; None where this n will do.

    Args:
        reaches: whether the interval of the best that can happen reaches the bound with so many prompts; once it does, more
            prompts never hurt.
        n: of the config.
        most: where even so many do not, the claim cannot be tested with these seeds.
        name: of the setting that holds n.
    """
    if reaches(n):
        return None
    if not reaches(most):
        return f"more seeds: no number of prompts up to {most} decides it"
    low, high = n, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return f"{name} >= {high} (here {n})"


def at_least(estimate: Estimate, bound: float, what: str) -> ClaimResult:
    """Decide "`what` is at least `bound`".

    For a claim about a direction ("A removes more than B by at least delta") pass the difference A - B and delta:
    `stats.paired_difference`, `stats.difference_over_seeds`, or `stats.independent_difference`.
    """
    verdict: Verdict = "holds" if estimate.low >= bound else "does not hold" if estimate.high < bound else "undecided"
    return _result(estimate, verdict, what, f"be at least {estimate.written(bound)}")


def at_most(estimate: Estimate, bound: float, what: str) -> ClaimResult:
    """Decide "`what` is at most `bound`"."""
    verdict: Verdict = "holds" if estimate.high <= bound else "does not hold" if estimate.low > bound else "undecided"
    return _result(estimate, verdict, what, f"be at most {estimate.written(bound)}")


def effect(estimate: Estimate, margin: float, what: str) -> ClaimResult:
    """Decide "`what` is at least `margin`" against "there is no effect", as one claim with one interval.

    It holds for an effect of at least the margin; it does not hold where there is none as large, and the reason then says
    whether the interval lies within ±`margin` (no effect) or reaches the other side.
    """
    found = at_least(estimate, margin, what)
    if found.verdict != "does not hold":
        return found
    if estimate.high <= -margin:
        told = "The effect goes the other way."
    elif estimate.low >= -margin:
        told = f"There is no effect: the interval lies within ±{estimate.written(margin).lstrip('+')}."
    else:
        told = "There is no such effect; there may be one the other way."
    return replace(found, reason=f"{found.reason} {told}")


def within(estimate: Estimate, low: float, high: float, what: str) -> ClaimResult:
    """Decide "`what` lies within low..high": for claims of no effect, or of a figure up to a tolerance.

    The claim holds only if the whole interval lies within: a difference that was not found may still exist.
    """
    inside = low <= estimate.low and estimate.high <= high
    outside = estimate.high < low or high < estimate.low
    verdict: Verdict = "holds" if inside else "does not hold" if outside else "undecided"
    return _result(estimate, verdict, what, f"lie within {estimate.written(low)} and {estimate.written(high)}")


def differs(estimate: Estimate, none_within: float, what: str) -> ClaimResult:
    """Decide "`what` is not 0", in either direction; the claim does not hold if the interval lies within ±`none_within`."""
    apart = estimate.low > 0 or estimate.high < 0
    none = estimate.low >= -none_within and estimate.high <= none_within
    verdict: Verdict = "holds" if apart else "does not hold" if none else "undecided"
    return _result(estimate, verdict, what, "differ from 0")


def below(estimate: Estimate, none_within: float, what: str) -> ClaimResult:
    """Decide "`what` is below 0"; the claim does not hold if the interval lies above −`none_within` and reaches 0."""
    verdict: Verdict = "holds" if estimate.high < 0 else "does not hold" if estimate.low > -none_within else "undecided"
    return _result(estimate, verdict, what, "be below 0")


def above(estimate: Estimate, none_within: float, what: str) -> ClaimResult:
    """Decide "`what` is above 0"; the claim does not hold if the interval lies below `none_within` and reaches 0."""
    verdict: Verdict = "holds" if estimate.low > 0 else "does not hold" if estimate.high < none_within else "undecided"
    return _result(estimate, verdict, what, "be above 0")


def any_of(results: Sequence[ClaimResult]) -> ClaimResult:
    """A claim that holds if any of several parts holds: the part with the best verdict decides.

    Args:
        results: the parts, at least one.
    """
    if not results:
        raise ValueError("a claim needs at least one part")
    order: tuple[Verdict, ...] = ("holds", "undecided", "not run", "not applicable", "does not hold")
    best = min(results, key=lambda result: order.index(result.verdict))
    if best.verdict != "does not hold":
        return best
    return replace(best, seeds=min(result.replicates for result in results))


def all_of(results: Sequence[ClaimResult], ours: Estimate | None = None) -> ClaimResult:
    """A claim of several parts: holds if all parts hold, does not hold if any part does not, else is undecided.

    Args:
        results: the parts, at least one.
        ours: the figure to show; None: the figure of the part that decided.
    """
    if not results:
        raise ValueError("a claim needs at least one part")
    order: tuple[Verdict, ...] = ("does not hold", "undecided", "not run", "not applicable", "holds")
    verdict = min((part.verdict for part in results), key=order.index)
    decided = [part for part in results if part.verdict == verdict]
    if verdict == "does not hold":  # one part is enough: the one with the most repetitions
        decided.sort(key=lambda part: -part.replicates)
        seeds = decided[0].replicates
    else:
        seeds = min(part.replicates for part in decided)
    reason = " ".join(part.reason for part in decided)
    return replace(decided[0], ours=ours or decided[0].ours, reason=reason, seeds=seeds)


def some(cases: Sequence[T], test: Callable[[T], ClaimResult], what: str) -> ClaimResult:
    """Decide "for some of the cases …"; `what` the cases are, in the plural. One case can neither refute it nor stand for some."""
    return too_few(len(cases), what) or any_of([test(case) for case in cases])


def too_few(count: int, what: str) -> ClaimResult | None:
    """Not applicable, where a statement about some of the cases, or all, has too few of them; None where there are enough."""
    if count >= FEWEST_CASES:
        return None
    return not_applicable(f"a statement about {what} in general needs {FEWEST_CASES} of them, and there {'is' if count == 1 else 'are'} {count}")  # fmt: skip


def while_able(ability: Sequence[Estimate], result: ClaimResult, least: float = 0.8) -> ClaimResult:
    """The result, if the model still works where it was measured: of a ruined model, a behaviour that returns says nothing.

    Args:
        ability: the share of the untouched model's ability at every step that the result rests on.
        least: share of it that must be left there.
    """
    worst = min(ability, key=lambda one: one.value)
    if worst.value >= least:
        return result
    return not_applicable(f"the model keeps only {worst} of its ability there, less than {percent(least)}", result.ours)


def not_run(what: str) -> ClaimResult:
    """The verdict on a claim for which these results lack the runs, e.g. `not_run("SOAP organisms")`."""
    return ClaimResult(None, "not run", f"Not run here: {what}.")


def not_applicable(why: str, ours: Estimate | None = None) -> ClaimResult:
    """The verdict on a claim that these data cannot bear on, whatever is run, e.g. `not_applicable("there is one size")`."""
    return ClaimResult(ours, "not applicable", f"Not applicable here: {why}.")


def _result(estimate: Estimate, verdict: Verdict, what: str, requirement: str) -> ClaimResult:
    reason = f"{what} must {requirement}; here it is {estimate} ({estimate.method})."
    return ClaimResult(estimate, verdict, reason, what)
