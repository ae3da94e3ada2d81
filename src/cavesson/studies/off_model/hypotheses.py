"""The four explanations of the damage, each with the measurements that could rule it out.

H1: the student imitates a teacher that reasons badly. H2: the data are improbable under the student. H3: SFT disturbs the
weights as noise would. H4: the student is pushed into a style of reasoning that it uses badly. They explain a degradation: where
nothing degraded beyond chance, none of them is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from cavesson.analysis.claims import FEWEST_SEEDS, Claim, ClaimResult, Verdict, above, at_least, below, within
from cavesson.estimate import Estimate
from cavesson.studies.grid import Measured
from cavesson.studies.off_model.arms import MATCHED
from cavesson.studies.off_model.readings import (
    ALIKE,
    able_teachers,
    degraded_plain,
    degraded_runs,
    halves,
    hardest_teacher,
    noise_gap,
    own_hot,
    slope_on_teacher,
    under,
)
from cavesson.studies.off_model.styles import beyond_skill, in_style, in_switched, kept_style, styled
from cavesson.studies.sample import NotApplicable
from cavesson.studies.shown import claim
from cavesson.studies.sources import WHY

FOR: Mapping[Verdict, str] = {"holds": "not ruled out", "does not hold": "ruled out"}
AGAINST: Mapping[Verdict, str] = {"holds": "ruled out", "does not hold": "not ruled out"}
SUPPORTS: Mapping[Verdict, str] = {"holds": "supported", "does not hold": "ruled out"}
"""What becomes of a hypothesis: the measurement is what the hypothesis predicts, is what it excludes, or speaks for it."""

ALL = 0.95
"""Where at least so many traces switched style, all of the degradation lies in them, whatever caused it."""

MOSTLY = 0.8
"""A degradation that has nothing to do with style lies in traces that switched as often as traces switched; one that has, lies in
them more often than that, and mostly."""


def _measure(
    by: str,
    what: str,
    predicts: str,
    says: Mapping[Verdict, str],
    figure: Callable[[Measured], Estimate],
    decide: Callable[..., ClaimResult],
    *bounds: float,
    applies: Callable[[Measured], object] = degraded_plain,
) -> Claim[Measured]:
    """One measurement that bears on a hypothesis; not applicable, though the figure is shown, where nothing degraded."""

    def test(m: Measured) -> ClaimResult:
        found = figure(m)
        try:
            applies(m)
        except NotApplicable as why:
            raise NotApplicable(str(why), found) from None
        return decide(found, *bounds, what)

    return claim(by, what, predicts, test, source=WHY, says=says)


_of_runs = partial(_measure, applies=degraded_runs)


def share_of_switched(m: Measured) -> ClaimResult:
    """Whether most of a degradation lies in traces that switched style, and more of it than of the traces."""
    places, what = styled(m), "share of the fall in traces that switched style"
    found, switched = in_switched(places), float(np.mean([in_style(place, "another") for place in places]))
    if switched >= ALL:
        raise NotApplicable("nearly every trace switched, so that it could be nothing else", found)
    supported = at_least(found, max(MOSTLY, switched), what)
    return supported if supported.verdict == "holds" or found.high < 0.5 else replace(supported, verdict="undecided")


HYPOTHESES: Mapping[str, Sequence[Claim[Measured]]] = {
    "H1 weak teacher": (
        _of_runs("teachers as able as the student",
            "largest change with a teacher as able as the student", "0: no fall",
            AGAINST, lambda m: hardest_teacher(able_teachers(m)), below, ALIKE),
        _of_runs("the slope on the teachers' own accuracy",
            "change per point of the teacher's own accuracy", "above 0",
            FOR, slope_on_teacher, at_least, 0),
    ),
    "H2 perplexity": (
        _measure("the halves by perplexity",
            "accuracy after the improbable half of the answers minus after the probable half", "below 0",
            FOR, halves, below, ALIKE),
        _measure("own improbable answers",
            "accuracy after own answers sampled as improbable as the teacher's minus after the teacher's", "at most 0",
            AGAINST, own_hot, above, ALIKE),
        # that nothing falls here is no proof: the style's own words are among the tokens that are left out
        _measure("leaving improbable tokens out",
            "change after the teacher's answers without the tokens that the student finds improbable", "0: no fall",
            AGAINST, partial(under, name="clipped"), below, ALIKE),
    ),
    "H3 noise": tuple(
        _measure(f"{move.shape} of the same {move.match}", f"accuracy after {move}, minus after SFT", "0",
            FOR, partial(noise_gap, move=move), within, -ALIKE, ALIKE)
        for move in MATCHED
    ),
    "H4 unfamiliar style": (
        claim("the share of the fall in other styles",
            "share of the fall in traces that switched style", "1",
            share_of_switched, source=WHY, says=SUPPORTS),
        _of_runs("traces that kept their style",
            "change of accuracy of traces that stayed in the own style, of students that fell", "0",
            SUPPORTS, kept_style, at_least, -ALIKE),
        _of_runs("the change foretold from skill in that style",
            "change minus the change foretold from the untouched student's skill in that style", "0",
            SUPPORTS, beyond_skill, within, -2 * ALIKE, 2 * ALIKE),
    ),
}  # fmt: skip
"""The four explanations, each with the measurements that could rule it out."""

BY = {"ruled out by": ("ruled out",), "supported by": ("supported",), "not by": ("undecided", "not ruled out")}
"""How a headline tells of rulings."""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def rulings_told(m: Measured) -> Iterator[str]:
    """What became of each hypothesis, and by which measurement."""
    found = {name: [(one, one.judged(m, m.config)) for one in measures] for name, measures in HYPOTHESES.items()}
    undecided = True
    for name, rows in found.items():
        by: dict[str, list[str]] = {verb: [] for verb in BY}
        for one, ruled in rows:
            stance = one.says.get(ruled.verdict, ruled.verdict) if ruled.measure else ""
            for verb in (verb for verb, said in BY.items() if stance in said):
                by[verb].append(one.id)
        if by["ruled out by"] or by["supported by"]:
            undecided = False
            fewest = min(ruled.replicates for _, ruled in rows if ruled.measure)
            few = f" ({fewest} seed{'s' if fewest > 1 else ''}: a hint)" if fewest < FEWEST_SEEDS else ""
            yield f"{name}: {'; '.join(f'{verb} {_listed(names)}' for verb, names in by.items() if names)}{few}."
    if undecided:
        why = {ruled.reason for rows in found.values() for _, ruled in rows if ruled.ours is not None and not ruled.measure}  # fmt: skip
        yield " ".join(["No hypothesis is decided here.", *(why if len(why) == 1 else ())])
