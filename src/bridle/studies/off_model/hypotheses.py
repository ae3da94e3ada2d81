"""The four explanations of the damage, each with the measurement that could rule it out.

H1: the student imitates a teacher that reasons badly. H2: the data are improbable under the student. H3: SFT disturbs the
weights as noise would. H4: the student is pushed into a style of reasoning that it uses badly.

They explain a fall: where there is none beyond chance, none of them is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bridle.stats import Estimate, difference_over_seeds
from bridle.studies.off_model.falls import ALIKE, largest_fall
from bridle.studies.off_model.noise import MATCHED, noise_gap, unmatched
from bridle.studies.off_model.results import Cell, OffModelResults, lost
from bridle.studies.off_model.slope import NEEDS, slope_on_teacher
from bridle.studies.off_model.switching import FEWEST_KEPT, expected, explained, kept, own_and_other

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
    found = [*_dumb_teacher(results), *_perplexity(results), *_noise(results), *_style(results)]
    return [_of_a_fall(results, one) for one in found]


def _of_a_fall(results: OffModelResults, finding: Finding) -> Finding:
    """The finding, not applicable where the students that it is about have not fallen: there is nothing to explain."""
    plain, of_plain = results.plain, finding.hypothesis.startswith(("H2", "H3"))
    if of_plain and plain is not None and not lost(plain, results.reasoning):
        why = f"SFT on {plain.teacher} cost {plain.student} nothing beyond chance"
    elif not of_plain and not _fallen(results):
        why = f"no off-model teacher cost {results.reasoning} anything beyond chance"
    else:
        return finding
    return finding if finding.ruling == "not run" else replace(finding, ruling="not applicable", why=why)


def _fallen(results: OffModelResults) -> list[Cell]:
    return [cell for cell in results.off_model if lost(cell, results.reasoning)]


def _dumb_teacher(results: OffModelResults) -> Iterator[Finding]:
    name = "H1 weak teacher"
    by, what = "teachers as able as the student", "largest change with a teacher as able as the student"
    strong = largest_fall(results, results.as_able())
    if strong is None:
        yield Finding(name, by, what, "0: no fall", None, "not run", why="no teacher is surely as able")
    else:
        ruling: Ruling = "ruled out" if strong.high < 0 else "not ruled out" if strong.low > -ALIKE else "undecided"
        yield Finding(name, by, what, "0: no fall", strong, ruling)
    by, what = "the slope on the teachers' own accuracy", "change per point of the teacher's own accuracy"
    slope = slope_on_teacher(results)
    if slope is None:
        yield Finding(name, by, what, "above 0", None, "not run", "plain", f"it takes {NEEDS}")
        return
    ruling = "not ruled out" if slope.low > 0 else "ruled out" if slope.high <= 0 else "undecided"
    yield Finding(name, by, what, "above 0", slope, ruling, "plain")


def _perplexity(results: OffModelResults) -> Iterator[Finding]:
    name = "H2 perplexity"
    by, difference = "the halves by perplexity", halves(results)
    what = "accuracy after the improbable half of the answers minus after the probable half"
    if difference is None:
        yield Finding(name, by, what, "below 0", None, "not run", why="arms low-perplexity and high-perplexity")
    else:
        ruling: Ruling = (
            "not ruled out" if difference.high < 0 else "ruled out" if difference.low > -ALIKE else "undecided"
        )
        yield Finding(name, by, what, "below 0", difference, ruling)
    by, hot = "own improbable answers", own_hot(results)
    what = "accuracy after own answers sampled as improbable as the teacher's minus after the teacher's"
    if hot is None:
        yield Finding(name, by, what, "at most 0", None, "not run", why="arm own-hot, hot enough")
    else:
        ruling = "ruled out" if hot.low > 0 else "not ruled out" if hot.high < ALIKE else "undecided"
        yield Finding(name, by, what, "at most 0", hot, ruling)
    yield _clipped(results)


def _clipped(results: OffModelResults) -> Finding:
    """No fall is no proof: the style's own words are among the tokens that are left out."""
    arm = results.arm("clipped")
    by = "leaving improbable tokens out"
    what = "change after the teacher's answers without the tokens that the student finds improbable"
    if arm is None:
        return Finding("H2 perplexity", by, what, "0: no fall", None, "not run", why="arm clipped")
    change = arm.change(results.reasoning)
    ruling: Ruling = "ruled out" if change.high < 0 else "not ruled out" if change.low > -ALIKE else "undecided"
    return Finding("H2 perplexity", by, f"{what} ({np.mean(arm.trained):.0%} left)", "0: no fall", change, ruling)


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
        difference, why = noise_gap(results, noise), unmatched(results, noise)
        if why is not None:
            yield Finding("H3 noise", by, what, "0", None, "not applicable", why=why)
        elif difference is None:
            yield Finding("H3 noise", by, what, "0", None, "not run", why="arms.noise")
        else:
            apart = difference.low > ALIKE or difference.high < -ALIKE
            alike = difference.low > -ALIKE and difference.high < ALIKE
            ruling: Ruling = "ruled out" if apart else "not ruled out" if alike else "undecided"
            yield Finding("H3 noise", by, what, "0", difference, ruling)


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
    if gap is None:
        why = unheard or "the untouched student's skill in those styles is not known"
        yield Finding(name, by, what, "0", None, "not run", why=why)
        return
    near = gap.low > -2 * ALIKE and gap.high < 2 * ALIKE
    far = gap.low > 2 * ALIKE or gap.high < -2 * ALIKE
    yield Finding(name, by, what, "0", gap, "supported" if near else "ruled out" if far else "undecided")


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
