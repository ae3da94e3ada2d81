"""Approach 5 of the study `evaluate`, thinking: a structured argument whose leaves are the figures of the other approaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cavesson.analysis.claims import FEWEST_SEEDS
from cavesson.argument import Judged, default_argument, judge, load_argument
from cavesson.estimate import Estimate
from cavesson.findings.card import ApproachView, Ruling
from cavesson.studies.evaluate_figures import approach_view
from cavesson.studies.grid import Measured

NAMES = {
    "malign inits": "zoo_removed",
    "rigged": "rigged_removed",
    "analogies": "analogies_removed",
    "production": "production_saved",
}
"""Approach → the name under which an argument finds its figure."""

RULED: dict[str, Ruling] = {
    "supported": "works",
    "judgement": "works",
    "open": "undecided",
    "contradicted": "does not work",
}


def figures_of(approaches: Sequence[ApproachView], extra: Mapping[str, Estimate] | None = None) -> dict[str, Estimate]:
    """The figures of the artifact `card`: each approach's own, its further ones under their names, and `extra`.

    Several approaches may give further figures of the same name; an argument finds such a figure as `rigged.over_benign`, and the name
    alone is that of the malign inits, where they have one.
    """
    found: dict[str, Estimate] = {}
    for one in sorted(approaches, key=lambda one: [*NAMES, one.id].index(one.id)):
        if one.figure is not None and one.id in NAMES:
            found[NAMES[one.id]] = one.figure
        for name, figure in one.figures.items():
            found.setdefault(name, figure)
            found[f"{one.id.replace(' ', '-')}.{name}"] = figure
    return {**found, **(extra or {})}


def argument(
    m: Measured,
    intervention: str,
    file: Path | None,
    approaches: Sequence[ApproachView],
    extra: Mapping[str, Estimate] | None = None,
) -> tuple[ApproachView, dict[str, Any]]:
    """What the argument comes to, and its tree.

    Args:
        file: an argument of the user's; None: the default one.
        approaches: the other approaches, whose figures are the artifact `card`.
        extra: further figures of the card, by name.

    Raises:
        ConfigError: the file is no argument.
    """
    read = default_argument(intervention) if file is None else load_argument(file)
    usual = {name for node in default_argument("").nodes.values() if (name := node.figure) is not None}
    judged = judge(read, {"card": figures_of(approaches, extra)}, unmeasured=usual)
    return view_of(judged, seeds=len({seed for place in m for seed in place.seeds})), judged.as_tree()


def view_of(judged: Judged, seeds: int) -> ApproachView:
    """A judged argument as an approach of the card; figures of fewer than five seeds decide nothing."""
    leaves, few = judged.count("judgement"), seeds < FEWEST_SEEDS
    return approach_view(
        "argument",
        measured="state of the root claim: a claim is as strong as the weakest leaf that it rests on",
        verdict="undecided" if few else RULED[judged.state],
        reason=f"{judged.sentence} No verdict from fewer than {FEWEST_SEEDS} seeds." if few else judged.sentence,
        seeds=seeds,
        loopholes=[
            "A doubt that nobody has written down brings down nothing.",
            f"{leaves} of the leaves {'is' if leaves == 1 else 'are'} judged, not measured.",
        ],
        would_change=_would_change(judged),
    )


def _would_change(judged: Judged) -> str:
    """The leaves that decide."""
    weak = [node.id for node in judged.nodes.values() if not node.children and node.state in ("contradicted", "open")]
    return (
        f"Other figures or judgements for the leaves {', '.join(weak)} of the argument below."
        if weak
        else "A figure that contradicts a leaf, or a doubt that holds."
    )
