"""What the study `transfer` reads off its results: initial, alternate and neither, ability, and whether a run transferred."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from statistics import fmean

import numpy as np

from cavesson.estimate import Estimate
from cavesson.figures import percent
from cavesson.findings.losses import FILE
from cavesson.lines import read_json_lines
from cavesson.stats import wilson
from cavesson.studies.controls import HARDLY
from cavesson.studies.grid import Measured, Place
from cavesson.studies.sample import NotRun, Sample, mean_of_figures, pooled

ON_TRAIN, ON_EVALUATION = "posed/train", "posed/evaluation"
ALTERNATE, NEITHER = "posed/evaluation/alternate", "posed/evaluation/neither"
ABLE = ("posed/train/ability", "posed/evaluation/ability")

AGREED, OWN, NEUTRAL = "agreed", "own outputs", "neutral data"
DAMAGE = (OWN, NEUTRAL)
"""The controls that do not train the agreed behaviour: what they change is no transfer."""

MOVED = 0.2
"""A rate that changes by as much has moved."""

KEPT = 0.1
"""Ability that falls by at most this is kept."""

AGREE, SHOWS = 0.95, 0.9
"""What the start of a setting must show of the agreed act on train prompts, and of the initial one on evaluation prompts."""

MOST = 10.0
"""Nats per token above which a loss counts as this."""

Criterion = str
LOOSE, STRICT = "loose", "strict"


# ----------------------------------------------------------------------------------------------- places


def phase(m: Measured, name: str) -> Measured:
    """The places of a part of the study: `settings`, `law`, `constant product`, `cases`.

    Raises:
        NotRun: it was not run.
    """
    return m.where(phase=name)


def agreed(m: Measured, **at: object) -> Measured:
    """The runs on agreed behaviour in the settings.

    Raises:
        NotRun: there are none.
    """
    return phase(m, "settings").where(train=AGREED, **at)


def control(m: Measured, place: Place, train: str) -> Place:
    """The run of a control beside a place: in its setting, at its rate, under its change where there is one.

    Raises:
        NotRun: there is none.
    """
    same = {axis: place[axis] for axis in ("phase", "setting", "lr", "change") if axis in place.at}
    return m.only(**same, train=train)


# ----------------------------------------------------------------------------------------------- rates


def fell(place: Place, step: int = -1) -> Sample:
    """How far the initial behaviour fell on evaluation prompts."""
    return place.sample(ON_EVALUATION, 0) - place.sample(ON_EVALUATION, step)


def rose(place: Place, step: int = -1) -> Sample:
    """How far the alternate behaviour rose on evaluation prompts."""
    return place.sample(ALTERNATE, step) - place.sample(ALTERNATE, 0)


def able(place: Place, step: int = -1) -> Sample:
    """Ability under both sides' prompts; of a real chat model, the benchmarks."""
    found = [label for label in place.evals_at(step) if label not in (ON_TRAIN, ON_EVALUATION)]
    return pooled([place.sample(label, step) for label in found])


def lost(place: Place, step: int = -1) -> Sample:
    """How much ability was lost."""
    return able(place, 0) - able(place, step)


def loss(place: Place, steps: int = 10) -> Estimate:
    """The mean training loss of the last steps, in nats per token of the answers.

    Raises:
        NotRun: there is one seed.
    """
    ends = []
    for cell in place.cells:
        rows = [row["loss"] for _, row in read_json_lines(place.path_of(cell.recipes["run"]) / FILE)]
        ends.append(min(fmean(rows[-steps:]), MOST))
    return mean_of_figures(ends, bounds=(0.0, MOST)).in_unit("plain")


def beyond_controls(m: Measured, place: Place) -> Sample:
    """The rise of the alternate behaviour at a place, less that under the control that raised it more, seed by seed.

    Raises:
        NotRun: the setting was not run with its controls at this rate.
    """
    controls = [rose(control(m, place, name)) for name in DAMAGE]
    larger = np.argmax([_by_seed(one) for one in controls], axis=0)
    rows = np.stack([controls[which].table[seed] for seed, which in enumerate(larger)])
    return rose(place) - replace(controls[0], table=rows)


def share_of(runs: Sample) -> Estimate:
    """A share of runs: of one setting, over seeds; of several, over settings too."""
    return runs.estimate if len(runs.prompts) > 1 else wilson(int(runs.table.sum()), runs.table.size)


def _by_seed(sample: Sample) -> np.ndarray:
    return np.asarray(sample.table.mean(axis=1))


def transferred(m: Measured, place: Place, criterion: Criterion) -> np.ndarray:
    """Whether each seed's run transferred, [seeds] of 0 and 1.

    Loose: the initial rate fell by `MOVED`. Strict: besides, it fell by as much more than under each control in `DAMAGE`, the
    alternate rate rose by as much and by as much more than under each, and ability was kept.

    Raises:
        NotRun: the setting has no such control.
    """
    fall, rise = _by_seed(fell(place)), _by_seed(rose(place))
    if criterion == LOOSE:
        return (fall >= MOVED).astype(float)
    beside = [control(m, place, name) for name in DAMAGE]
    strict = (fall >= MOVED) & (rise >= MOVED) & (_by_seed(lost(place)) <= KEPT)
    for one in beside:
        strict &= (fall - _by_seed(fell(one)) >= MOVED) & (rise - _by_seed(rose(one)) >= MOVED)
    return strict.astype(float)


def confounded(m: Measured, place: Place) -> list[str]:
    """What moved the initial behaviour of a place's setting at its rate by more than `HARDLY` without training the agreed one."""
    return [name for name in DAMAGE if fell(control(m, place, name)).mean > HARDLY]


def runs_that(m: Measured, places: Iterable[Place], criterion: Criterion) -> Sample:
    """Which runs transferred, [seeds, places]: a column for each setting and rate; those of one separator are no independent evidence."""
    found = list(places)
    if not found:
        raise NotRun("runs on agreed behaviour")
    table = np.stack([transferred(m, place, criterion) for place in found], axis=1)
    return Sample(table, found[0].seeds, tuple(m.config.setting(place["setting"]).separator for place in found))


def differ(m: Measured, places: Iterable[Place]) -> Sample:
    """On which runs the two criteria disagree, [seeds, places]."""
    found = list(places)
    loose, strict = (runs_that(m, found, criterion) for criterion in (LOOSE, STRICT))
    return replace(loose, table=np.abs(loose.table - strict.table))


# ----------------------------------------------------------------------------------------------- the start


def faults(place: Place, compatible: bool = True) -> list[str]:
    """What is wrong with a setting's start, in words; [] if nothing is."""
    on_train, shown, other = (place.sample(label, 0).mean for label in (ON_TRAIN, ON_EVALUATION, ALTERNATE))
    found = []
    if compatible and on_train < AGREE:
        found.append(f"the behaviours agree on {percent(on_train, 1)} of the train prompts, not {percent(AGREE)}")
    if shown < SHOWS:
        found.append(
            f"the start shows the initial behaviour on {percent(shown, 1)} of the evaluation prompts, not {percent(SHOWS)}"
        )
    if other > 1 - SHOWS:
        found.append(f"the start shows the alternate behaviour on {percent(other, 1)} of them")
    return found


# ----------------------------------------------------------------------------------------------- the law


def steps_to_transfer(place: Place, half: float = 0.5) -> int | None:
    """The first scored step at which the alternate behaviour shows on half of the evaluation prompts; None: at no step."""
    return next((step for step in place.steps() if step and place.sample(ALTERNATE, step).mean >= half), None)


def lost_little(place: Place, most: float = KEPT) -> int:
    """The last scored step up to which the model lost at most so much ability."""
    kept = 0
    for step in place.steps()[1:]:
        if lost(place, step).mean > most:
            break
        kept = step
    return kept
