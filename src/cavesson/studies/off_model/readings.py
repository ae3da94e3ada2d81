"""What is read off the runs of `off-model-sft`: degradation and recovery, teachers, arms, and moves of the weights.

A figure that cannot be had raises `NotRun` or `NotApplicable`; what is about a degradation is asked only where something degraded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from cavesson.analysis.contrasts import FEWEST_GROUPS, lowest_mean, share_regained, slope
from cavesson.estimate import Estimate
from cavesson.evals.scores import Score
from cavesson.figures import percent
from cavesson.sampling.matched_noise import FARTHEST, is_match
from cavesson.stats import Array, paired_difference
from cavesson.studies.grid import Measured, Of, Place
from cavesson.studies.off_model.arms import ARMS, PLAIN, Move
from cavesson.studies.sample import NotApplicable, NotRun, Sample, mean_of, pooled
from cavesson.studies.shown import tried

ALIKE = 0.05
"""Differences of accuracy below this count as none."""

MUCH = 0.3
"""A student that starts no higher has little to lose: that it "hardly falls" says nothing."""

MATHS = ("maths", "everyday-maths", "math-500", "olympiads", "gsm8k")
"""Benchmarks that need reasoning, by their names."""

# ----------------------------------------------------------------------------------------------- places


def runs(m: Measured) -> Measured:
    """The SFT of every student on every teacher, arms left out."""
    return m.where(arm=PLAIN)


def off_model(m: Measured) -> Measured:
    """The runs on another model's answers."""
    return m.those(lambda place: place.at.get("arm") == PLAIN and place["data"] == "off-model", "an off-model teacher")


def varied(m: Measured, student: str | None = None) -> Measured:
    """The run that the arms of a student (None: of the first) vary: the SFT on the arms' teacher, trained the first way."""
    first = m.places[0]
    wanted = (student or first["student"], m.config.arms_teacher, first["way"])
    return runs(m).those(
        lambda place: (place["student"], place["teacher"], place["way"]) == wanted, "the SFT that the arms vary"
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
    return m.those(lambda place: (place["student"], place.at.get("arm")) == wanted, f"the arm {name}").places[0]


def name_of(place: Place) -> str:
    """Student, teacher and way, for a row of a table."""
    return f"{place['student']} ← {place['teacher']}, {place['way']}"


# ----------------------------------------------------------------------------------------------- the reasoning


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


def before(place: Place) -> Sample:
    """The reasoning of the untouched student."""
    return place.sample(place.evals()[0], 0)


def after(place: Place) -> Sample:
    """The reasoning at the end of the run."""
    return place.sample(place.evals()[0])


def fall(place: Place) -> Sample:
    """The change of the reasoning, below 0 where the reasoning fell."""
    return after(place) - before(place)


def with_much_to_lose(m: Measured) -> Measured:
    """The runs of students whose reasoning starts above `MUCH` beyond chance.

    Raises:
        NotApplicable: there are none.
    """
    able = [of for of in m.by("student").values() if before(of.places[0]).estimate.low > MUCH]
    if not able:
        raise NotApplicable(
            f"no student starts above {percent(MUCH)} of {reasoning(m)} beyond chance, so that there is little to lose"
        )
    return replace(m, places=tuple(place for of in able for place in of))


def levels_of(place: Place) -> list[int]:
    """The levels of the reasoning benchmark; empty if it has none."""
    return sorted({level for level in before(place).levels if level is not None})


# ----------------------------------------------------------------------------------------------- degradation


def degraded(found: Sample) -> bool:
    """Whether a score fell in every seed and, over all, beyond chance: a share of less would mean nothing."""
    return bool(np.all(found.table.mean(axis=1) < 0)) and found.estimate.high < 0


def _degraded_among(m: Measured, otherwise: str) -> Measured:
    """The runs whose reasoning degraded: only there is something to explain, to spare or to bring about.

    Raises:
        NotApplicable: none did; `otherwise` says who cost nothing.
    """
    found = tuple(place for place in m if degraded(fall(place)))
    if not found:
        raise NotApplicable(otherwise)
    return replace(m, places=found)


def degraded_runs(m: Measured) -> Measured:
    """The off-model runs that degraded."""
    return _degraded_among(off_model(m), f"no off-model teacher cost {reasoning(m)} anything beyond chance")


def degraded_plain(m: Measured, student: str | None = None) -> Measured:
    """The run that the arms vary, if it degraded."""
    found = varied(m, student)
    [place] = found
    return _degraded_among(found, f"SFT on {place['teacher']} cost {place['student']} nothing beyond chance")


def lowest_of(changes: Sequence[Sample]) -> Estimate:
    """The lowest of several changes, which is chosen on other seeds and prompts than it is measured on."""
    if len(changes[0].prompts) < 2:
        raise NotRun("a second prompt")
    tables, levels = np.stack([one.table for one in changes]), [level or 0 for level in changes[0].levels]
    return lowest_mean(tables, levels).in_unit("points")


def hardest_teacher(m: Measured) -> Estimate:
    """The change of the reasoning from the teacher that hurts most, averaged over the students and ways of each teacher.

    "Some teacher degrades it" is shown by an interval below 0, "none does" by one that lies above what counts as a degradation.
    """
    return lowest_of([of_one.mean(fall) for of_one in m.by("teacher").values()])


def lowest(m: Measured, label: str) -> Place:
    """The place in which a benchmark ends lowest against its start; where its figure is quoted, the choice flatters."""
    return min(m, key=lambda place: float(place.change(label).table.mean(axis=1).mean()))


def worst(m: Measured) -> Place:
    """The run that degraded most, off-model if there is one."""
    return lowest(runs(m).by("data").get("off-model", runs(m)), reasoning(m))


Read = Callable[[Place, int, "str | None"], Sample]
"""Scores of a run at a step (-1: the last) of a role (None: the SFT)."""


def reasoning_of(levels: Sequence[int] | None = None) -> Read:
    """The reasoning, at some levels alone (None: at all)."""

    def read(place: Place, step: int, role: str | None) -> Sample:
        found = place.sample(place.evals()[0], step, role)
        return found if levels is None else found.at_levels(levels)

    return read


def capability_of(m: Measured) -> Read:
    """The mean of all benchmarks that measure capability, whose prompts are equally many."""
    labels = benchmarks(m)
    return lambda place, step, role: pooled([place.sample(label, step, role) for label in labels])


def share_back(places: Iterable[Place], now: Of, read: Read | None = None) -> Estimate:
    """Share of what the runs lost that `now` has again: (now − damaged) / (untouched − damaged), by Fieller's interval.

    Over several runs, the share of all that they lost: one that lost little counts for little. Runs are as they are.

    Args:
        read: what was lost; None: the reasoning.
    """
    runs, scores = tuple(places), read or reasoning_of()
    stages = (lambda place: scores(place, 0, None), lambda place: scores(place, -1, None), now)
    means = (mean_of([of(place) for place in runs]) for of in stages)
    share = share_regained(*(found.table for found in means))
    pairs = "" if len(runs) == 1 else f"; {len(runs)} student-teacher pairs as they are"
    return replace(share, method=f"{share.method}{pairs}")


def regained(places: Iterable[Place], step: int, role: str = "recovery", read: Read | None = None) -> Estimate:
    """The share that so many steps of recovery bring back, of the reasoning or of what `read` reads."""
    scores = read or reasoning_of()
    return share_back(places, lambda place: scores(place, step, role), scores)


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


def teachers_answers(place: Place) -> list[Score | None]:
    """The teacher's own answers to the reasoning benchmark, in the order of the prompts; None where it has not answered.

    Raises:
        NotRun: the teacher was not asked.
    """
    known = {row.item: row for row in place.rows(place.evals()[0], None, "teacher")[0]}
    return [known.get(item) for item in before(place).prompts]


def _teachers_scores(place: Place) -> Array:
    """The teacher's own scores, [prompts]; not a number where it has not answered."""
    return np.array([np.nan if row is None else row.score for row in teachers_answers(place)], dtype=float)


def both_on(place: Place) -> tuple[Array, Array]:
    """Scores of the teacher and of its untouched student on the prompts that the teacher has answered, [prompts] each."""
    theirs = _teachers_scores(place)
    answered = ~np.isnan(theirs)
    if not answered.any():
        raise NotRun(f"answers of {place['teacher']} to the problems of {place['student']}")
    return theirs[answered], before(place).table[0][answered]


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
    asked = {place: _teachers_scores(place) for place in off_model(m).having("teacher")}
    asked = {place: scores for place, scores in asked.items() if not np.isnan(scores).all()}
    found = None
    if asked:
        able = np.stack(list(asked.values()))
        common = ~np.isnan(able).any(axis=0)
        fell = np.stack([fall(place).table[:, common] for place in asked], axis=1)
        found = slope([place["teacher"] for place in asked], able[:, common], fell, apart=ALIKE, unit="teacher")
    if found is None:
        raise NotRun(f"{FEWEST_GROUPS} teachers or more whose accuracies still differ whichever of them is left out")
    return replace(found, method=f"{found.method}; students as they are", unit="plain")


# ----------------------------------------------------------------------------------------------- arms


def asked_under(place: Place) -> dict[str | None, str]:
    """The label of the reasoning under no system prompt (None), and under each of an arm's, by the name of the prompt."""
    names = () if place["arm"] == PLAIN else ARMS[place["arm"]].asked
    return dict(zip((None, *names), place.evals(), strict=False))


def under(m: Measured, name: str, system: str | None = None) -> Estimate:
    """The change of the reasoning after an arm, asked under one of its system prompts (None: under none)."""
    place = arm(m, name)
    labels = asked_under(place)
    if system not in labels:
        raise NotRun(f"the arm {name} under {system}")
    return place.change(labels[system]).estimate


def between(m: Measured, one: str, two: str = PLAIN) -> Estimate:
    """Accuracy after one arm minus after another one, or after the plain SFT on the same teacher."""
    return m.where(student=m.places[0]["student"]).contrast("arm", one, two, after).estimate


def halves(m: Measured) -> Estimate:
    """Accuracy after the improbable half of the answers minus after the probable half."""
    return between(m, "high-perplexity", "low-perplexity")


def own_hot(m: Measured) -> Estimate:
    """Accuracy after own improbable answers minus after the teacher's, if the own are at least as improbable."""
    if trained_on(arm(m, "own-hot")).loss < trained_on(plain(m)).loss:
        raise NotRun("own answers sampled as improbable as the teacher's")
    return between(m, "own-hot")


class TrainedOn(NamedTuple):
    """The data of a run, as the untouched student finds them; averaged over seeds, but for `answers`.

    Attributes:
        answers: how many there are, with the first seed.
        loss: of the tokens that are trained, in nats a token; not a number without any.
        share: of all tokens, those that are trained.
    """

    answers: int
    loss: float
    share: float


@lru_cache(maxsize=4096)
def trained_on(place: Place) -> TrainedOn:
    """What the SFT of a place is trained on."""
    found, answers = [], []
    for perplexity, probed in zip(place.recipes("perplexity"), place.recipes(), strict=True):
        likelihoods = perplexity.read(place.path_of)
        answers.append(len(likelihoods))
        tokens = np.concatenate([one.logprobs for one in likelihoods])
        least = getattr(probed.run.objective, "min_probability", None)
        kept = tokens[tokens >= (-np.inf if least is None else np.log(least))]
        found.append((-float(kept.mean()) if kept.size else np.nan, kept.size / tokens.size))
    losses, shares = zip(*found, strict=True)
    return TrainedOn(answers[0], float(np.mean(losses)), float(np.mean(shares)))


# ----------------------------------------------------------------------------------------------- moves of the weights


def lengths(m: Measured, move: Move) -> tuple[float, ...]:
    """How far a move goes, in distances of SFT; of moves matched by loss, with each seed."""
    if move.match == "distance":
        return (move.times,)
    place = plain(m)
    return tuple(recipe.read(place.path_of) for recipe in place.recipes(move.length_role))


def moved(m: Measured, move: Move, label: str) -> Sample:
    """The score after a move of the weights."""
    return varied(m).having(str(move)).places[0].sample(label, None, str(move))


def matched(m: Measured, move: Move) -> None:
    """Nothing, if the move costs as much loss on own chat answers as SFT did, with every seed.

    Raises:
        NotApplicable: no length of the move does.
    """
    missed = [length for length in lengths(m, move) if move.match == "loss" and not is_match(length)]
    if missed and missed[0] == 0:
        raise NotApplicable("SFT did not raise the loss on own chat answers, so that noise of the same loss is none")
    if missed:
        raise NotApplicable(f"even {FARTHEST:g} times as far it does not cost as much loss on own chat answers as SFT")


def noise_gap(m: Measured, move: Move) -> Estimate:
    """Accuracy after a move minus after the SFT that the move is matched to."""
    found = moved(m, move, reasoning(m)) - after(plain(m))
    matched(m, move)
    return found.estimate
