"""The four explanations of the damage, each with the measurement that could rule it out.

H1: the student imitates a teacher that reasons badly. H2: the data are improbable under the student. H3: SFT disturbs the
weights as noise would. H4: the student is pushed into a style of reasoning that it uses badly.

They explain a fall: where there is none beyond chance, none of them is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cavesson.stats import Estimate, difference_over_seeds
from cavesson.studies.off_model.falls import ALIKE, largest_fall
from cavesson.studies.off_model.noise import MATCHED, noise_gap, unmatched
from cavesson.studies.off_model.results import Cell, OffModelResults, lost
from cavesson.studies.off_model.slope import NEEDS, slope_on_teacher
from cavesson.studies.off_model.switching import FEWEST_KEPT, expected, explained, kept, own_and_other

Ruling = Literal["ruled out", "not ruled out", "supported", "undecided", "not run", "not applicable"]
Unit = Literal["points", "percent", "plain"]

ALL = 0.95
"""Where at least so many traces switched style, all of the fall lies in them, whatever caused it."""

MOST = 0.8
"""A fall that has nothing to do with style lies in traces that switched as often as traces switched; one that has, lies in them
more often than that, and mostly."""


@dataclass(frozen=True)
class Finding:
    """One measurement that bears on a hypothesis.

    Attributes:
        by: the measurement in a few words.
        what: its figure in a sentence; predicts: what the hypothesis says that should be.
        ours: the figure; unit: "points" for differences of accuracy, "percent" for shares, "plain" for slopes.
        why: where it was not run or is not applicable, the reason.
    """

    hypothesis: str
    by: str
    what: str
    predicts: str
    ours: Estimate | None
    ruling: Ruling
    unit: Unit = "points"
    why: str = ""


def findings(results: OffModelResults) -> list[Finding]:
    """All of them, in order; those without their runs are there as "not run"."""
    nothing = None if _fallen(results) else f"no off-model teacher cost {results.reasoning} anything beyond chance"
    return [
        *_of_a_fall(_dumb_teacher(results), nothing),
        *_of_a_fall(_perplexity(results), results.spared),
        *_of_a_fall(_noise(results), results.spared),
        *_of_a_fall(_style(results), nothing),
    ]


def _of_a_fall(found: Iterable[Finding], why: str | None) -> Iterator[Finding]:
    """The findings, not applicable where the students that they are about have not fallen, and why: nothing is to be explained."""
    for one in found:
        yield one if why is None or one.ruling == "not run" else replace(one, ruling="not applicable", why=why)


def _fallen(results: OffModelResults) -> list[Cell]:
    return [cell for cell in results.off_model if lost(cell, results.reasoning)]


def _judged(
    hypothesis: str,
    by: str,
    what: str,
    predicts: str,
    ours: Estimate | None,
    rule: Callable[[Estimate], Ruling],
    lacking: str,
    unit: Unit = "points",
) -> Finding:
    """What the rule makes of the figure; not run, for want of what is lacking, where there is none."""
    if ours is None:
        return Finding(hypothesis, by, what, predicts, None, "not run", unit, lacking)
    return Finding(hypothesis, by, what, predicts, ours, rule(ours), unit)


def _by_no_fall(change: Estimate) -> Ruling:
    """Of a hypothesis that predicts that there is none."""
    return "ruled out" if change.high < 0 else "not ruled out" if change.low > -ALIKE else "undecided"


def _by_rise(slope: Estimate) -> Ruling:
    return "not ruled out" if slope.low > 0 else "ruled out" if slope.high <= 0 else "undecided"


def _by_worse(gap: Estimate) -> Ruling:
    return "not ruled out" if gap.high < 0 else "ruled out" if gap.low > -ALIKE else "undecided"


def _by_no_better(gap: Estimate) -> Ruling:
    return "ruled out" if gap.low > 0 else "not ruled out" if gap.high < ALIKE else "undecided"


def _by_alike(gap: Estimate) -> Ruling:
    apart = gap.low > ALIKE or gap.high < -ALIKE
    return "ruled out" if apart else "not ruled out" if gap.low > -ALIKE and gap.high < ALIKE else "undecided"


def _by_foretold(gap: Estimate) -> Ruling:
    near = gap.low > -2 * ALIKE and gap.high < 2 * ALIKE
    far = gap.low > 2 * ALIKE or gap.high < -2 * ALIKE
    return "supported" if near else "ruled out" if far else "undecided"


def _dumb_teacher(results: OffModelResults) -> Iterator[Finding]:
    name = "H1 weak teacher"
    by, what = "teachers as able as the student", "largest change with a teacher as able as the student"
    strong = largest_fall(results, results.as_able())
    yield _judged(name, by, what, "0: no fall", strong, _by_no_fall, "no teacher is surely as able")
    by, what = "the slope on the teachers' own accuracy", "change per point of the teacher's own accuracy"
    slope = slope_on_teacher(results)
    yield _judged(name, by, what, "above 0", slope, _by_rise, f"it takes {NEEDS}", "plain")


def _perplexity(results: OffModelResults) -> Iterator[Finding]:
    name = "H2 perplexity"
    by, what = (
        "the halves by perplexity",
        "accuracy after the improbable half of the answers minus after the probable half",
    )
    yield _judged(name, by, what, "below 0", halves(results), _by_worse, "arms low-perplexity and high-perplexity")
    by = "own improbable answers"
    what = "accuracy after own answers sampled as improbable as the teacher's minus after the teacher's"
    yield _judged(name, by, what, "at most 0", own_hot(results), _by_no_better, "arm own-hot, hot enough")
    # that nothing falls there is no proof: the style's own words are among the tokens that are left out
    by, arm = "leaving improbable tokens out", results.arm("clipped")
    what = "change after the teacher's answers without the tokens that the student finds improbable"
    left = "" if arm is None else f" ({np.mean(arm.trained):.0%} left)"
    change = None if arm is None else arm.change(results.reasoning)
    yield _judged(name, by, f"{what}{left}", "0: no fall", change, _by_no_fall, "arm clipped")


def halves(results: OffModelResults) -> Estimate | None:
    """Accuracy after the high-perplexity half minus after the low-perplexity half; None if they were not run."""
    high, low = (results.arm(f"{half}-perplexity") for half in ("high", "low"))
    if high is None or low is None:
        return None
    return difference_over_seeds(high.at_end(results.reasoning), low.at_end(results.reasoning))


def own_hot(results: OffModelResults) -> Estimate | None:
    """Accuracy after own improbable answers minus after the teacher's; None unless they are at least as improbable."""
    arm, plain = results.arm("own-hot"), results.plain
    if arm is None or plain is None or np.mean(arm.losses) < np.mean(plain.losses):
        return None
    return difference_over_seeds(arm.at_end(results.reasoning), plain.array(results.reasoning, plain.last))


def _noise(results: OffModelResults) -> Iterator[Finding]:
    for noise in MATCHED:
        by, what = f"{noise.shape} of the same {noise.match}", f"accuracy after {noise}, minus after SFT"
        why = unmatched(results, noise)
        if why is not None:
            yield Finding("H3 noise", by, what, "0", None, "not applicable", why=why)
        else:
            yield _judged("H3 noise", by, what, "0", noise_gap(results, noise), _by_alike, "arms.noise")


def _style(results: OffModelResults) -> Iterator[Finding]:
    name, heard = "H4 unfamiliar style", _heard_and_fallen(results)
    unheard = "" if heard else "no voices are known"
    by, share = "the share of the fall in other voices", explained_share(results)
    what = "share of the fall in traces that switched style"
    if share is None:
        yield Finding(name, by, what, "1", None, "not run", "percent", unheard)
    elif (switched := _switched(results)) >= ALL:
        why = "nearly every trace switched, so that it could be nothing else"
        yield Finding(name, by, what, "1", share, "not applicable", "percent", why)
    else:
        supported = share.low >= max(MOST, switched)
        ruling: Ruling = "supported" if supported else "ruled out" if share.high < 0.5 else "undecided"
        yield Finding(name, by, what, "1", share, ruling, "percent")
    by, stayed = "traces that kept their voice", kept_voice(results)
    what = "change of accuracy of traces that stayed in the own voice, of students that fell"
    if stayed is None:
        few = f"fewer than {FEWEST_KEPT} traces did"
        yield Finding(name, by, what, "0", None, "not applicable" if heard else "not run", why=unheard or few)
    else:
        ruling = "supported" if stayed.low > -ALIKE else "ruled out" if stayed.high < -ALIKE else "undecided"
        yield Finding(name, by, what, "0", stayed, ruling)
    by, gap = "the change foretold from skill in that style", foretold(results)
    what = "change minus the change foretold from the untouched student's skill in that style"
    lacking = unheard or "the untouched student's skill in those styles is not known"
    yield _judged(name, by, what, "0", gap, _by_foretold, lacking)


def _heard_and_fallen(results: OffModelResults) -> list[Cell]:
    """Off-model cells that fell and whose voices are known."""
    return [cell for cell in _fallen(results) if cell.hears(results.reasoning)]


def explained_share(results: OffModelResults) -> Estimate | None:
    """The share of the fall, over all cells that fell, that lies in traces whose voice has changed."""
    cells = _heard_and_fallen(results)
    return explained(cells, results.reasoning) if cells else None


def _switched(results: OffModelResults) -> float:
    """The share of the traces that are in another voice at the end, over all cells that fell."""
    label = results.reasoning
    return float(np.mean([own_and_other(cell, label, cell.last)[1] for cell in _heard_and_fallen(results)]))


def foretold(results: OffModelResults) -> Estimate | None:
    """Measured minus foretold accuracy at the end, averaged over cells that fell and whose styles are known."""
    label = results.reasoning
    pairs = [(cell, skill) for cell in _fallen(results) if (skill := expected(results, cell)) is not None]
    if not pairs:
        return None
    measured = np.mean([cell.array(label, cell.last) for cell, _ in pairs], axis=0)
    return difference_over_seeds(measured, np.mean([skill for _, skill in pairs], axis=0))


def kept_voice(results: OffModelResults) -> Estimate | None:
    """The change at the end of traces that are in the student's own voice after SFT too, in cells that fell: a teacher that
    changed nothing says nothing about what a fall is made of. None where they are too few."""
    return kept(_heard_and_fallen(results), results.reasoning)
