"""Claims: published statements, each with the test that decides it here.

A claim holds, does not hold, or is undecided; the interval decides, never the point estimate. "Does not hold in this world"
and "cannot be decided with these seeds and prompts" are results like any other. Each claim is tested at 95 % on its own: among
forty true borderline statements, about one fails on each side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from cavesson.stats import Estimate, Unit

Verdict = Literal["holds", "does not hold", "undecided"]

Results = TypeVar("Results")
"""What a study hands to its claims."""


@dataclass(frozen=True)
class ClaimResult:
    """What was found here.

    Attributes:
        ours: the figure that decided; None: there is none.
        verdict: `holds`, `does not hold` or `undecided`.
        reason: the verdict in a sentence.
        measure: what the figure measures, in words; empty where there is no figure.
    """

    ours: Estimate | None
    verdict: Verdict
    reason: str
    measure: str = ""


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
    """

    id: str
    source: str
    statement: str
    published: str
    test: Callable[[Results], ClaimResult]
    unit: Unit | None = None
    says: Mapping[Verdict, str] = field(default_factory=dict)

    def ruling(self, found: ClaimResult) -> str:
        """What was found in the claim's own words; the reason, where no figure decided."""
        return self.says.get(found.verdict, found.verdict) if found.measure else found.reason


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
    order: tuple[Verdict, ...] = ("holds", "undecided", "does not hold")
    return min(results, key=lambda result: order.index(result.verdict))


def all_of(results: Sequence[ClaimResult], ours: Estimate | None = None) -> ClaimResult:
    """A claim of several parts: holds if all parts hold, does not hold if any part does not, else is undecided.

    Args:
        results: the parts, at least one.
        ours: the figure to show; None: the figure of the part that decided.
    """
    if not results:
        raise ValueError("a claim needs at least one part")
    decided = next(
        (found for v in ("does not hold", "undecided") if (found := [part for part in results if part.verdict == v])),
        list(results),
    )
    reason = " ".join(part.reason for part in decided)
    return ClaimResult(ours or decided[0].ours, decided[0].verdict, reason, decided[0].measure)


def not_run(what: str) -> ClaimResult:
    """The verdict on a claim for which these results lack the runs, e.g. `not_run("SOAP organisms")`."""
    return ClaimResult(None, "undecided", f"Not run here: {what}.")


def not_applicable(why: str, ours: Estimate | None = None) -> ClaimResult:
    """The verdict on a claim that these data cannot bear on, whatever is run, e.g. `not_applicable("there is one size")`."""
    return ClaimResult(ours, "undecided", f"Not applicable here: {why}.")


def _result(estimate: Estimate, verdict: Verdict, what: str, requirement: str) -> ClaimResult:
    reason = f"{what} must {requirement}; here it is {estimate} ({estimate.method})."
    return ClaimResult(estimate, verdict, reason, what)
