"""What `off-model-sft` shows: curves, tables of what changes, of styles, of arms and of moves of the weights, and transcripts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from cavesson.analysis.styles import TOLD_APART
from cavesson.analysis.surprise import IMPROBABLE, surprise, surprised_at
from cavesson.analysis.traces import rate_among
from cavesson.estimate import Estimate
from cavesson.figures import percent
from cavesson.findings.views import CurveView, TableView
from cavesson.sampling.matched_noise import is_match
from cavesson.sampling.perplexity import Likelihood
from cavesson.stats import mean_ci
from cavesson.studies.grid import Measured, Place, change
from cavesson.studies.off_model.arms import ARMS, MATCHED, MOVES, PLAIN, SHAPES, Move, Shape
from cavesson.studies.off_model.hypotheses import HYPOTHESES
from cavesson.studies.off_model.readings import (
    ability_gap,
    arms_run,
    asked_under,
    both_on,
    degraded,
    fall,
    lengths,
    levels_of,
    moved,
    name_of,
    off_model,
    plain,
    reasoning,
    runs,
    teachers_answers,
    trained_on,
    varied,
    worst,
)
from cavesson.studies.off_model.styles import (
    called,
    commonest,
    expected,
    has_styles,
    hides_reasoning,
    in_style,
    in_switched,
    other_style,
    own_style,
    rate_in,
    records_styles,
    share_in,
    style_judge,
)
from cavesson.studies.sample import NotApplicable, Sample
from cavesson.studies.shown import Figure, chart, known, rulings, table

Line = tuple[Sequence[int], Callable[[int], Sample]]
"""The steps of a chart's line, and the figure at each."""


def along(place: Place, label: str, role: str | None = None) -> Line:
    """The line of one evaluation along a run or what follows it."""
    return place.steps(role), lambda step: place.sample(label, step, role)


def by_pair(
    title: str,
    caption: str,
    places: Iterable[Place],
    columns: Mapping[str, Callable[[Place], Figure]],
    shade: Literal["good"] | None = None,
) -> TableView | None:
    """A table with a row for each run, named by its student and teacher."""
    rows = {name_of(place): place for place in places}
    return table(title, caption, rows, columns, first="student ← teacher", shade=shade)


# ----------------------------------------------------------------------------------------------- charts


def curves(m: Measured) -> Iterator[CurveView | None]:
    """For every student and way of training: the reasoning benchmark by teacher, along SFT and along the recovery."""
    label = reasoning(m)
    for (student, way), of in runs(m).by("student", "way").items():
        yield chart(
            f"{label} along SFT on each teacher's chat answers: {student}, {way}",
            {place["teacher"]: along(place, label) for place in of},
            caption="No maths in the data. `self` is the on-model control.",
            x="SFT steps",
            y=label,
        )
        yield chart(
            f"Recovery of {label} on own answers: {student}, {way}",
            {f"after {place['teacher']}": along(place, label, "recovery") for place in of if "recovery" in place.roles},
            caption="SFT goes on from the end of the curves above, on the untouched student's answers to other chat prompts.",
            x="steps on own answers",
            y=label,
        )


def worst_curves(m: Measured) -> Iterator[CurveView | None]:
    """For the run that degraded most: every benchmark, every level, and the styles."""
    label, place = reasoning(m), worst(m)
    name, steps = f"{place['student']} from {place['teacher']}, {place['way']}", place.steps()
    of_step = partial(place.sample, label)
    yield chart(
        f"All benchmarks: {name}", {each: along(place, each) for each in place.evals()}, x="SFT steps", y="accuracy"
    )
    yield chart(
        f"{label} by level: {name}",
        {f"level {level}": (steps, partial(_at_level, of_step, level)) for level in levels_of(place)},
        caption="The higher the level, the longer the chain of steps.",
        x="SFT steps",
        y=label,
    )
    yield chart(
        f"Reasoning in another style: {name}",
        {
            "in another style": (steps, partial(share_in, place, "another")),
            "in no style": (steps, partial(share_in, place, "none")),
            "right": (steps, of_step),
        },
        caption=f"Share of the traces in another style than the student's own, {own_style(place)}, and in none; and the "
        "accuracy.",
        x="SFT steps",
        y="share",
    )


def _at_level(of: Callable[[Any], Sample], level: int, thing: Any) -> Sample:
    """A figure of the prompts of one level."""
    return of(thing).at_levels([level])


# ----------------------------------------------------------------------------------------------- what SFT changes


def changes(m: Measured) -> Iterator[TableView | None]:
    """What SFT changes and what comes back: every pair, the matrix, the levels."""
    label, labels = reasoning(m), m.places[0].evals()
    yield table(
        "What SFT on chat answers changes",
        "Accuracy at the end of SFT minus before, on the same prompts. Teacher `self`: the on-model control.",
        {(place["student"], place["teacher"], place["way"]): place for place in runs(m)},
        {each: change(each) for each in labels},
        first=("student", "teacher", "trained"),
        shade="good",
    )
    recovered = [place for place in runs(m) if "recovery" in place.roles]
    last = max((step for place in recovered for step in place.steps("recovery")), default=0)
    yield by_pair(
        "What is left of it after training on own answers",
        f"Accuracy after {last} further steps on the student's own answers, minus before all training.",
        recovered,
        {each: change(each, "recovery") for each in labels},
        shade="good",
    )
    students = runs(m).by("student", "way")
    if len(students) > 1:
        yield table(
            f"Change of {label}, student × teacher",
            "Final minus start. A student that is its own teacher stands under `self`.",
            {f"{student}, {way}": of for (student, way), of in students.items()},
            {name: lambda of, name=name: fall(of.only(teacher=name)) for name in runs(m).values("teacher")},  # type: ignore[misc]
            first="student",
            shade="good",
        )
    yield by_pair(
        f"Change of {label} by level",
        "Final minus start; the higher the level, the longer the chain of steps.",
        runs(m),
        {f"level {level}": partial(_at_level, fall, level) for level in levels_of(m.places[0])},
        shade="good",
    )


def hypotheses(m: Measured) -> TableView | None:
    """What became of each explanation, by each measurement."""
    return rulings(
        "The four hypotheses",
        "Each hypothesis could fail by each of these measurements; where one could not here, it is not applicable and says why. "
        "\"Ruled out\": the interval excludes what the hypothesis predicts, as the explanation of the fall here. \"Not ruled "
        "out\" is no proof: leaving improbable tokens out, for one, also leaves out the style's own words. Every measurement "
        "stands at 95 % on its own, and each kind of noise is a hypothesis of its own.",
        HYPOTHESES,
        m,
    )  # fmt: skip


def teachers(m: Measured) -> TableView | None:
    """How well the teachers reason themselves, beside their students (H1)."""
    return table(
        f"The teachers' own {reasoning(m)}",
        "Accuracy of the teacher, and of the student before any SFT, on the prompts that the teacher has answered.",
        {f"{place['student']} ← {place['teacher']}": place for place in off_model(m)},
        {
            "teacher": lambda place: mean_ci(both_on(place)[0]),
            "student": lambda place: mean_ci(both_on(place)[1]),
            "difference": ability_gap,
        },
        first="student ← teacher",
    )


# ----------------------------------------------------------------------------------------------- styles of reasoning


def styles(m: Measured) -> Iterator[TableView | None]:
    """Which style the reasoning is in, how it fares in each, and what style explains of the damage (H4)."""
    with_styles = [place for place in runs(m) if has_styles(place)]
    yield by_pair(
        "Styles of reasoning",
        'The style of the reasoning traces (A, or "own", is the student\'s): share that switched to another, share that shows no '
        "sign of any (damage and not style: in neither column of accuracy), and accuracy by style before and after. A "
        "classifier, where no styles are recorded, knows two styles and calls every trace one of them, babble too.",
        with_styles,
        {
            "style": lambda place: f"{own_style(place)} → {other_style(place)}",
            "switched": lambda place: share_in(place, "another"),
            "no style": lambda place: share_in(place, "none"),
            "own, before": lambda place: rate_in(place, "own", 0),
            "own, after": lambda place: rate_in(place, "own"),
            "other, after": lambda place: rate_in(place, "another"),
        },
    )
    yield by_pair(
        "What style explains of the falls",
        "Of pairs that fell: the change; the change that is expected if the student has, in the style of each trace, the "
        "skill that the untouched student shows when asked for this style; and the share of the change that falls on "
        "traces which switched their style. Where nearly all traces switched, the share says nothing.",
        [place for place in with_styles if place["data"] == "off-model" and degraded(fall(place))],
        {
            "change": fall,
            "foretold": lambda place: expected(m, place) - place.sample(reasoning(m), 0),
            "in traces that switched": lambda place: in_switched([place]),
        },
    )
    yield by_pair(
        "Styles told apart by a classifier",
        "A classifier of n-grams learns the student's own style and its teacher's from what both wrote on the benchmark "
        f"before any SFT. Accuracy: on prompts held out; below {percent(TOLD_APART)} no trace is called anything. "
        "Agreement: with the known style, own or not, of the traces after SFT that have one, where the teacher's is not "
        "the student's own and no reasoning is hidden.",
        [place for place in off_model(m) if known(partial(_told_apart, place))],
        {"accuracy": _told_apart, "agreement": _agreement, "used for": _used_for},
    )


def _told_apart(place: Place) -> Estimate:
    """How often the classifier tells the two styles apart: where it is needed, or can be checked.

    It can be checked where styles are recorded, the teacher's is another than the student's, and no reasoning is hidden: of a
    trace with a hidden part the known style is that of the rest.
    """
    if records_styles(place):
        theirs = commonest(None if row is None else row.extra.get("voice") for row in teachers_answers(place))
        if hides_reasoning(place) or theirs in (None, own_style(place)) or in_style(place, "none").all():
            raise NotApplicable("there is nothing to check the classifier by")
    return style_judge(place).accuracy


def _agreement(place: Place) -> Estimate | None:
    """The share of the traces at the end that the classifier calls own or another's as they are; those in no style are neither."""
    if not records_styles(place):
        return None
    agreed = in_style(place, "another") == called(place)
    return rate_among(agreed.astype(float), ~in_style(place, "none"))


def _used_for(place: Place) -> str:
    if records_styles(place):
        return "styles are known: a check"
    return "styles by the classifier" if has_styles(place) else "styles cannot be told apart"


# ----------------------------------------------------------------------------------------------- arms, likelihoods, noise


def arms(m: Measured) -> Iterator[TableView | None]:
    """What each arm changes, under each system prompt."""
    label = reasoning(m)
    for student, of in arms_run(m).by("student").items():
        rows: dict[tuple[str, ...], tuple[Place, str]] = {}
        for place in (*varied(m, student), *of):
            for name, asked in asked_under(place).items():
                under = "none" if name is None else f"{name}: {asked.partition('/under ')[2]}"
                rows[_data(place), f"{trained_on(place).answers:,}", under] = (place, asked)
        yield table(
            "Context and data" if student == m.places[0]["student"] else f"Context and data: {student}",
            f"Change of {label} of {student} with one thing varied, scored under system prompts. Loss: of the "
            "untouched student on the data that it is trained on, in nats a token (of the tokens that are left); the "
            "exponential is the perplexity.",
            rows,
            {
                "loss": lambda row: f"{trained_on(row[0]).loss:.2f}" if trained_on(row[0]).share else "–",
                f"change of {label}": lambda row: row[0].change(row[1]),
            },
            first=("trained on", "answers", "asked under"),
            shade="good",
        )


def _data(place: Place) -> str:
    """What an arm, or the SFT that it varies, is trained on."""
    if place["arm"] == PLAIN:
        return f"plain ({place['teacher']})"
    left, about = trained_on(place).share, ARMS[place["arm"]].about
    return about if left == 1 else f"{about} ({percent(left, 1)} of the tokens left)"


SHOWN_TOKENS, SHOWN_PLACES = 10, 24


def likelihoods(m: Measured) -> Iterator[TableView | CurveView | None]:
    """How improbable the first student finds each teacher's answers (H2), with the first seed."""
    first = m.places[0]
    of = {place["teacher"]: _read(place) for place in runs(m).where(student=first["student"], way=first["way"])}
    yield table(
        f"How improbable {first['student']} finds the teachers' answers",
        "Before SFT. Perplexity of an answer: the exponential of its mean loss a token; 1 is certainty. Improbable: tokens "
        f"that the student gives less than {percent(IMPROBABLE)}; their share of all tokens, the share of the whole loss that "
        "they carry, and the perplexity of the other tokens.",
        {name: surprise(found) for name, found in of.items()},
        {
            "per answer (10 / 50 / 90 %)": lambda found: " / ".join(f"{one:.2f}" for one in found.answers),
            "per token": lambda found: f"{found.tokens:.2f}",
            "improbable": lambda found: percent(found.improbable, 1),
            "of the loss": lambda found: percent(found.of_loss, 0),
            "the others": lambda found: None if found.others is None else f"{found.others:.2f}",
        },
        first="teacher",
    )
    yield chart(
        f"Where in an answer {first['student']} is surprised",
        {name: (range(1, SHOWN_PLACES + 1), partial(surprised_at, found)) for name, found in of.items()},
        caption=f"Share of the answers whose token at this place the untouched student gives less than {percent(IMPROBABLE)}.",
        x="token of the answer",
        y="improbable",
    )


def _read(place: Place) -> Sequence[Likelihood]:
    found: Sequence[Likelihood] = place.recipes("perplexity")[0].read(place.path_of)
    return found


def tokens(m: Measured) -> TableView | None:
    """The tokens that carry most of the loss of the answers that the arms vary."""
    arms_run(m)
    place = plain(m)
    by_token: dict[str, list[float]] = defaultdict(list)
    for likelihood, texts in zip(_read(place), place.recipes("perplexity")[0].tokens(place.path_of), strict=True):
        for value, text in zip(likelihood.logprobs, texts, strict=True):
            by_token[text].append(value)
    total = sum(sum(values) for values in by_token.values())
    heaviest = sorted(by_token, key=lambda text: sum(by_token[text]))[:SHOWN_TOKENS]
    return table(
        f"The tokens that make {place['teacher']}'s answers improbable",
        f"The {SHOWN_TOKENS} tokens that carry most of the untouched student's loss on the answers, the end of the turn "
        "among them: how often each stands there, its log-probability (mean and median, in nats), and its share of the loss.",
        {repr(text)[1:-1]: by_token[text] for text in heaviest},
        {
            "times": lambda values: f"{len(values):,}",
            "mean": lambda values: f"{np.mean(values):.2f}",
            "median": lambda values: f"{np.median(values):.2f}",
            "of the loss": lambda values: percent(sum(values) / total, 1),
        },
        first="token",
    )


def noise(m: Measured) -> Iterator[TableView | CurveView | None]:
    """Every benchmark after each matched move of the weights, beside SFT, and along each random direction (H3)."""
    place = plain(m)
    made = [move for move in MOVES if str(move) in place.roles]
    if not made:
        return
    rows: dict[tuple[str, str], Move | None] = {(f"SFT on {place['teacher']}", "1"): None}
    rows |= {(str(move), _distance(m, move)): move for move in made if move in MATCHED}
    yield table(
        "Weight noise matched to SFT",
        "Moves as far, tensor by tensor, as SFT moved the student, or scaled until the loss on the student's own chat answers "
        "is what SFT made of it: Gaussian noise on every weight; moves of the singular values of SFT's own with random "
        "singular vectors; and the way that SFT goes when the words of all answers are shuffled. Distance: in those of SFT; "
        "of moves matched by loss, of each seed.",
        rows,
        {label: partial(_after_move, m, label) for label in place.evals()},
        first=("weights", "distance"),
        shade="good",
    )
    for shape in SHAPES:
        times = [move.times for move in made if (move.shape, move.match) == (shape, "distance")]
        if len(times) > 1:
            yield chart(
                f"Along a random direction ({shape}) from {place['student']}",
                {label: ([0.0, *times], partial(_so_far, m, shape, label)) for label in place.evals()},
                caption=f"Distance 1 is that of SFT on {place['teacher']}; at 0 stands the untouched student.",
                x="distance, in those of SFT",
                y="accuracy",
            )


def _distance(m: Measured, move: Move) -> str:
    """How far the move goes, or that it matches nothing."""
    return " / ".join(f"{one:.2g}" if is_match(one) else "no match" for one in lengths(m, move))


def _after_move(m: Measured, label: str, move: Move | None) -> Sample:
    """The score after a move of the weights; None: after the SFT that the moves are matched to."""
    return plain(m).sample(label) if move is None else moved(m, move, label)


def _so_far(m: Measured, shape: Shape, label: str, times: float) -> Sample:
    return moved(m, Move(shape, "distance", times), label) if times else plain(m).sample(label, 0)
