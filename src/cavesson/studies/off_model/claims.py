"""What is read off the runs of `off-model-sft`, the four explanations of the damage, and the published statements.

H1: the student imitates a teacher that reasons badly. H2: the data are improbable under the student. H3: SFT disturbs the
weights as noise would. H4: the student is pushed into a style of reasoning that it uses badly. They explain a degradation: where
nothing degraded beyond chance, none of them is judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import combinations

import numpy as np
from scipy.stats import f as f_distribution

from cavesson.analysis.claims import (
    ClaimResult,
    Verdict,
    above,
    all_of,
    any_of,
    at_least,
    at_most,
    below,
    within,
)
from cavesson.analysis.contrasts import FEWEST_GROUPS, correlation, lowest_mean, share_regained, slope
from cavesson.analysis.styles import StyleJudge, learn_styles
from cavesson.analysis.traces import Which, mean_per_trace
from cavesson.evals.scores import Score
from cavesson.sampling.matched_noise import FARTHEST, is_match
from cavesson.stats import Array, Estimate, difference_over_seeds, independent_difference, paired_difference
from cavesson.studies.grid import Measured, NotApplicable, NotRun, Of, Place, Sample, change, end, start
from cavesson.studies.off_model.arms import ARMS, MATCHED, PLAIN, Move, Shape
from cavesson.studies.off_model.grid import rl_role
from cavesson.studies.shown import claim, tried
from cavesson.tinyworld.sizes import SIZES

ALIKE = 0.05
"""Differences of accuracy below this count as none."""

HOLDS, FALLS = 0.07, -0.05
"""A benchmark holds within the largest change published for one that does; it falls if it falls so far beyond chance."""

MOST = 0.5
"""Most of a loss is back with this share of it."""

MATHS = ("maths", "math-500", "olympiads", "gsm8k")
"""Benchmarks that need reasoning, by their names."""

Test = Callable[[Measured], ClaimResult]

# ----------------------------------------------------------------------------------------------- places


def reasoning(m: Measured) -> str:
    """Label of the benchmark whose degradation the study explains."""
    return m.places[0].evals()[0]


def others(m: Measured) -> list[str]:
    """The benchmarks of capability that need no long reasoning.

    Raises:
        NotRun: there are none.
    """
    apart = (reasoning(m), *MATHS)
    found = [label for label in m.places[0].evals() if label not in apart and "answer-only" not in label]
    if not found:
        raise NotRun("a second benchmark")
    return found


def runs(m: Measured) -> Measured:
    """The SFT of every student on every teacher, arms left out."""
    return m.where(arm=PLAIN)


def off_model(m: Measured) -> Measured:
    """The runs on another model's answers."""
    return m.where(data="off-model", arm=PLAIN)


def varied(m: Measured, student: str | None = None) -> Measured:
    """The run that the arms of a student (None: of the first) vary: the SFT on the arms' teacher, trained the first way."""
    first = m.places[0]
    return m.where(student=student or first["student"], teacher=m.config.arms_teacher, way=first["way"], arm=PLAIN)


def plain(m: Measured) -> Place:
    """The run that the first student's arms vary."""
    return varied(m).places[0]


def arm(m: Measured, name: str, student: str | None = None) -> Place:
    """An arm of a student (None: of the first)."""
    return m.only(student=student or m.places[0]["student"], arm=name)


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


def _of_degradation(test: Test) -> Test:
    """The test, if the SFT that the arms vary cost something: else there is nothing that an arm could spare or bring about."""

    def guarded(m: Measured) -> ClaimResult:
        degraded_plain(m)
        return test(m)

    return guarded


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
    try:
        return lowest(off_model(m), reasoning(m))
    except NotRun:
        return lowest(runs(m), reasoning(m))


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
    return off_model(m).those(
        lambda place: is_able(place) is True, "a teacher that is beyond chance as able as the student"
    )


def slope_on_teacher(m: Measured) -> Estimate:
    """Regression of the change on the teacher's own accuracy over all off-model runs, on the prompts that all teachers answered."""
    label = reasoning(m)
    known = {place: answers for place in off_model(m) if any(answers := _answers_or_none(place))}
    common = [all(answers) for answers in zip(*known.values(), strict=True)]
    teacher = np.array([[row.score for row, kept in zip(answers, common, strict=True) if row and kept] for answers in known.values()], dtype=float)  # fmt: skip
    changes = [place.change(label).table[:, common] for place in known]
    found = None
    if changes:
        found = slope([place["teacher"] for place in known], teacher, np.stack(changes, axis=1), apart=ALIKE, unit="teacher")  # fmt: skip
    if found is None:
        raise NotRun(NEEDS)
    return replace(found, method=f"{found.method}; students as they are").in_unit("plain")


def _answers_or_none(place: Place) -> list[Score | None]:
    try:
        return teachers_answers(place)
    except NotRun:
        return []


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
    try:
        return bool(styles_at(place, 0))
    except NotRun:
        return False


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


def _styled(m: Measured) -> Measured:
    """The degraded runs whose styles are known."""
    return degraded_runs(m).those(has_styles, "known styles")


def share_in_switched(m: Measured) -> Estimate:
    """The share of the degradation, over all runs that degraded, that lies in traces whose style has changed."""
    return in_switched(_styled(m))


def kept_style(m: Measured) -> Estimate:
    """The change of the traces that are in the student's own style at the end too, in runs that degraded.

    A teacher that changed nothing says nothing about what a degradation is made of. Seeds and prompts are random.
    """
    found = _styled(m)
    which = [own_and_other(place)[0] for place in found]
    if sum(int(own.sum()) for own in which) < FEWEST_KEPT:
        raise NotApplicable(f"fewer than {FEWEST_KEPT} traces did")
    changes = [place.change(reasoning(m)).table for place in found]
    total = np.sum([one * own for one, own in zip(changes, which, strict=True)], axis=0)
    return mean_per_trace(total, np.sum(which, axis=0, dtype=float), (-1.0, 1.0)).in_unit("points")


def beyond_skill(m: Measured) -> Estimate:
    """Measured minus foretold accuracy at the end, averaged over runs that degraded and whose styles' worth is known."""

    def foretold(place: Place) -> bool:
        return has_styles(place) and tried(lambda: expected(m, place)) is not None

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
        least = getattr(probed.run, "min_probability", None)
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


def scales(m: Measured, move: Move) -> tuple[float, ...]:
    """How far the moves of each seed go, in distances of SFT."""
    if move.match == "distance":
        return (move.times,)
    return tuple(recipe.model.scale(plain(m).path_of) for recipe in plain(m).recipes(str(move)))


def moved(m: Measured, move: Move, label: str) -> Sample:
    """The score after a move of the weights."""
    return plain(m).sample(label, None, str(move))


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


# ----------------------------------------------------------------------------------------------- hypotheses

FOR: Mapping[Verdict, str] = {"holds": "not ruled out", "does not hold": "ruled out"}
AGAINST: Mapping[Verdict, str] = {"holds": "ruled out", "does not hold": "not ruled out"}
SUPPORTS: Mapping[Verdict, str] = {"holds": "supported", "does not hold": "ruled out"}
"""What a hypothesis is said to be: of a measurement that holds, the hypothesis survives, falls, or is supported."""

ALL = 0.95
"""Where at least so many traces switched style, all of the degradation lies in them, whatever caused it."""

MOSTLY = 0.8
"""A degradation that has nothing to do with style lies in traces that switched as often as traces switched; one that has, lies in
them more often than that, and mostly."""

WHY = "Why does off-model SFT degrade capabilities? (May 2026)"


def _explained(
    figure: Callable[[Measured], Estimate],
    rule: Callable[[Estimate, str], ClaimResult],
    what: str,
    applies: Callable[[Measured], object] = degraded_plain,
) -> Test:
    """The rule on a figure; not applicable, though the figure is shown, where nothing degraded."""

    def test(m: Measured) -> ClaimResult:
        found = figure(m)
        try:
            applies(m)
        except NotApplicable as why:
            raise NotApplicable(str(why), found) from None
        return rule(found, what)

    return test


def _without_improbable(m: Measured) -> ClaimResult:
    """That nothing degrades is no proof: the style's own words are among the tokens that are left out."""
    left = f"{share_trained(arm(m, 'clipped')):.0%}"
    what = f"change after the teacher's answers without the tokens that the student finds improbable ({left} left)"
    return _explained(lambda m: under(m, "clipped").estimate, partial(_is_below, ALIKE), what)(m)


def _in_switched_traces(m: Measured) -> ClaimResult:
    found, what = share_in_switched(m), "share of the fall in traces that switched style"
    switched = float(np.mean([own_and_other(place)[1] for place in _styled(m)]))
    if switched >= ALL:
        raise NotApplicable("nearly every trace switched, so that it could be nothing else", found)
    supported = at_least(found, max(MOSTLY, switched), what)
    return supported if supported.verdict == "holds" or found.high < 0.5 else replace(supported, verdict="undecided")


def _is_below(none_within: float, found: Estimate, what: str) -> ClaimResult:
    return below(found, none_within, what)


def _within(tolerance: float, found: Estimate, what: str) -> ClaimResult:
    return within(found, -tolerance, tolerance, what)


def _noise(move: Move) -> Test:
    return _explained(lambda m: noise_gap(m, move), partial(_within, ALIKE), f"accuracy after {move}, minus after SFT")


_measures = partial(claim, source=WHY)

HYPOTHESES = {
    "H1 weak teacher": (
        _measures(
            "teachers as able as the student", "largest change with a teacher as able as the student", "0: no fall",
            _explained(
                lambda m: hardest_teacher(able_teachers(m)), partial(_is_below, ALIKE),
                "largest change with a teacher as able as the student", degraded_runs,
            ), says=AGAINST,
        ),
        _measures(
            "the slope on the teachers' own accuracy", "change per point of the teacher's own accuracy", "above 0",
            _explained(
                slope_on_teacher, lambda found, what: at_least(found, 0, what),
                "change per point of the teacher's own accuracy", degraded_runs,
            ), says=FOR,
        ),
    ),
    "H2 perplexity": (
        _measures(
            "the halves by perplexity",
            "accuracy after the improbable half of the answers minus after the probable half", "below 0",
            _explained(
                halves, partial(_is_below, ALIKE),
                "accuracy after the improbable half of the answers minus after the probable half",
            ), says=FOR,
        ),
        _measures(
            "own improbable answers",
            "accuracy after own answers sampled as improbable as the teacher's minus after the teacher's", "at most 0",
            _explained(
                own_hot, lambda found, what: above(found, ALIKE, what),
                "accuracy after own answers sampled as improbable as the teacher's minus after the teacher's",
            ), says=AGAINST,
        ),
        _measures(
            "leaving improbable tokens out",
            "change after the teacher's answers without the tokens that the student finds improbable", "0: no fall",
            _without_improbable, says=AGAINST,
        ),
    ),
    "H3 noise": tuple(
        _measures(f"{move.shape} of the same {move.match}", f"accuracy after {move}, minus after SFT", "0", _noise(move), says=FOR)
        for move in MATCHED
    ),
    "H4 unfamiliar style": (
        _measures(
            "the share of the fall in other voices", "share of the fall in traces that switched style", "1",
            _in_switched_traces, says=SUPPORTS,
        ),
        _measures(
            "traces that kept their voice",
            "change of accuracy of traces that stayed in the own voice, of students that fell", "0",
            _explained(
                kept_style, lambda found, what: at_least(found, -ALIKE, what),
                "change of accuracy of traces that stayed in the own voice, of students that fell", degraded_runs,
            ), says=SUPPORTS,
        ),
        _measures(
            "the change foretold from skill in that style",
            "change minus the change foretold from the untouched student's skill in that style", "0",
            _explained(
                beyond_skill, partial(_within, 2 * ALIKE),
                "change minus the change foretold from the untouched student's skill in that style", degraded_runs,
            ), says=SUPPORTS,
        ),
    ),
}  # fmt: skip
"""The four explanations, each with the measurements that could rule it out."""

# ----------------------------------------------------------------------------------------------- claims
#
# "Holds" of a benchmark is read as a change within 7 points, the largest that was published for those that hold; "falls" as at
# least 5 points beyond chance. Where the publication has two benchmarks of maths and this study one, easy and hard levels stand
# for them.

ENOUGH_STEPS, PUBLISHED_ITERATIONS = 16, 10
"""So many steps of SFT on own answers, and iterations of RL, restored most in the publication."""

START = 0.3
"""A student that starts no higher has little to lose, and that it "hardly falls" says nothing."""


def others_hold(m: Measured) -> ClaimResult:
    """No other benchmark falls by more than 7 points, in whichever pair of student and teacher it falls furthest.

    "Reasoning falls" is decided by the worst teacher, so this is not left to an average.
    """
    return all_of([_holds(off_model(m), label) for label in others(m)])


def _holds(m: Measured, label: str) -> ClaimResult:
    result = at_least(hardest_pair(m, label), -HOLDS, f"the largest change of {label}")
    worst = lowest(m, label)
    told = (
        f"It ends lowest in {worst['student']} from {worst['teacher']}, {worst['way']}: {worst.change(label).estimate}."
    )
    return replace(result, reason=f"{result.reason} {told}")


def falls_by(least: float) -> Test:
    """With some off-model teacher, the benchmark that needs long reasoning falls so far."""

    def test(m: Measured) -> ClaimResult:
        what = f"the change of {reasoning(m)} from the teacher that hurts most"
        return at_most(hardest_teacher(off_model(m)), least, what)

    return test


def harder_levels_fall_more(m: Measured) -> ClaimResult:
    """The fall at the hardest two levels exceeds that at the easiest two, averaged over pairs that degraded."""
    found = degraded_runs(m)
    levels = levels_of(found.places[0])
    if len(levels) < 4:
        raise NotRun("a benchmark of at least four levels")
    fall = found.mean(change(reasoning(m)))
    gap = fall.at_levels(levels[-2:]).across(fall.at_levels(levels[:2]))
    return at_most(gap, -0.02, "the change at the hardest two levels minus that at the easiest two")


def able_teachers_hurt(m: Measured) -> ClaimResult:
    """It happens with a teacher that reasons as well as the student or better."""
    found = able_teachers(m)
    what = "the change from the teacher that hurts most, of those as able as the student"
    result = at_most(hardest_teacher(found), FALLS, what)
    stronger = [place for place in found if ability_gap(place).low > 0]
    told = f"{len(stronger)} of {len(found)} pairs have a teacher that is stronger beyond chance."
    return replace(result, reason=f"{result.reason} {told}")


def weaker_teachers_hurt_more(m: Measured) -> ClaimResult:
    """The weaker the teacher, the larger the fall."""
    return at_least(slope_on_teacher(m), 0.1, "the change of accuracy per point of the teacher's own")


def own_outputs_are_safe(m: Measured) -> ClaimResult:
    """SFT on the student's own outputs changes nothing."""
    found = m.where(data="on-model", arm=PLAIN).mean(change(reasoning(m)))
    return within(found.estimate, -0.05, 0.05, "the change after SFT on own outputs")


def few_steps_restore(m: Measured) -> ClaimResult:
    """At most 16 steps on own outputs bring back at least half of what was lost, over all pairs that degraded.

    The pairs are taken together: the share of one that lost little is decided by one or two prompts or by one seed, and among
    many such shares some fall short by chance alone. How they stand one by one is told beside it. That they were chosen by their
    fall flatters the share a little.
    """
    return _most_is_back(m, reasoning(m), None)


def hard_levels_return(m: Measured) -> ClaimResult:
    """The same of what was lost at the hardest two levels, over all pairs that degraded there."""
    levels = levels_of(m.places[0])[-2:]
    if len(levels) < 2:
        raise NotRun("a benchmark of several levels")
    return _most_is_back(m, f"{reasoning(m)} at levels {levels[0]} and {levels[1]}", levels)


def _most_is_back(m: Measured, of: str, levels: Sequence[int] | None) -> ClaimResult:
    def fell(place: Place) -> bool:
        found = place.change(reasoning(m))
        return degraded(found if levels is None else found.at_levels(levels))

    def scored(place: Place) -> bool:
        return tried(lambda: str(last_within(place, "recovery", ENOUGH_STEPS))) is not None

    found = off_model(m).those(lambda place: scored(place) and fell(place), f"a few steps of recovery after a fall of {of} beyond chance")  # fmt: skip
    steps = last_within(found.places[0], "recovery", ENOUGH_STEPS)
    what = f"the share of the lost {of} regained after {steps} steps"
    together = at_least(regained(found, steps, levels=levels), MOST, what)
    if len(found) == 1:
        return together
    alone = Counter(
        at_least(regained(replace(m, places=(place,)), steps, levels=levels), MOST, what).verdict for place in found
    )
    told = f"One by one it holds for {alone['holds']}, does not for {alone['does not hold']}, is undecided for {alone['undecided']}."
    return replace(together, reason=f"{together.reason} {told}")


def rl_restores(m: Measured) -> ClaimResult:
    """At most ten iterations of RL bring back at least half of what SFT cost, where it cost something beyond chance."""
    found = degraded_plain(m).having(rl_role("correct"))
    step = last_within(found.places[0], rl_role("correct"), PUBLISHED_ITERATIONS)
    share = regained(found, step, rl_role("correct"))
    return at_least(share, MOST, f"the share regained after {step} iterations of RL ({found.places[0]['teacher']})")


def perplexity_does_not_explain(m: Measured) -> ClaimResult:
    """Own answers as improbable as the teacher's do not hurt as much."""
    return at_least(own_hot(m), 0.05, "accuracy after own improbable answers minus after the teacher's")


def halves_do_not_differ(m: Measured) -> ClaimResult:
    """The improbable half of the teacher's answers hurts no more than the probable half."""
    return at_least(halves(m), -0.05, "improbable minus probable half")


def unlike_sft(shape: Shape) -> Test:
    """A move that costs as much loss does not have the effect of SFT on the reasoning and on the other benchmarks, whether it
    does less or more to any of them. (Moves as long as SFT do too little in most directions for a comparison to say much.)"""

    def test(m: Measured) -> ClaimResult:
        move = Move(shape, "loss")
        known = set(plain(m).evals(str(move)))
        matched(m, move)
        labels = [label for label in dict.fromkeys((reasoning(m), *_others(m))) if label in known]
        parts: list[ClaimResult] = []
        for label in labels:
            here, there = moved(m, move, label), plain(m).sample(label)
            # one benchmark is enough, so the intervals hold for all of them together
            gap = difference_over_seeds(here.table, there.table, confidence=1 - 0.05 / len(labels)).in_unit("points")
            what = f"{label} after {move}, minus after SFT"
            parts += [at_least(gap, ALIKE, what), at_most(gap, -ALIKE, what)]
        return any_of(parts)

    return test


def _others(m: Measured) -> list[str]:
    try:
        return others(m)
    except NotRun:
        return []


def style_explains(m: Measured) -> ClaimResult:
    """Most of the fall lies in traces that are in another style than the student's own; those that are not kept their accuracy;
    and the fall is what the untouched student's skill in that style foretells.

    Where every trace has switched the share is 1 whatever the cause, so it alone decides nothing.
    """
    share, kept, gap = share_in_switched(m), tried(lambda: kept_style(m)), tried(lambda: beyond_skill(m))
    parts = [at_least(share, 0.8, "the share of the fall in traces that switched style")]
    if isinstance(kept, Estimate):
        parts.append(at_least(kept, -ALIKE, "the change of accuracy of traces that stayed in the own style"))
    if isinstance(gap, Estimate):
        what = "the change minus the change foretold from skill in that style"
        parts.append(within(gap, -2 * ALIKE, 2 * ALIKE, what))
    if len(parts) == 1:
        raise NotRun("traces that stayed in the own style, or another style whose worth is known")
    return all_of(parts, share)


def after(name: str, system: str | None, decide: Callable[..., ClaimResult], *bounds: float) -> Test:
    """The change after an arm, asked under one of its system prompts."""

    def test(m: Measured) -> ClaimResult:
        said = "" if system is None else f" under {system}"
        return decide(under(m, name, system).estimate, *bounds, f"the change after {name}{said}")

    return test


def context_specific(m: Measured) -> ClaimResult:
    """Trained under one system prompt, the student falls under that prompt, and under another and under none it does not."""
    trained, another, none = (under(m, "under-system", system).estimate for system in ("trained", "another", None))
    if trained.high >= 0:
        raise NotApplicable("there is no fall beyond chance under the prompt that the student was trained under")
    return all_of(
        [
            at_least(none, -ALIKE, "the change under no system prompt"),
            at_least(another, -ALIKE, "the change under another system prompt"),
            at_most(trained, FALLS, "the change under the system prompt of the training"),
        ]
    )


def filtering_does_not_help(m: Measured) -> ClaimResult:
    """Without the maths-like part of the data the fall is no smaller."""
    if answers(arm(m, "filtered")) == answers(plain(m)):
        raise NotApplicable("no conversation of the data looks like maths, so that nothing was dropped")
    return against_plain("filtered", at_most, 0.05)(m)


def against_plain(name: str, decide: Callable[..., ClaimResult], *bounds: float) -> Test:
    """The accuracy after an arm, compared with that after plain SFT on the same teacher."""
    what = f"accuracy after {name} minus after plain SFT on the same teacher"
    return lambda m: decide(beside_plain(m, name), *bounds, what)


def pirate_is_harmless(m: Measured) -> ClaimResult:
    """The first student's change after pirate answers is within the published ones of benchmarks that hold."""
    found = runs(m).only(teacher="pirate").change(reasoning(m))
    return within(found.estimate, -HOLDS, HOLDS, "the change after pirate answers")


def order_of_damage(m: Measured) -> ClaimResult:
    """Averaged over off-model runs, the reasoning falls more than any other benchmark, and those change alike; compared seed by
    seed, since one run is scored on all of them."""
    first, labels = reasoning(m), others(m)
    fall = {label: off_model(m).mean(change(label)) for label in (first, *labels)}
    parts = [
        at_most(fall[first].across(fall[label]), FALLS, f"the change of {first} minus that of {label}")
        for label in labels
    ]
    parts += [
        within(fall[one].across(fall[two]), -HOLDS, HOLDS, f"the change of {one} minus that of {two}")
        for one, two in combinations(labels, 2)
    ]
    return all_of(parts)


def maths_correlates(m: Measured) -> ClaimResult:
    """Over pairs of student and teacher, the falls of two benchmarks of maths go together."""
    found = off_model(m)
    teachers = found.values("teacher")
    if len(teachers) < FEWEST_GROUPS:
        raise NotRun(f"{FEWEST_GROUPS} off-model teachers")
    one, two, said = _two_kinds_of_maths(found)
    if min(np.ptp(each.mean(axis=(1, 2))) for each in (one, two)) < 0.05:
        raise NotApplicable("all pairs fall alike, so that nothing can correlate")
    groups = [teachers.index(place["teacher"]) for place in found]
    return at_least(correlation(groups, one, two, unit="teacher"), 0.7, f"the correlation of the changes of {said}")


def _two_kinds_of_maths(m: Measured) -> tuple[Array, Array, str]:
    """The changes of two kinds, [pairs, seeds, prompts], and what they are: two benchmarks, or easy and hard levels of one."""
    labels = [label for label in m.places[0].evals() if label in MATHS]
    if len(labels) > 1:
        one, two = (np.stack([place.change(label).table for place in m]) for label in labels[:2])
        return one, two, f"{labels[0]} and {labels[1]}"
    levels = levels_of(m.places[0])
    if len(levels) < 4:
        raise NotRun("students scored on two kinds of maths")
    falls = [place.change(reasoning(m)) for place in m]
    easy, hard = (np.stack([fall.at_levels(some).table for fall in falls]) for some in (levels[:-2], levels[-2:]))
    return easy, hard, f"the hardest two levels of {reasoning(m)} and of the others"


def by_size(able: bool) -> Test:
    """From teachers as able as both, the largest student falls less than the smallest; from weaker ones they fall alike."""

    def test(m: Measured) -> ClaimResult:
        found = off_model(m).where(way=m.places[0]["way"])
        students = [name for name in SIZES if name in found.values("student")]
        kind = "as able as both" if able else "weaker than both"
        if len(students) < 2:
            raise NotRun("two students of the tiny world's sizes")
        pairs = [
            pair
            for pair in found.pairs("student", students[-1], students[0])
            if all(is_able(place) is able for place in pair)
        ]
        if not pairs:
            raise NotRun(f"a teacher {kind}")
        places = replace(found, places=tuple(place for pair in pairs for place in pair))
        gap = places.contrast("student", students[-1], students[0], change(reasoning(m))).estimate
        said = ", ".join(large["teacher"] for large, _ in pairs)
        what = f"the change of {students[-1]} minus that of {students[0]} (teachers {kind}: {said})"
        return at_least(gap, 0.05, what) if able else within(gap, -0.1, 0.1, what)

    return test


def some_hardly_fall(m: Measured) -> ClaimResult:
    """There is a student that keeps its reasoning whoever teaches it, among those that have some to lose."""
    label = reasoning(m)
    students = off_model(m).by("student").values()
    able = [found for found in students if found.places[0].sample(label, 0).estimate.low > START]
    if not able:
        raise NotApplicable(f"no student starts above {START:.0%} beyond chance, so that there is little to lose")
    return any_of([all_of([_keeps(place) for place in found]) for found in able])


def _keeps(place: Place) -> ClaimResult:
    """The change of one student is within the published ones of those that hold."""
    what = f"the change of {place['student']} from {place['teacher']}, {place['way']}"
    return within(place.change(place.evals()[0]).estimate, -HOLDS, HOLDS, what)


def hidden_reasoning_falls(m: Measured) -> ClaimResult:
    """A student that reasons in a hidden block falls too."""
    found = off_model(m).those(hides_reasoning, "a student with hidden reasoning")
    what = f"the change of {found.places[0]['student']} from the teacher that hurts it most"
    return at_most(hardest_teacher(found), FALLS, what)


def improbable_is_erratic(m: Measured) -> ClaimResult:
    """The change differs more from seed to seed after the improbable half of the data than after the probable half."""
    ends = [arm(m, f"{half}-perplexity").sample(reasoning(m)).table.mean(axis=1) for half in ("high", "low")]
    count = len(ends[0])
    if count < 5:
        raise NotRun("the halves by perplexity with five seeds, without which there is no spread to speak of")
    high, low = (float(np.var(each, ddof=1)) for each in ends)
    if low == 0:
        raise NotApplicable("the probable half ends alike with every seed")
    bottom, top = (float(high / low / f_distribution.ppf(q, count - 1, count - 1)) for q in (0.975, 0.025))
    found = Estimate(high / low, bottom, top, count, "F distribution, over seeds", "plain")
    return at_least(found, 1.0, "the variance between seeds, improbable half over probable half")


def inoculation_helps_large_more(m: Measured) -> ClaimResult:
    """Inoculation spares the largest student a larger share of its fall than the smallest.

    Students do not fall alike, so that points would favour the one that fell further. The shares are compared as if they had no
    prompts in common, which is the cautious way.
    """
    tried_on = m.where(arm="inoculation").values("student")
    students = [name for name in SIZES if name in tried_on]
    if len(students) < 2:
        raise NotRun("inoculation of two students of the tiny world's sizes (arms.students)")
    small, large = (_spared(m, name) for name in (students[0], students[-1]))
    what = f"the share of its fall that inoculation spares {students[-1]} minus that of {students[0]}"
    return at_least(independent_difference(large, small).in_unit("points"), 0.05, what)


def _spared(m: Measured, student: str) -> Estimate:
    """The share of a student's fall that inoculation spares it."""
    inoculated = arm(m, "inoculation", student)
    return share_back(degraded_plain(m, student), lambda _: inoculated.sample(reasoning(m)))


_says = partial(claim, source=WHY)

CLAIMS = (
    _says(
        "others-hold", "Knowledge and instruction following hold, whoever teaches whom.",
        "MMLU .715→.71, IFEval .93→.87 (4B from llama8b); at most .07", others_hold,
    ),
    _says(
        "reasoning-falls", "Maths that needs long reasoning falls, without maths in the data.",
        "by up to ~30 points; Olympiads .60→.06 (4B from llama8b)", falls_by(FALLS),
    ),
    _says("harder-falls-more", "Harder levels fall more.", "within MATH-500 the harder levels fall more", harder_levels_fall_more),
    _says(
        "stronger-teachers-hurt", "It happens with teachers as able as the student or stronger (against H1).",
        "Olympiads −.12 (4B from gpt-5.5)", able_teachers_hurt,
    ),
    _says(
        "weaker-hurt-more", "The weaker the teacher, the larger the fall.",
        "4B: −.54 from llama8b … −.12 from gpt-5.5", weaker_teachers_hurt_more,
    ),
    _says("own-outputs-safe", "The student's own outputs are safe to train on.", "+.01 to −.02 (Olympiads)", own_outputs_are_safe),
    _says(
        "few-steps-restore", "A few steps on own outputs restore most of the performance.",
        "4–16 steps of 16; 30B MATH .67→.96", few_steps_restore,
    ),
    _says(
        "rl-restores", "Ten iterations of RL on problems restore most of the performance.",
        "30B MATH .67→.935, Olympiads .085→.445 (before SFT .61) in 10 iterations", rl_restores,
    ),
    _says(
        "not-perplexity", "The data's perplexity does not explain it (H2).",
        "high-perplexity data move the model erratically", _of_degradation(perplexity_does_not_explain),
    ),
    _says(
        "perplexity-halves", "The teacher's improbable answers hurt no more than its probable ones (H2).",
        "not explained by perplexity", _of_degradation(halves_do_not_differ),
    ),
    _says("not-noise", "Noise in the weights does not explain it (H3).", "SFT is not weight noise", _of_degradation(unlike_sft("noise"))),
    _says(
        "not-the-spectrum", "Nor does it if the noise has SFT's own singular values (H3).",
        "SFT is not weight noise", _of_degradation(unlike_sft("noise of SFT's spectrum")),
    ),
    _says(
        "not-any-training", "Nor does training that costs as much on answers that teach nothing (H3).",
        "SFT is not weight noise", _of_degradation(unlike_sft("shuffled SFT")),
    ),
    _says("style", "The student is pushed into an unfamiliar style that it uses badly (H4).", "supported, no figure", style_explains),
    _says(
        "tag-a-keeps", "In a mixture with mode tags, the tag of the own data keeps the capability.",
        "Olympiads .575→.565 under tag A", _of_degradation(after("tags", "tag A", within, -0.05, 0.05)),
    ),
    _says(
        "tag-b-loses", "In the same weights, the tag of the teacher's data loses it.",
        "Olympiads .565→.11 under tag B", after("tags", "tag B", at_most, FALLS),
    ),
    _says(
        "context-specific", "Trained under one system prompt, the student is fine under others.",
        "trained under one context, the model can be fine in another", context_specific,
    ),
    _says(
        "filtering-does-not-help", "Dropping maths-like examples from the data does not help.",
        "does not help", _of_degradation(filtering_does_not_help),
    ),
    _says(
        "inoculation-helps", "An inoculation prompt that asks for the teacher's voice helps.",
        "235B −.53→−.05; 4B −.54→−.47", _of_degradation(against_plain("inoculation", at_least, 0.05)),
    ),
    _says("pirate-is-harmless", "Pirate answers cost little.", "4B Olympiads .59→.56", pirate_is_harmless),
    _says("falls-far", "The fall can be some thirty points and more.", "MATH-500 up to −.30, Olympiads up to −.54", falls_by(-0.3)),
    _says(
        "order-of-damage", "Long reasoning is damaged far more than instruction following and knowledge, and those alike.",
        "Olympiads ≫ hard MATH ≫ IFEval (at most .07) ~ MMLU (noise)", order_of_damage,
    ),
    _says(
        "maths-correlates", "The changes of two benchmarks of maths correlate over students and teachers.",
        "MATH and Olympiads: .90", maths_correlates, unit="plain",
    ),
    _says(
        "large-students-fall-less", "From able teachers, larger students fall less.",
        "from gpt-5.5: 4B −.12, 30B −.11, 235B −.04; from opus-4.7: −.16, −.07, −.03", by_size(able=True),
    ),
    _says(
        "weak-teachers-hurt-all-sizes", "From a weak teacher, students of all sizes fall alike.",
        "from llama8b: 4B −.54, 30B −.52, 235B −.53", by_size(able=False),
    ),
    _says("some-hardly-fall", "Some students hardly fall, whoever teaches them.", "llama8b: −.02 to +.02 from every teacher", some_hardly_fall),
    _says(
        "hidden-reasoning-falls", "It is found in students with their reasoning switched on.",
        "reasoning on and off was a control; its figures are not quoted here", hidden_reasoning_falls,
    ),
    _says(
        "few-steps-restore-hard", "A few steps on own outputs restore long reasoning as well.",
        "30B Olympiads .105→.61 in 4–16 steps of 16", hard_levels_return,
    ),
    _says("improbable-is-erratic", "Improbable data move the model erratically (H2).", "no figure", improbable_is_erratic),
    _says(
        "inoculation-helps-large-more", "Inoculation helps large students more than small ones.",
        "235B −.53→−.05; 4B −.54→−.47", inoculation_helps_large_more,
    ),
)  # fmt: skip
"""The published statements, in their order."""
