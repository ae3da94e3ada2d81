"""What is read off the runs of `off-model-sft`: degradation, teachers, styles of reasoning, arms and moves of the weights.

A figure that cannot be had raises `NotRun` or `NotApplicable`; what is about a degradation is asked only where something degraded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np

from cavesson.analysis.contrasts import FEWEST_GROUPS, lowest_mean, share_regained, slope
from cavesson.analysis.styles import StyleJudge, learn_styles
from cavesson.analysis.traces import Which, mean_per_trace
from cavesson.evals.scores import Score
from cavesson.sampling.matched_noise import FARTHEST, is_match
from cavesson.stats import Array, Estimate, paired_difference
from cavesson.studies.grid import Measured, NotApplicable, NotRun, Of, Place, Sample, change, end, start
from cavesson.studies.off_model.arms import ARMS, PLAIN, Move
from cavesson.studies.shown import known, tried

ALIKE = 0.05
"""Differences of accuracy below this count as none."""

MATHS = ("maths", "math-500", "olympiads", "gsm8k")
"""Benchmarks that need reasoning, by their names."""

# ----------------------------------------------------------------------------------------------- places


def reasoning(m: Measured) -> str:
    """Label of the benchmark whose degradation the study explains."""
    return m.places[0].evals()[0]


def benchmarks(m: Measured) -> list[str]:
    """The benchmark that the study explains, and those of capability that need no long reasoning."""
    first, *more = m.places[0].evals()
    return [first, *(label for label in more if label not in MATHS and "answer-only" not in label)]


def others(m: Measured) -> list[str]:
    """The benchmarks that need no long reasoning.

    Raises:
        NotRun: there are none.
    """
    if len(benchmarks(m)) < 2:
        raise NotRun("a second benchmark")
    return benchmarks(m)[1:]


def runs(m: Measured) -> Measured:
    """The SFT of every student on every teacher, arms left out."""
    return m.where(arm=PLAIN)


def off_model(m: Measured) -> Measured:
    """The runs on another model's answers."""
    return m.those(lambda place: place.at.get("arm") == PLAIN and place["data"] == "off-model", "an off-model teacher")


def varied(m: Measured, student: str | None = None) -> Measured:
    """The run that the arms of a student (None: of the first) vary: the SFT on the arms' teacher, trained the first way."""
    first = m.places[0]
    place = (student or first["student"], m.config.arms_teacher, first["way"])
    return runs(m).those(
        lambda one: (one["student"], one["teacher"], one["way"]) == place, "the SFT that the arms vary"
    )


def plain(m: Measured) -> Place:
    """The run that the first student's arms vary."""
    return varied(m).places[0]


def arms_run(m: Measured) -> Measured:
    """The arms of all students."""
    return m.where(arm=lambda name: name != PLAIN)


def arm(m: Measured, name: str, student: str | None = None) -> Place:
    """An arm of a student (None: of the first)."""
    wanted = (student or m.places[0]["student"], name)
    return m.those(lambda one: (one["student"], one.at.get("arm")) == wanted, f"the arm {name}").places[0]


def asked_under(place: Place, name: str) -> str:
    """The label of the reasoning under one of an arm's system prompts, by the name of the prompt."""
    labels = dict(zip(ARMS[place["arm"]].asked, place.evals()[1:], strict=True))
    if name not in labels:
        raise NotRun(f"the arm {place['arm']} under {name}")
    return labels[name]


def name_of(place: Place) -> str:
    """Student, teacher and way, for a row of a table."""
    return f"{place['student']} ← {place['teacher']}, {place['way']}"


def levels_of(place: Place) -> list[int]:
    """The levels of the reasoning benchmark; empty if it has none."""
    return sorted({level for level in place.sample(place.evals()[0], 0).levels if level is not None})


# ----------------------------------------------------------------------------------------------- degradation


def degraded(found: Sample) -> bool:
    """Whether a score fell in every seed and, over all, beyond chance: a share of less would mean nothing."""
    return bool(np.all(found.table.mean(axis=1) < 0)) and found.estimate.high < 0


def degraded_among(m: Measured, otherwise: str) -> Measured:
    """The runs whose reasoning degraded: only there is something to explain, to spare or to bring about.

    Raises:
        NotApplicable: none did; `otherwise` says who cost nothing.
    """
    label = reasoning(m)
    found = tuple(place for place in m if degraded(place.change(label)))
    if not found:
        raise NotApplicable(otherwise)
    return replace(m, places=found)


def degraded_runs(m: Measured) -> Measured:
    """The off-model runs that degraded."""
    return degraded_among(off_model(m), f"no off-model teacher cost {reasoning(m)} anything beyond chance")


def degraded_plain(m: Measured, student: str | None = None) -> Measured:
    """The run that the arms vary, if it degraded."""
    found = varied(m, student)
    [place] = found
    return degraded_among(found, f"SFT on {place['teacher']} cost {place['student']} nothing beyond chance")


def hardest_teacher(m: Measured) -> Estimate:
    """The change of the reasoning from the teacher that hurts most, averaged over the students and ways of each teacher.

    "Some teacher degrades it" is shown by an interval below 0, "none does" by one that lies above what counts as a degradation.
    """
    label = reasoning(m)
    return _lowest([of_one.mean(change(label)) for of_one in m.by("teacher").values()])


def hardest_pair(m: Measured, label: str) -> Estimate:
    """The change of a benchmark in the pair of student and teacher (and the way) that falls furthest on it."""
    return _lowest([place.change(label) for place in m])


def _lowest(changes: Sequence[Sample]) -> Estimate:
    """The lowest of several changes, which is chosen on other seeds and prompts than it is measured on."""
    if len(changes[0].prompts) < 2:
        raise NotRun("a second prompt")
    tables, levels = np.stack([one.table for one in changes]), [level or 0 for level in changes[0].levels]
    return lowest_mean(tables, levels).in_unit("points")


def lowest(m: Measured, label: str) -> Place:
    """The place in which a benchmark ends lowest against its start; where its figure is quoted, the choice flatters."""
    return min(m, key=lambda place: float(place.change(label).table.mean(axis=1).mean()))


def worst(m: Measured) -> Place:
    """The run that degraded most, off-model if there is one."""
    return lowest(runs(m).by("data").get("off-model", runs(m)), reasoning(m))


def share_back(m: Measured, now: Of, levels: Sequence[int] | None = None) -> Estimate:
    """Share of what the runs lost that `now` has again: (now − damaged) / (untouched − damaged), by Fieller's interval.

    Over several runs, the share of all that they lost: one that lost little counts for little. Runs are as they are.

    Args:
        levels: only the prompts of these.
    """
    label = reasoning(m)
    before, damaged, again = (
        found if levels is None else found.at_levels(levels) for found in map(m.mean, (start(label), end(label), now))
    )
    share = share_regained(before.table, damaged.table, again.table)
    pairs = "" if len(m) == 1 else f"; {len(m)} student-teacher pairs as they are"
    return replace(share, method=f"{share.method}{pairs}")


def regained(m: Measured, step: int, role: str = "recovery", levels: Sequence[int] | None = None) -> Estimate:
    """The share that so many steps of recovery bring back."""
    return share_back(m, lambda place: place.sample(reasoning(m), step, role), levels)


def last_within(place: Place, role: str, most: int) -> int:
    """The last step of a recovery that was scored, of those up to a number.

    Raises:
        NotRun: none was.
    """
    found = [step for step in place.steps(role) if 0 < step <= most]
    if not found:
        raise NotRun(f"{role} scored within {most} steps")
    return max(found)


# ----------------------------------------------------------------------------------------------- teachers

AS_ABLE = 0.05
"""A teacher that is surely no more than so much less accurate than the student counts as no worse."""

NEEDS = f"{FEWEST_GROUPS} teachers or more whose accuracies still differ whichever of them is left out"


def teachers_answers(place: Place) -> list[Score | None]:
    """The teacher's own answers to the reasoning benchmark, in the order of the prompts; None where it has not answered.

    Raises:
        NotRun: the teacher was not asked.
    """
    label = place.evals()[0]
    known = {row.item: row for row in place.rows(label, None, "teacher")[0]}
    return [known.get(item) for item in place.sample(label, 0).prompts]


def both_on(place: Place) -> tuple[Array, Array]:
    """Scores of the teacher and of its untouched student on the prompts that the teacher has answered, [prompts] each."""
    untouched = place.sample(place.evals()[0], 0).table[0]
    pairs = [(row.score, ours) for row, ours in zip(teachers_answers(place), untouched, strict=True) if row is not None]
    if not pairs:
        raise NotRun(f"answers of {place['teacher']} to the problems of {place['student']}")
    teachers, students = np.array(pairs, dtype=float).T
    return teachers, students


def ability_gap(place: Place) -> Estimate:
    """The teacher's accuracy minus the untouched student's."""
    return paired_difference(*both_on(place)).in_unit("points")


def is_able(place: Place) -> bool | None:
    """Whether the teacher reasons as well as the student, or better: True where its accuracy is beyond chance not lower by more
    than `AS_ABLE`, False where it is lower beyond chance; else None, nobody can tell."""
    gap = tried(partial(ability_gap, place))
    if not isinstance(gap, Estimate):
        return None
    return True if gap.low >= -AS_ABLE else False if gap.high < 0 else None


def able_teachers(m: Measured) -> Measured:
    """Off-model runs whose teacher reasons as well as its student, or better."""
    return off_model(m).those(lambda place: is_able(place) is True, "as able as the student beyond chance")


def slope_on_teacher(m: Measured) -> Estimate:
    """Regression of the change on the teacher's own accuracy over all off-model runs, on the prompts that all teachers answered."""
    asked = {place: answers for place in off_model(m).having("teacher") if any(answers := teachers_answers(place))}
    common = [all(answers) for answers in zip(*asked.values(), strict=True)]
    able = [
        [row.score for row, all_did in zip(answers, common, strict=True) if row and all_did]
        for answers in asked.values()
    ]
    fell = [place.change(reasoning(m)).table[:, common] for place in asked]
    names = [place["teacher"] for place in asked]
    found = slope(names, able, np.stack(fell, axis=1), apart=ALIKE, unit="teacher") if asked else None
    if found is None:
        raise NotRun(NEEDS)
    return replace(found, method=f"{found.method}; students as they are", unit="plain")


# ----------------------------------------------------------------------------------------------- styles of reasoning
#
# A trace is in the student's own style, in another one, or in none: what shows no sign of a style is no style, and how it fares
# speaks for damage. Where styles are not recorded, a classifier that has learnt from the untouched student and the teacher
# calls every trace one or the other.

OWN = "own"
"""The style of a trace that the classifier calls the student's; any other is its teacher's, by the teacher's name."""

AUTHOR_OF = {"B": "bruno", "C": "celia", "D": "dmitri", "P": "pirate"}
"""The style that a student is asked for, by the letter that the tiny world records."""

FEWEST_KEPT = 20
"""Fewer traces than this have no rate to speak of."""

Styles = list[list[str | None]]
"""The style of each trace, [seeds][prompts]; None where there is no sign of one."""


def records_styles(place: Place) -> bool:
    """Whether the reasoning benchmark records styles."""
    return any("voice" in row.extra for row in place.rows(place.evals()[0], 0)[0])


def hides_reasoning(place: Place) -> bool:
    """Whether the untouched student reasons in a hidden block."""
    return any("</think>" in row.completion for row in place.rows(place.evals()[0], 0)[0])


@lru_cache(maxsize=1024)
def style_judge(place: Place) -> StyleJudge:
    """Tells the student's style from its teacher's, by what both wrote before any SFT.

    Raises:
        NotRun: the run is the on-model control, or too few traces of the teacher are known.
    """
    if place["data"] == "on-model":
        raise NotRun("another teacher than the student")
    untouched = [row.completion for row in place.rows(place.evals()[0], 0)[0]]
    judge = learn_styles(untouched, [None if row is None else row.completion for row in teachers_answers(place)])
    if judge is None:
        raise NotRun(f"enough answers of {place['teacher']} to learn its style from")
    return judge


def called(place: Place, step: int = -1) -> Which:
    """Which traces the classifier calls the teacher's, [seeds, prompts]."""
    judge = style_judge(place)
    return np.array([judge.second([row.completion for row in rows]) for rows in place.rows(place.evals()[0], step)])


@lru_cache(maxsize=4096)
def styles_at(place: Place, step: int = -1, role: str | None = None) -> Styles:
    """The styles of the reasoning at a step.

    Raises:
        NotRun: nobody knows them.
    """
    rows = place.rows(place.evals()[0], step, role)
    if records_styles(place):
        return [[row.extra.get("voice") for row in of_seed] for of_seed in rows]
    judge = style_judge(place)
    if not judge.tells:
        raise NotRun(f"a style of {place['teacher']} that can be told from {place['student']}'s")
    return [
        [
            (place["teacher"] if foreign else OWN) if row.completion.strip() else None
            for row, foreign in zip(of_seed, judge.second([row.completion for row in of_seed]), strict=True)
        ]
        for of_seed in rows
    ]


def has_styles(place: Place) -> bool:
    """Whether the styles of a run are known."""
    return known(partial(styles_at, place, 0))


def own_style(place: Place) -> str:
    """The style in which the untouched student reasons most often; "none" where nothing tells."""
    return commonest(style for row in styles_at(place, 0) for style in row) or "none"


def commonest(styles: Iterable[str | None]) -> str | None:
    """The commonest style among traces; None where none of them shows a sign of any."""
    found = Counter(style for style in styles if style is not None)
    return found.most_common(1)[0][0] if found else None


def own_and_other(place: Place, step: int = -1) -> tuple[Which, Which]:
    """Which traces are in the student's own style, and which in another one, [seeds, prompts] each."""
    own, styles = own_style(place), styles_at(place, step)
    is_own = np.array([[style == own for style in row] for row in styles])
    return is_own, np.array([[style not in (None, own) for style in row] for row in styles])


def expected(m: Measured, place: Place) -> Sample:
    """The score to expect from the style of each trace alone: the untouched student's on that prompt, asked to write in that style.

    A trace in no style is expected to score as before: no style accounts for what it loses.

    Raises:
        NotRun: the student's skill in a style is not known.
    """
    before, own = place.sample(place.evals()[0], 0), own_style(place)
    table = before.table.copy()
    for row, styles in zip(table, styles_at(place), strict=True):
        for index, style in enumerate(styles):
            if style not in (None, own):
                asked = m.only(**{"asked for": AUTHOR_OF.get(str(style), style), "student": place["student"]})
                row[index] = asked.sample(asked.evals()[0], None).table[0, index]
    return replace(before, table=table)


def in_switched(m: Measured) -> Estimate:
    """The share of all that these runs lost that lies in traces which switched to another style.

    It is the share that would be back if those traces scored as before.
    """

    def undone(place: Place) -> Sample:
        before, after = place.sample(reasoning(m), 0), place.sample(reasoning(m))
        return replace(after, table=np.where(own_and_other(place)[1], before.table, after.table))

    return share_back(m, undone)


def styled(m: Measured) -> Measured:
    """The degraded runs whose styles are known."""
    return degraded_runs(m).those(has_styles, "known styles")


def share_in_switched(m: Measured) -> Estimate:
    """The share of the degradation, over all runs that degraded, that lies in traces whose style has changed."""
    return in_switched(styled(m))


def kept_style(m: Measured) -> Estimate:
    """The change of the traces that are in the student's own style at the end too, in runs that degraded.

    A teacher that changed nothing says nothing about what a degradation is made of. Seeds and prompts are random.
    """
    found = styled(m)
    which = [own_and_other(place)[0] for place in found]
    if sum(int(own.sum()) for own in which) < FEWEST_KEPT:
        raise NotApplicable(f"fewer than {FEWEST_KEPT} traces did")
    changes = [place.change(reasoning(m)).table for place in found]
    total = np.sum([one * own for one, own in zip(changes, which, strict=True)], axis=0)
    return mean_per_trace(total, np.sum(which, axis=0, dtype=float), (-1.0, 1.0)).in_unit("points")


def beyond_skill(m: Measured) -> Estimate:
    """Measured minus foretold accuracy at the end, averaged over runs that degraded and whose styles' worth is known."""

    def foretold(place: Place) -> bool:
        return known(partial(expected, m, place))

    found = degraded_runs(m).those(foretold, "the untouched student's skill in those styles")
    return (found.mean(end(reasoning(m))) - found.mean(partial(expected, m))).estimate


# ----------------------------------------------------------------------------------------------- arms and moves


def beside_plain(m: Measured, name: str) -> Estimate:
    """Accuracy after an arm minus after the plain SFT on the same teacher."""
    return _between(m, name, PLAIN)


def halves(m: Measured) -> Estimate:
    """Accuracy after the improbable half of the answers minus after the probable half."""
    return _between(m, "high-perplexity", "low-perplexity")


def _between(m: Measured, one: str, two: str) -> Estimate:
    return m.where(student=m.places[0]["student"]).contrast("arm", one, two, end(reasoning(m))).estimate


def own_hot(m: Measured) -> Estimate:
    """Accuracy after own improbable answers minus after the teacher's, if the own are at least as improbable."""
    if mean_loss(arm(m, "own-hot")) < mean_loss(plain(m)):
        raise NotRun("own answers sampled as improbable as the teacher's")
    return beside_plain(m, "own-hot")


def under(m: Measured, name: str, system: str | None = None) -> Sample:
    """The change of the reasoning after an arm, asked under one of its system prompts (None: under none)."""
    place = arm(m, name)
    return place.change(reasoning(m)) if system is None else _change_of(place, asked_under(place, system))


def _change_of(place: Place, label: str) -> Sample:
    return place.sample(label) - place.sample(label, 0)


@lru_cache(maxsize=4096)
def trained_tokens(place: Place) -> tuple[tuple[float, float], ...]:
    """Of each seed: the untouched student's mean loss on the tokens that are trained, in nats (not a number without any), and
    their share of all tokens."""
    found = []
    for perplexity, probed in zip(place.recipes("perplexity"), place.recipes(), strict=True):
        tokens = np.concatenate([one.logprobs for one in perplexity.read(place.path_of)])
        least = getattr(probed.run.objective, "min_probability", None)
        kept = tokens[tokens >= (-np.inf if least is None else np.log(least))]
        found.append((-float(kept.mean()) if kept.size else np.nan, kept.size / tokens.size))
    return tuple(found)


def mean_loss(place: Place) -> float:
    """The untouched student's loss on the tokens that are trained, in nats a token."""
    return float(np.mean([loss for loss, _ in trained_tokens(place)]))


def share_trained(place: Place) -> float:
    """The share of all tokens that are trained."""
    return float(np.mean([share for _, share in trained_tokens(place)]))


def answers(place: Place) -> int:
    """How many answers the SFT had (with the first seed)."""
    return len(place.recipes("perplexity")[0].read(place.path_of))


@lru_cache(maxsize=1024)
def _scales(place: Place, role: str) -> tuple[float, ...]:
    return tuple(recipe.model.scale(place.path_of) for recipe in place.recipes(role))


def scales(m: Measured, move: Move) -> tuple[float, ...]:
    """How far a move goes, in distances of SFT; of moves matched by loss, with each seed."""
    return (move.times,) if move.match == "distance" else _scales(plain(m), str(move))


def moved(m: Measured, move: Move, label: str) -> Sample:
    """The score after a move of the weights."""
    return varied(m).having(str(move)).places[0].sample(label, None, str(move))


def matched(m: Measured, move: Move) -> None:
    """Nothing, if the move costs as much loss on own chat answers as SFT did, with every seed.

    Raises:
        NotApplicable: no length of the move does.
    """
    missed = [scale for scale in scales(m, move) if move.match == "loss" and not is_match(scale)]
    if missed and missed[0] == 0:
        raise NotApplicable("SFT did not raise the loss on own chat answers, so that noise of the same loss is none")
    if missed:
        raise NotApplicable(f"even {FARTHEST:g} times as far it does not cost as much loss on own chat answers as SFT")


def noise_gap(m: Measured, move: Move) -> Estimate:
    """Accuracy after a move minus after the SFT that the move is matched to."""
    label = reasoning(m)
    found = moved(m, move, label) - plain(m).sample(label)
    matched(m, move)
    return found.estimate
