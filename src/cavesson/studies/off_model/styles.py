"""Styles of reasoning in `off-model-sft`: whose style each trace is in, and how much of a fall lies in another style.

A trace is in the student's own style, in another one, or in none: what shows no sign of a style is no style, and how it fares
speaks for damage. Where styles are not recorded, a classifier that has learnt from the untouched student and the teacher calls
every trace one or the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Literal

import numpy as np

from cavesson.analysis.styles import StyleJudge, learn_styles
from cavesson.analysis.traces import Which, mean_per_trace, rate_among
from cavesson.estimate import Estimate
from cavesson.evals.scores import Score
from cavesson.studies.grid import Measured, Place
from cavesson.studies.off_model.readings import after, before, degraded_runs, fall, share_back, teachers_answers
from cavesson.studies.sample import NotApplicable, NotRun, Sample
from cavesson.studies.shown import known

OWN = "own"
"""The style of a trace that the classifier calls the student's; any other is its teacher's, by the teacher's name."""

AUTHOR_OF = {"B": "bruno", "C": "celia", "D": "dmitri", "E": "esther", "F": "farid", "P": "pirate"}
"""The style that a student is asked for, by the letter that the tiny world records."""

FEWEST_KEPT = 20  # fewer traces have no rate to speak of

Styles = list[list[str | None]]
"""The style of each trace, `[seeds][prompts]`; None where there is no sign of one."""

Kind = Literal["own", "another", "none"]
"""The student's own style, another one, or no sign of any."""


def _untouched(place: Place) -> list[Score]:
    """The reasoning of the untouched student."""
    return place.rows(place.evals()[0], 0)[0]


def records_styles(place: Place) -> bool:
    """Whether the reasoning benchmark records styles."""
    return any("voice" in row.extra for row in _untouched(place))


def hides_reasoning(place: Place) -> bool:
    """Whether the untouched student reasons in a hidden block."""
    return any("</think>" in row.completion for row in _untouched(place))


@lru_cache(maxsize=1024)
def style_judge(place: Place) -> StyleJudge:
    """Tells the student's style from its teacher's, by what both wrote before any SFT.

    Raises:
        NotRun: the run is the on-model control, or too few traces of the teacher are known.
    """
    if place["data"] == "on-model":
        raise NotRun("another teacher than the student")
    theirs = [None if row is None else row.completion for row in teachers_answers(place)]
    judge = learn_styles([row.completion for row in _untouched(place)], theirs)
    if judge is None:
        raise NotRun(f"enough answers of {place['teacher']} to learn its style from")
    return judge


def called(place: Place, step: int = -1, role: str | None = None) -> Which:
    """Which traces the classifier calls the teacher's, [seeds, prompts]."""
    rows = place.rows(place.evals()[0], step, role)
    return np.array([style_judge(place).second([row.completion for row in of_seed]) for of_seed in rows])


@lru_cache(maxsize=4096)
def styles_at(place: Place, step: int = -1, role: str | None = None) -> Styles:
    """The styles of the reasoning at a step.

    Raises:
        NotRun: nobody knows them.
    """
    rows = place.rows(place.evals()[0], step, role)
    if records_styles(place):
        return [[row.extra.get("voice") for row in of_seed] for of_seed in rows]
    if not style_judge(place).tells:
        raise NotRun(f"a style of {place['teacher']} that can be told from {place['student']}'s")
    return [
        [
            (place["teacher"] if foreign else OWN) if row.completion.strip() else None
            for row, foreign in zip(of_seed, theirs, strict=True)
        ]
        for of_seed, theirs in zip(rows, called(place, step, role), strict=True)
    ]


def has_styles(place: Place) -> bool:
    """Whether the styles of a run are known."""
    return known(partial(styles_at, place, 0))


def commonest(styles: Iterable[str | None]) -> str | None:
    """The commonest style among traces; None where none of them shows a sign of any."""
    found = Counter(style for style in styles if style is not None)
    return found.most_common(1)[0][0] if found else None


def own_style(place: Place) -> str:
    """The style in which the untouched student reasons most often; "none" where nothing tells."""
    return commonest(style for row in styles_at(place, 0) for style in row) or "none"


def other_style(place: Place) -> str:
    """The commonest other style at the end; the own one without any."""
    own = own_style(place)
    return commonest(style for row in styles_at(place) for style in row if style != own) or own


def in_style(place: Place, kind: Kind, step: int = -1) -> Which:
    """Which traces at a step are in the student's own style, in another one or in none, [seeds, prompts]."""
    name: dict[str | None, Kind] = {None: "none", own_style(place): "own"}
    return np.array([[name.get(style, "another") == kind for style in row] for row in styles_at(place, step)])


def share_in(place: Place, kind: Kind, step: int = -1) -> Sample:
    """The share of the traces at a step in a kind of style."""
    return replace(place.sample(place.evals()[0], step), table=in_style(place, kind, step).astype(float))


def rate_in(place: Place, kind: Kind, step: int = -1) -> Estimate | None:
    """The accuracy of the traces at a step in a kind of style; None without any."""
    return rate_among(place.sample(place.evals()[0], step).table, in_style(place, kind, step))


# ----------------------------------------------------------------------------------------------- what styles explain


def expected(m: Measured, place: Place) -> Sample:
    """The score to expect from the style of each trace alone: the untouched student's on that prompt, asked to write in that style.

    A trace in no style is expected to score as before: no style accounts for what it loses.

    Raises:
        NotRun: the student's skill in a style is not known.
    """
    own, table = own_style(place), before(place).table.copy()
    for row, styles in zip(table, styles_at(place), strict=True):
        for index, style in enumerate(styles):
            if style not in (None, own):
                asked = m.only(**{"asked for": AUTHOR_OF.get(str(style), style), "student": place["student"]})
                row[index] = asked.sample(asked.evals()[0], None).table[0, index]
    return replace(before(place), table=table)


def in_switched(places: Iterable[Place]) -> Estimate:
    """The share of all that these runs lost that lies in traces which switched to another style.

    It is the share that would be back if those traces scored as before.
    """

    def undone(place: Place) -> Sample:
        table = np.where(in_style(place, "another"), before(place).table, after(place).table)
        return replace(after(place), table=table)

    return share_back(places, undone)


def styled(m: Measured) -> Measured:
    """The degraded runs whose styles are known."""
    return degraded_runs(m).those(has_styles, "known styles")


def kept_style(m: Measured) -> Estimate:
    """The change of the traces that are in the student's own style at the end too, in runs that degraded.

    A teacher that changed nothing says nothing about what a degradation is made of. Seeds and prompts are random.
    """
    found = styled(m)
    own = [in_style(place, "own") for place in found]
    if np.sum(own) < FEWEST_KEPT:
        raise NotApplicable(f"fewer than {FEWEST_KEPT} traces did")
    total = np.sum([fall(place).table * kept for place, kept in zip(found, own, strict=True)], axis=0)
    return mean_per_trace(total, np.sum(own, axis=0, dtype=float), (-1.0, 1.0)).in_unit("points")


def beyond_skill(m: Measured) -> Estimate:
    """Measured minus foretold accuracy at the end, averaged over runs that degraded and whose styles' worth is known."""
    found = degraded_runs(m).those(
        lambda place: known(partial(expected, m, place)), "the untouched student's skill in those styles"
    )
    return (found.mean(after) - found.mean(partial(expected, m))).estimate
