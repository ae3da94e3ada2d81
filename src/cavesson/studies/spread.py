"""How much seeds and prompts count for in a study, and what would decide its claims."""

from __future__ import annotations

from cavesson.analysis.claims import FEWEST_SEEDS, ClaimResult
from cavesson.analysis.variance import Variance, average, decomposed, seeds_to_decide
from cavesson.findings.views import TableView
from cavesson.studies.grid import Measured, NotRun


def variances(m: Measured) -> dict[str, list[Variance]]:
    """The parts of variance of every evaluation, at the last step of every main run with several seeds."""
    found: dict[str, list[Variance]] = {}
    for place in m:
        try:
            for label in place.evals():
                table = place.sample(label, -1 if place.steps() else None).table
                if min(table.shape) > 1:
                    found.setdefault(label, []).append(decomposed(table))
        except NotRun:
            continue
    return found


def variance_table(m: Measured) -> TableView | None:
    """What chance in a figure of one seed comes from; None where no run has several seeds."""
    rows: list[list[str | None]] = []
    for label, parts in variances(m).items():
        mean = average(parts)
        shares = [f"{share:.0%}" for share in mean.shares.values()] if any(mean.shares.values()) else ["–"] * 3
        rows.append([label, str(mean.n), f"{100 * mean.sd_of_seeds:.0f} points", *shares])
    if not rows:
        return None
    return TableView(
        title="Where the chance comes from",
        caption="The variance of one seed's figure at the end of a run, averaged over all runs: how far seeds lie apart (standard "
        "deviation), and the shares of the seeds, of the prompts that all seeds were asked, and of a seed's own luck with a prompt. "
        "Where seeds have nearly all of it, more prompts decide nothing.",
        columns=[
            "evaluation",
            "prompts",
            "between seeds",
            "share of seeds",
            "of prompts",
            "of a seed's luck with a prompt",
        ],
        rows=rows,  # type: ignore[arg-type]
    )


def what_would_decide(found: ClaimResult, seeds: int, seconds: float) -> str:
    """How many more seeds would decide a claim, and at which cost, in a sentence; empty where it is decided or nothing is known.

    Args:
        found: how the claim came out.
        seeds: of the study.
        seconds: of work that one more seed of the whole study takes.
    """
    if found.ours is None or not (found.verdict == "undecided" or found.tentative):
        return ""
    if len(found.ours.each) < 2 or found.bound is None:
        return f"There is a verdict from {FEWEST_SEEDS} seeds on." if seeds < FEWEST_SEEDS else ""
    needed = seeds_to_decide(found.ours, found.bound)
    if needed is None:
        return "With the present mean and spread no reasonable number of seeds would decide it."
    if found.replicates != seeds:  # pairs or organisms are the random units
        return f"With the present mean and spread, about {needed} pairs or organisms would decide it (here {found.replicates})."
    more = max(needed - seeds, 1)
    return (
        f"With the present mean and spread, about {needed} seeds would decide it: {more} more"
        + (f", some {_time(more * seconds)} of work for the whole study" if seconds else "")
        + "."
    )


def _time(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
