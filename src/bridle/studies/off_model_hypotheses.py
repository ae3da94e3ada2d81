"""The four explanations of the damage, each with the measurement that could rule it out.

H1: the student imitates a teacher that reasons badly. H2: the data are improbable under the student. H3: SFT disturbs the
weights as noise would. H4: the student is pushed into a style of reasoning that it uses badly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress
from typing import Literal

import numpy as np

from bridle.stats import Estimate, difference_over_seeds, from_draws, prompt_weights
from bridle.studies.off_model_falls import ALIKE, largest_fall
from bridle.studies.off_model_noise import MATCHED, noise_gap
from bridle.studies.off_model_results import OffModelResults, lost, own_voice
from bridle.studies.off_model_switching import expected, switching

Ruling = Literal["ruled out", "not ruled out", "supported", "undecided", "not run"]

ALL = 0.95
"""Where at least so many traces switched style, all of the fall lies in them, whatever caused it."""


@dataclass(frozen=True)
class Finding:
    """One measurement that bears on a hypothesis.

    Attributes:
        predicts: what the hypothesis says the figure should be.
        ours: the figure; unit: "points" for differences of accuracy, "percent" for shares, "plain" for slopes.
    """

    hypothesis: str
    what: str
    predicts: str
    ours: Estimate | None
    ruling: Ruling
    unit: Literal["points", "percent", "plain"] = "points"


def findings(results: OffModelResults) -> list[Finding]:
    """All of them, in order; those without their runs are there as "not run"."""
    return [*_dumb_teacher(results), *_perplexity(results), *_noise(results), *_style(results)]


def _dumb_teacher(results: OffModelResults) -> Iterator[Finding]:
    name = "H1 weak teacher"
    what = "largest change with a teacher as able as the student"
    strong = largest_fall(results, results.as_able())
    if strong is None:
        yield Finding(name, what, "0: no fall", None, "not run")
    else:
        ruling: Ruling = "ruled out" if strong.high < 0 else "not ruled out" if strong.low > -ALIKE else "undecided"
        yield Finding(name, what, "0: no fall", strong, ruling)
    slope = slope_on_teacher(results)
    if slope is None:
        yield Finding(name, "change of accuracy per point of the teacher's own", "above 0", None, "not run", "plain")
        return
    ruling = "not ruled out" if slope.low > 0 else "ruled out" if slope.high <= 0 else "undecided"
    yield Finding(name, "change per point of the teacher's own accuracy", "above 0", slope, ruling, "plain")


def slope_on_teacher(results: OffModelResults) -> Estimate | None:
    """Regression of the change on the teacher's own accuracy over all off-model cells, on the prompts that all teachers have
    answered; None for fewer than three teachers."""
    known = [(cell, results.of_teacher(cell)) for cell in results.off_model]
    usable = [(cell, answers) for cell, answers in known if any(answers)]
    if len({cell.teacher for cell, _ in usable}) < 3:
        return None
    label = results.reasoning
    common = [all(answers) for answers in zip(*(answers for _, answers in usable), strict=True)]
    change = np.stack([(cell.array(label, cell.last) - cell.array(label, 0)).mean(axis=0) for cell, _ in usable])
    change = change[:, common]
    teacher = np.array([[row.score for row in compress(answers, common) if row] for _, answers in usable], dtype=float)
    if np.ptp(teacher.mean(axis=1)) < ALIKE:
        return None
    weights = prompt_weights(change.shape[1]).T / change.shape[1]
    draws = _slope(teacher @ weights, change @ weights)
    value = float(_slope(teacher.mean(axis=1)[:, None], change.mean(axis=1)[:, None])[0])
    return from_draws(
        value,
        draws,
        n=change.shape[1],
        method=f"bootstrap over prompts; {len(usable)} student-teacher pairs as they are",
    )


def _slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least squares for each column, [cells, draws] → [draws]."""
    centred = x - x.mean(axis=0)
    return np.asarray((centred * (y - y.mean(axis=0))).sum(axis=0) / np.maximum((centred**2).sum(axis=0), 1e-9))


def _perplexity(results: OffModelResults) -> Iterator[Finding]:
    name = "H2 perplexity"
    difference = halves(results)
    what = "accuracy after the improbable half of the answers minus after the probable half"
    if difference is None:
        yield Finding(name, what, "below 0", None, "not run")
    else:
        ruling: Ruling = (
            "not ruled out" if difference.high < 0 else "ruled out" if difference.low > -ALIKE else "undecided"
        )
        yield Finding(name, what, "below 0", difference, ruling)
    what = "accuracy after own answers sampled as improbable as the teacher's minus after the teacher's"
    hot = own_hot(results)
    if hot is None:
        yield Finding(name, what, "at most 0", None, "not run")
    else:
        ruling = "ruled out" if hot.low > 0 else "not ruled out" if hot.high < ALIKE else "undecided"
        yield Finding(name, what, "at most 0", hot, ruling)
    yield _clipped(results)


def _clipped(results: OffModelResults) -> Finding:
    """No fall is no proof: the style's own words are among the tokens that are left out."""
    arm = results.arm("clipped")
    what = "change after the teacher's answers without the tokens that the student finds improbable"
    if arm is None:
        return Finding("H2 perplexity", what, "0: no fall", None, "not run")
    change = arm.change(results.reasoning)
    ruling: Ruling = "ruled out" if change.high < 0 else "not ruled out" if change.low > -ALIKE else "undecided"
    return Finding("H2 perplexity", f"{what} ({np.mean(arm.trained):.0%} left)", "0: no fall", change, ruling)


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
        difference = noise_gap(results, noise)
        what = f"accuracy after {noise}, minus after SFT"
        if difference is None:
            yield Finding("H3 noise", what, "0", None, "not run")
            continue
        apart = difference.low > ALIKE or difference.high < -ALIKE
        alike = difference.low > -ALIKE and difference.high < ALIKE
        yield Finding(
            "H3 noise", what, "0", difference, "ruled out" if apart else "not ruled out" if alike else "undecided"
        )


def _style(results: OffModelResults) -> Iterator[Finding]:
    name = "H4 unfamiliar style"
    explained = explained_share(results)
    what = "share of the fall in traces that switched style"
    if explained is None:
        yield Finding(name, what, "1", None, "not run", "percent")
    elif not _some_stayed(results):
        yield Finding(
            name, f"{what} (nearly all did: it could be nothing else)", "1", explained, "undecided", "percent"
        )
    else:
        ruling: Ruling = "supported" if explained.low >= 0.8 else "ruled out" if explained.high < 0.5 else "undecided"
        yield Finding(name, what, "1", explained, ruling, "percent")
    kept = kept_voice(results)
    what = "change of accuracy of traces that stayed in the own voice"
    if kept is None:
        yield Finding(name, what, "0", None, "not run")
    else:
        ruling = "supported" if kept.low > -ALIKE else "ruled out" if kept.high < -ALIKE else "undecided"
        yield Finding(name, what, "0", kept, ruling)
    gap = foretold(results)
    what = "change minus the change foretold from the untouched student's skill in that style"
    if gap is None:
        yield Finding(name, what, "0", None, "not run")
        return
    near = gap.low > -2 * ALIKE and gap.high < 2 * ALIKE
    far = gap.low > 2 * ALIKE or gap.high < -2 * ALIKE
    yield Finding(name, what, "0", gap, "supported" if near else "ruled out" if far else "undecided")


def explained_share(results: OffModelResults) -> Estimate | None:
    """The share of the fall, averaged over cells that fell, that lies in traces whose voice has changed."""
    fallen = [cell for cell in results.off_model if lost(cell, results.reasoning)]
    found = [switched.explained for cell in fallen if (switched := switching(results, cell)) is not None]
    shares = [share for share in found if share is not None]
    if not shares:
        return None
    value = float(np.mean([share.value for share in shares]))
    # Cells share prompts, so the mean of their ends is a cautious interval (it grants no averaging out).
    low, high = (float(np.mean([getattr(share, end) for share in shares])) for end in ("low", "high"))
    return Estimate(
        value, low, high, shares[0].n, f"bootstrap over prompts, mean over {len(shares)} student-teacher pairs"
    )


def _some_stayed(results: OffModelResults) -> bool:
    """Whether in some cell that fell more than a few traces are in the student's own voice at the end."""
    fallen = [cell for cell in results.off_model if lost(cell, results.reasoning)]
    found = [switched for cell in fallen if (switched := switching(results, cell)) is not None]
    return any(switched.switched.value < ALL for switched in found)


def foretold(results: OffModelResults) -> Estimate | None:
    """Measured minus foretold accuracy at the end, averaged over cells that fell and whose styles are known."""
    label = results.reasoning
    fallen = [cell for cell in results.off_model if lost(cell, label)]
    pairs = [(cell, skill) for cell in fallen if (skill := expected(results, cell)) is not None]
    if not pairs:
        return None
    measured = np.mean([cell.array(label, cell.last) for cell, _ in pairs], axis=0)
    return difference_over_seeds(measured, np.mean([skill for _, skill in pairs], axis=0))


def kept_voice(results: OffModelResults) -> Estimate | None:
    """The change of accuracy of traces that are in the student's own voice after SFT as before, over all checkpoints of
    off-model runs; None where fewer than a hundred are."""
    changes, counts = np.zeros(0), np.zeros(0)
    for cell in results.off_model:
        if not cell.hears(results.reasoning):
            continue
        before, own = cell.array(results.reasoning, 0), own_voice(cell, results.reasoning)
        for step in cell.steps[1:]:
            kept = np.array([[voice == own for voice in row] for row in cell.voices(results.reasoning, step)])
            change = ((cell.array(results.reasoning, step) - before) * kept).sum(axis=0)
            changes = change if not changes.size else changes + change
            counts = kept.sum(axis=0) if not counts.size else counts + kept.sum(axis=0)
    if counts.sum() < 100:
        return None
    # two imagined prompts, asked as often as the others, that got better and worse: as in `stats.mean_over_seeds`
    often = counts.sum() / len(counts)
    weights = prompt_weights(len(counts), extra=2).T
    draws = (np.append(changes, (often, -often)) @ weights) / (np.append(counts, (often, often)) @ weights)
    return from_draws(
        float(changes.sum() / counts.sum()),
        draws,
        n=len(counts),
        method=f"bootstrap over prompts; {int(counts.sum())} traces of all checkpoints, runs as they are",
    )
