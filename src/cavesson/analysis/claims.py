"""Claims: published statements, each with the test that decides it here.

A claim holds, does not hold, or is undecided, and it is the interval that says so, never the point estimate. That a
published statement does not hold in this world, or cannot be decided with these seeds and prompts, is a result like any
other. Each claim is tested at 95 % on its own: of forty true borderline statements one expects one to fail on each side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from cavesson.stats import Estimate

Verdict = Literal["holds", "does not hold", "undecided"]

Results = TypeVar("Results")
"""What a study hands to its claims."""


@dataclass(frozen=True)
class ClaimResult:
    """What was found here.

    Attributes:
        ours: the figure that decided, if there is one.
        verdict: `holds`, `does not hold` or `undecided`.
        reason: the verdict in a sentence.
    """

    ours: Estimate | None
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Claim(Generic[Results]):
    """One published statement.

    Attributes:
        id: short stable name, e.g. `pirate-beats-hhh`.
        source: where it was published.
        statement: what it says, in words that this study can test.
        published: the published figure, as printed.
        test: from the study's results to what was found here.
        unit: how the figure is written: a share, a difference of shares, or a plain number (an AUC).
    """

    id: str
    source: str
    statement: str
    published: str
    test: Callable[[Results], ClaimResult]
    unit: Literal["percent", "points", "plain"] = "points"


def judge(claims: Sequence[Claim[Results]], results: Results) -> list[tuple[Claim[Results], ClaimResult]]:
    """Test every claim, in order.

    Raises:
        ValueError: two claims with one id.
    """
    twice = [name for name, count in Counter(claim.id for claim in claims).items() if count > 1]
    if twice:
        raise ValueError(f"claims need ids of their own, but {', '.join(twice)} is used more than once")
    return [(claim, claim.test(results)) for claim in claims]


def at_least(estimate: Estimate, bound: float, what: str) -> ClaimResult:
    """Decide "`what` is at least `bound`".

    For a direction claim ("A removes more than B by at least delta") hand in the difference A - B and delta:
    `stats.paired_difference`, `stats.difference_over_seeds`, or `stats.independent_difference`.
    """
    verdict: Verdict = "holds" if estimate.low >= bound else "does not hold" if estimate.high < bound else "undecided"
    return _result(estimate, verdict, f"{what} must be at least {bound:g}")


def at_most(estimate: Estimate, bound: float, what: str) -> ClaimResult:
    """Decide "`what` is at most `bound`"."""
    verdict: Verdict = "holds" if estimate.high <= bound else "does not hold" if estimate.low > bound else "undecided"
    return _result(estimate, verdict, f"{what} must be at most {bound:g}")


def within(estimate: Estimate, low: float, high: float, what: str) -> ClaimResult:
    """Decide "`what` lies within low..high": for claims of no effect, or of a figure up to a tolerance.

    It holds only if the whole interval lies within: not having found a difference does not show that there is none.
    """
    inside = low <= estimate.low and estimate.high <= high
    outside = estimate.high < low or high < estimate.low
    verdict: Verdict = "holds" if inside else "does not hold" if outside else "undecided"
    return _result(estimate, verdict, f"{what} must lie within {low:g} and {high:g}")


def all_of(results: Sequence[ClaimResult], ours: Estimate | None = None) -> ClaimResult:
    """A claim of several parts: holds if all do, does not hold if any does not, else it is undecided.

    Args:
        results: the parts, at least one.
        ours: the figure to show; by default that of the part that decided.
    """
    if not results:
        raise ValueError("a claim needs at least one part")
    for verdict in ("does not hold", "undecided"):
        deciding = [result for result in results if result.verdict == verdict]
        if deciding:
            return ClaimResult(ours or deciding[0].ours, verdict, " ".join(result.reason for result in deciding))
    return ClaimResult(ours or results[0].ours, "holds", " ".join(result.reason for result in results))


def not_run(what: str) -> ClaimResult:
    """The verdict on a claim for which these results lack the runs, e.g. `not_run("SOAP organisms")`."""
    return ClaimResult(None, "undecided", f"Not run here: {what}.")


def not_applicable(why: str) -> ClaimResult:
    """The verdict on a claim that these data cannot bear on, whatever is run, e.g. `not_applicable("there is one size")`."""
    return ClaimResult(None, "undecided", f"Not applicable here: {why}.")


def _result(estimate: Estimate, verdict: Verdict, requirement: str) -> ClaimResult:
    return ClaimResult(estimate, verdict, f"{requirement}; here it is {estimate} ({estimate.method}).")
