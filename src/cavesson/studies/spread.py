"""How much seeds and prompts count for in a study."""

from __future__ import annotations

from cavesson.analysis.variance import Variance, average, decomposed
from cavesson.figures import percent
from cavesson.findings.views import TableView
from cavesson.studies.grid import Measured
from cavesson.studies.sample import NotRun


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
        shares = [percent(share, 0) for share in mean.shares.values()] if any(mean.shares.values()) else ["–"] * 3
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
