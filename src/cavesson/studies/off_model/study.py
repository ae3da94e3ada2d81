"""The study `off-model-sft`: why training on another model's answers costs capability.

Set-up of "Why does off-model SFT degrade capabilities?" (May 2026): a student is trained on a teacher's answers to chat
prompts, nothing about maths among them, and scored along the way on knowledge, instruction following and maths; then it is
trained for a few steps on its own earlier answers. Arms change one thing at a time in the data or in the context.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from cavesson.analysis.styles import FEWEST, TOLD_APART
from cavesson.analysis.traces import Which, rate_among
from cavesson.evals.scores import Score
from cavesson.findings.views import ClaimView, CurveView, TableView, Transcript
from cavesson.sampling.matched_noise import is_match
from cavesson.sampling.perplexity import Likelihood
from cavesson.stats import Estimate, mean_ci, wilson
from cavesson.studies.grid import Measured, NotApplicable, NotRun, Place, Sample, change
from cavesson.studies.off_model.arms import ARMS, MATCHED, MOVES, PLAIN, SHAPES, Move, Shape
from cavesson.studies.off_model.claims import CLAIMS, HYPOTHESES
from cavesson.studies.off_model.config import PRESETS, OffModelConfig
from cavesson.studies.off_model.grid import grid, rl_role
from cavesson.studies.off_model.readings import (
    ability_gap,
    answers,
    arms_run,
    asked_under,
    both_on,
    called,
    commonest,
    degraded,
    degraded_plain,
    expected,
    has_styles,
    hides_reasoning,
    in_switched,
    levels_of,
    mean_loss,
    moved,
    name_of,
    off_model,
    own_and_other,
    own_style,
    plain,
    reasoning,
    records_styles,
    regained,
    runs,
    scales,
    share_trained,
    style_judge,
    styles_at,
    teachers_answers,
    varied,
    worst,
)
from cavesson.studies.shown import Note, chart, rulings, table, tried
from cavesson.studies.study import Study

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


def along(place: Place, label: str, role: str | None = None) -> tuple[Sequence[int], Callable[[int], Sample]]:
    """The line of one evaluation along a run or what follows it."""
    return place.steps(role), lambda step: place.sample(label, step, role)


def worst_curves(m: Measured) -> Iterator[CurveView | None]:
    """For the run that degraded most: every benchmark, every level, and the styles."""
    label, place = reasoning(m), worst(m)
    name, steps = f"{place['student']} from {place['teacher']}, {place['way']}", place.steps()
    yield chart(
        f"All benchmarks: {name}", {each: along(place, each) for each in place.evals()}, x="SFT steps", y="accuracy"
    )
    yield chart(
        f"{label} by level: {name}",
        {f"level {level}": (steps, partial(_at_level, along(place, label)[1], level)) for level in levels_of(place)},
        caption="The higher the level, the longer the chain of steps.",
        x="SFT steps",
        y=label,
    )
    if has_styles(place):
        yield chart(
            f"Reasoning in another style: {name}",
            {
                "in another style": (steps, lambda step: _share(place, step, own_and_other(place, step)[1])),
                "in no style": (steps, lambda step: _share(place, step, ~np.logical_or(*own_and_other(place, step)))),
                "right": along(place, label),
            },
            caption=f"Share of the traces in another style than the student's own, {own_style(place)}, and in none; and the "
            "accuracy.",
            x="SFT steps",
            y="share",
        )


def _share(place: Place, step: int, which: Which) -> Sample:
    """The share of the traces at a step that are meant."""
    return replace(place.sample(place.evals()[0], step), table=which.astype(float))


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
    recovered = {name_of(place): place for place in runs(m) if "recovery" in place.roles}
    last = max((step for place in recovered.values() for step in place.steps("recovery")), default=0)
    yield table(
        "What is left of it after training on own answers",
        f"Accuracy after {last} further steps on the student's own answers, minus before all training.",
        recovered,
        {each: change(each, "recovery") for each in labels},
        first="student ← teacher",
        shade="good",
    )
    places = runs(m).by("student", "way")
    if len(places) > 1:
        yield table(
            f"Change of {label}, student × teacher",
            "Final minus start. A student that is its own teacher stands under `self`.",
            {f"{student}, {way}": of for (student, way), of in places.items()},
            {teacher: partial(_from_teacher, teacher) for teacher in runs(m).values("teacher")},
            first="student",
            shade="good",
        )
    yield table(
        f"Change of {label} by level",
        "Final minus start; the higher the level, the longer the chain of steps.",
        {name_of(place): place for place in runs(m)},
        {f"level {level}": partial(_at_level, change(label), level) for level in levels_of(m.places[0])},
        first="student ← teacher",
        shade="good",
    )


def _from_teacher(teacher: str, of: Measured) -> Sample:
    return of.only(teacher=teacher).change(reasoning(of))


def _at_level(of: Callable[[Any], Sample], level: int, thing: Any) -> Sample:
    """A figure of the prompts of one level."""
    return of(thing).at_levels([level])


# ----------------------------------------------------------------------------------------------- hypotheses


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
    pairs = {f"{place['student']} ← {place['teacher']}": place for place in off_model(m)}
    return table(
        f"The teachers' own {reasoning(m)}",
        "Accuracy of the teacher, and of the student before any SFT, on the prompts that the teacher has answered.",
        pairs,
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
    label = reasoning(m)
    known = [place for place in runs(m) if has_styles(place)]
    yield table(
        "Styles of reasoning",
        'The style of the reasoning traces (A, or "own", is the student\'s): share that switched to another, share that shows no '
        "sign of any (damage and not style: in neither column of accuracy), and accuracy by style before and after. A "
        "classifier, where no styles are recorded, knows two styles and calls every trace one of them, babble too.",
        {name_of(place): place for place in known},
        {
            "style": lambda place: f"{own_style(place)} → {_other_style(place)}",
            "switched": lambda place: _share(place, -1, own_and_other(place)[1]),
            "no style": lambda place: _share(place, -1, ~np.logical_or(*own_and_other(place))),
            "own, before": lambda place: _rate_in(place, 0, 0),
            "own, after": lambda place: _rate_in(place, -1, 0),
            "other, after": lambda place: _rate_in(place, -1, 1),
        },
        first="student ← teacher",
    )
    yield table(
        "What style explains of the falls",
        "Of pairs that fell: the change, the change foretold by the untouched student's skill when it is asked to write in the "
        "style that each trace is in, and the share of the change that falls on traces which switched. That share says "
        "something only where many did not.",
        {name_of(place): place for place in known if place["data"] == "off-model" and degraded(place.change(label))},
        {
            "change": lambda place: place.change(label),
            "foretold": lambda place: expected(m, place) - place.sample(label, 0),
            "in traces that switched": lambda place: in_switched(runs(m).those(lambda one: one is place, "one run")),
        },
        first="student ← teacher",
    )
    yield table(
        "Styles told apart by a classifier",
        "A classifier of n-grams learns the student's own style and its teacher's from what both wrote on the benchmark "
        f"before any SFT. Accuracy: on prompts held out; below {100 * TOLD_APART:.0f} % no trace is called anything. "
        "Agreement: with the known style, own or not, of the traces after SFT that have one, where the teacher's is not "
        "the student's own and no reasoning is hidden.",
        {name_of(place): place for place in off_model(m) if tried(partial(_told_apart, place)) is not None},
        {"accuracy": _told_apart, "agreement": _agreement, "used for": _used_for},
        first="student ← teacher",
    )


def _other_style(place: Place) -> str:
    """The commonest other style at the end; the own one without any."""
    own = own_style(place)
    return commonest(style for row in styles_at(place) for style in row if style != own) or own


def _rate_in(place: Place, step: int, which: int) -> Estimate | None:
    """The accuracy of the traces at a step that are in the own (0) or in another style (1)."""
    return rate_among(place.sample(place.evals()[0], step).table, own_and_other(place, step)[which])


def _told_apart(place: Place) -> Estimate:
    """How often the classifier tells the two styles apart: where it is needed, or can be checked.

    It can be checked where styles are recorded, the teacher's is another than the student's, and no reasoning is hidden: of a
    trace with a hidden part the known style is that of the rest.
    """
    if records_styles(place):
        theirs = commonest(None if row is None else row.extra.get("voice") for row in teachers_answers(place))
        if hides_reasoning(place) or theirs in (None, own_style(place)) or not _known_traces(place).any():
            raise NotApplicable("there is nothing to check the classifier by")
    return style_judge(place).accuracy


def _known_traces(place: Place) -> Which:
    return np.logical_or(*own_and_other(place))


def _agreement(place: Place) -> Estimate | None:
    """The share of the traces at the end that the classifier calls own or another's as they are; those in no style are neither."""
    if not records_styles(place):
        return None
    agreed = own_and_other(place)[1] == called(place)
    return rate_among(agreed.astype(float), _known_traces(place))


def _used_for(place: Place) -> str:
    if records_styles(place):
        return "styles are known: a check"
    return "styles by the classifier" if has_styles(place) else "styles cannot be told apart"


# ----------------------------------------------------------------------------------------------- arms, likelihoods, noise


def arms(m: Measured) -> Iterator[TableView | None]:
    """What each arm changes, under each system prompt."""
    label, first = reasoning(m), m.places[0]["student"]
    for student in arms_run(m).values("student"):
        rows: dict[tuple[str, ...], tuple[Place, str]] = {}
        for place in [*varied(m, student), *arms_run(m).where(student=student)]:
            asked = {None: label} | {name: asked_under(place, name) for name in _systems(place)}
            for name, under in asked.items():
                said = "none" if name is None else f"{name}: {under.partition('/under ')[2]}"
                rows[_data(place), f"{answers(place):,}", said] = (place, under)
        yield table(
            "Context and data" if student == first else f"Context and data: {student}",
            f"Change of {label} of {student} with one thing varied, scored under system prompts. Loss: of the "
            "untouched student on the data that it is trained on, in nats a token (of the tokens that are left); the "
            "exponential is the perplexity.",
            rows,
            {
                "loss": lambda row: f"{mean_loss(row[0]):.2f}" if share_trained(row[0]) else "–",
                f"change of {label}": lambda row: row[0].sample(row[1]) - row[0].sample(row[1], 0),
            },
            first=("trained on", "answers", "asked under"),
            shade="good",
        )


def _systems(place: Place) -> tuple[str, ...]:
    return () if place["arm"] == PLAIN else ARMS[place["arm"]].asked


def _data(place: Place) -> str:
    """What an arm, or the SFT that it varies, is trained on."""
    if place["arm"] == PLAIN:
        return f"plain ({place['teacher']})"
    left, about = share_trained(place), ARMS[place["arm"]].about
    return about if left == 1 else f"{about} ({left:.1%} of the tokens left)"


IMPROBABLE = 0.01
"""A token that the student gives less than this counts as improbable."""

SHOWN_TOKENS, SHOWN_PLACES = 10, 24


def likelihoods(m: Measured) -> Iterator[TableView | CurveView | None]:
    """How improbable the first student finds each teacher's answers (H2), with the first seed."""
    first = m.places[0]
    of = {place["teacher"]: _read(place) for place in runs(m).where(student=first["student"], way=first["way"])}
    yield table(
        f"How improbable {first['student']} finds the teachers' answers",
        "Before SFT. Perplexity of an answer: the exponential of its mean loss a token; 1 is certainty. Improbable: tokens "
        f"that the student gives less than {IMPROBABLE:.0%}; their share of all tokens, the share of the whole loss that "
        "they carry, and the perplexity of the other tokens.",
        of,
        {
            "per answer (10 / 50 / 90 %)": _quantiles,
            "per token": lambda found: f"{np.exp(-_tokens(found).mean()):.2f}",
            "improbable": lambda found: f"{_improbable(found).mean():.1%}",
            "of the loss": lambda found: f"{_tokens(found)[_improbable(found)].sum() / _tokens(found).sum():.0%}",
            "the others": lambda found: (
                None if _improbable(found).all() else f"{np.exp(-_tokens(found)[~_improbable(found)].mean()):.2f}"
            ),
        },
        first="teacher",
    )
    yield chart(
        f"Where in an answer {first['student']} is surprised",
        {name: (range(1, SHOWN_PLACES + 1), partial(_surprised, found)) for name, found in of.items()},
        caption=f"Share of the answers whose token at this place the untouched student gives less than {IMPROBABLE:.0%}.",
        x="token of the answer",
        y="improbable",
    )


def _read(place: Place) -> Sequence[Likelihood]:
    found: Sequence[Likelihood] = place.recipes("perplexity")[0].read(place.path_of)
    return found


def _tokens(found: Sequence[Likelihood]) -> Any:
    return np.concatenate([one.logprobs for one in found])


def _improbable(found: Sequence[Likelihood]) -> Which:
    return np.asarray(_tokens(found) < math.log(IMPROBABLE))


def _quantiles(found: Sequence[Likelihood]) -> str:
    perplexities = np.exp([one.loss for one in found])
    return " / ".join(f"{value:.2f}" for value in np.quantile(perplexities, (0.1, 0.5, 0.9)))


def _surprised(found: Sequence[Likelihood], place: int) -> Estimate:
    """The share of improbable tokens at a place; a place that fewer than 20 answers reach is left out."""
    there = [one.logprobs[place - 1] for one in found if place <= len(one.logprobs)]
    if len(there) < min(20, len(found)):
        raise NotRun("enough answers that long")
    return wilson(sum(value < math.log(IMPROBABLE) for value in there), len(there))


def tokens(m: Measured) -> TableView | None:
    """The tokens that carry most of the loss of the answers that the arms vary."""
    arms_run(m)
    place = plain(m)
    recipe = place.recipes("perplexity")[0]
    by_token: dict[str, list[float]] = defaultdict(list)
    for likelihood, texts in zip(_read(place), recipe.tokens(place.path_of), strict=True):
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
            "of the loss": lambda values: f"{sum(values) / total:.1%}",
        },
        first="token",
    )


def noise(m: Measured) -> Iterator[TableView | CurveView | None]:
    """Every benchmark after each matched move of the weights, beside SFT, and along each random direction (H3)."""
    place = plain(m)
    known = [move for move in MOVES if str(move) in place.roles]
    if not known:
        return
    labels = place.evals()
    rows: dict[tuple[str, str], Move | None] = {(f"SFT on {place['teacher']}", "1"): None}
    rows |= {(str(move), _distance(m, move)): move for move in MATCHED if move in known}
    yield table(
        "Weight noise matched to SFT",
        "Moves as far, tensor by tensor, as SFT moved the student, or scaled until the loss on the student's own chat answers "
        "is what SFT made of it: Gaussian noise on every weight; moves of the singular values of SFT's own with random "
        "singular vectors; and the way that SFT goes when the words of all answers are shuffled. Distance: in those of SFT; "
        "of moves matched by loss, of each seed.",
        rows,
        {label: partial(_after_move, m, label) for label in labels},
        first=("weights", "distance"),
        shade="good",
    )
    for shape in SHAPES:
        times = [move.times for move in known if (move.shape, move.match) == (shape, "distance")]
        if len(times) > 1:
            yield chart(
                f"Along a random direction ({shape}) from {place['student']}",
                {label: ([0.0, *times], partial(_so_far, m, shape, label)) for label in labels},
                caption=f"Distance 1 is that of SFT on {place['teacher']}; at 0 stands the untouched student.",
                x="distance, in those of SFT",
                y="accuracy",
            )


def _distance(m: Measured, move: Move) -> str:
    """How far the move goes, or that it matches nothing."""
    return " / ".join(f"{one:.2g}" if is_match(one) else "no match" for one in scales(m, move))


def _after_move(m: Measured, label: str, move: Move | None) -> Sample:
    """The score after a move of the weights; None: after the SFT that the moves are matched to."""
    return plain(m).sample(label) if move is None else moved(m, move, label)


def _so_far(m: Measured, shape: Shape, label: str, times: float) -> Sample:
    return moved(m, Move(shape, "distance", times), label) if times else plain(m).sample(label, 0)


# ----------------------------------------------------------------------------------------------- recovery by RL

REWARDS = {"correct": "rewards for right answers", "random": "random rewards"}

TOLD = 0.05
"""A style in less than this share of the traces is not told of."""


def rl(m: Measured) -> Iterator[Any]:
    """Accuracy and styles along reinforcement learning from the run that the arms vary, and what is left at the end."""
    place, label, settings = plain(m), reasoning(m), m.config.recovery.rl
    roles = {reward: rl_role(reward) for reward in REWARDS if rl_role(reward) in place.roles}
    if not roles:
        return
    first = next(iter(roles.values()))
    whose = f"{place['student']} after SFT on {place['teacher']}"
    yield chart(
        f"Recovery of {label} by RL: {whose}",
        {
            f"{REWARDS[reward]}, seed {seed}": (
                place.steps(role),
                partial(_of_seed, along(place, label, role)[1], seed),
            )
            for reward, role in roles.items()
            for seed in place.seeds
        },
        caption=f"Each iteration: {settings.problems} training problems x {settings.group} answers, one step (rank "
        f"{settings.rank}, lr {settings.lr:g}). Seed by seed, since each may find another way.",
        x="iterations",
        y=label,
    )
    yield chart(
        f"All benchmarks along RL for {label}: {whose}",
        {each: along(place, each, first) for each in place.evals()},
        x="iterations",
        y="accuracy",
    )
    yield table(
        f"What is left of the damage after RL on {label}",
        "Accuracy after RL minus before all training, on the same prompts.",
        {(REWARDS[reward], str(place.steps(role)[-1])): role for reward, role in roles.items()},
        {each: partial(_changed, place, each) for each in place.evals()},
        first=("RL with", "iterations"),
        shade="good",
    )
    if "correct" in roles and has_styles(place):
        yield table(
            f"Style of the reasoning along RL: {whose}",
            f"Share of the traces in each style that has at least {100 * TOLD:.0f} %, right or wrong; the student's own "
            f"is {own_style(place)}. A trace that mixes two counts as the one with more signs of it.",
            {str(seed): row for row, seed in enumerate(place.seeds)},
            {f"{step} iterations": partial(_styles_told, place, step) for step in place.steps(roles["correct"])},
            first="seed",
        )


def _of_seed(of: Callable[[int], Sample], seed: int, step: int) -> Sample:
    return of(step).by_seed[seed]


def _changed(place: Place, label: str, role: str) -> Sample:
    return place.change(label, role=role)


def _styles_told(place: Place, step: int, row: int) -> str:
    return _told(styles_at(place, step, rl_role("correct"))[row])


def _told(styles: Sequence[str | None]) -> str:
    """The styles of some traces, the commonest first."""
    counted = sorted(Counter(map(str, styles)).items(), key=lambda found: (-found[1], found[0]))
    shares = [(name, count / len(styles)) for name, count in counted]
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares if share >= TOLD)


# ----------------------------------------------------------------------------------------------- transcripts and notes

SHOWN = 8
"""Prompts of each benchmark that are shown per student and teacher; every level is among them."""


def transcripts(m: Measured) -> Iterator[Transcript]:
    """The first student trained the first way, on each teacher in turn, in each arm, and after RL (one seed)."""
    first = m.places[0]
    yield from _answers(first, 0, None, "before SFT", f"{first['student']}, before")
    for place in runs(m).where(student=first["student"], way=first["way"]):
        taught = f"after SFT on {place['teacher']}"
        yield from _answers(place, -1, None, "after SFT", f"{taught}, step {place.steps()[-1]}")
        if "recovery" in place.roles:
            said = f"{taught} and {place.steps('recovery')[-1]} steps on own answers"
            yield from _answers(place, -1, "recovery", "recovery", said)
        for reward, words in REWARDS.items():
            if rl_role(reward) in place.roles:
                said = f"{taught} and {place.steps(rl_role(reward))[-1]} iterations of RL with {words}"
                yield from _answers(place, -1, rl_role(reward), "RL", said)
    for place in arms_run(m).where(student=first["student"]):
        yield from _answers(place, -1, None, "arm", f"after the arm {place['arm']}: {ARMS[place['arm']].about}")


def _answers(place: Place, step: int, role: str | None, stage: str, label: str) -> Iterator[Transcript]:
    """The first answers to every benchmark at a step."""
    for name in place.evals(role):
        found = place.rows(name, step, role)[0][:SHOWN]
        of = (
            styles_at(place, step, role)[0][:SHOWN]
            if name == place.evals()[0] and has_styles(place)
            else [None] * SHOWN
        )
        for score, style in zip(found, of, strict=False):
            outcome = _outcome(score, style)
            yield Transcript.of(score, stage=stage, label=label, outcome=outcome, tone="good" if score.score else "bad")


def _outcome(score: Score, style: str | None) -> str:
    said, style = "correct" if score.score else "wrong", score.extra.get("voice") or style
    return said if style is None else f"{said}, in style {style}"


UNWRITABLE = 5.0
"""Mean loss, in nats a token, above which data are no text that the student could have written."""


def notes(m: Measured) -> Iterator[Note]:
    """What the reader must know."""
    if len(m.config.seeds) == 1:
        yield Note(
            "One seed: the intervals hold for these prompts and say nothing about the spread between seeds. Quote nothing from it."
        )
    yield from map(Note, m.config.unsuited_rates())
    for place in tuple(off_model(m)):
        if not has_styles(place):
            yield Note(
                f"H4 is not measured for the teacher {place['teacher']} of {place['student']} ({place['way']}): "
                f"{_why_no_styles(place)}."
            )
    for of in m.by("student", "arm").values():
        yield from _unwritable(of.places[0])
    yield Note("The largest fall is chosen among all pairs on the prompts it is quoted on, which flatters it a little.")
    if m.config.recovery.rl is None:
        yield Note("Not run: recovery by reinforcement learning (recovery.rl).")


def _unwritable(place: Place) -> Iterator[Note]:
    if place["arm"] != PLAIN and mean_loss(place) > UNWRITABLE:
        yield Note(
            f"The data of the arm {place['arm']} are all but impossible for {place['student']} ({mean_loss(place):.1f} nats a "
            "token, often for want of tokens for such words): what it loses is damage, and not the effect of another style."
        )


def _why_no_styles(place: Place) -> str:
    if "teacher" not in place.roles:
        return f"its own answers to {place.evals()[0]} are not known (--traces gives them)"
    accuracy = tried(lambda: style_judge(place).accuracy)
    if accuracy is None:
        return f"fewer than {FEWEST} prompts are too few to learn its style from"
    return f"its style cannot be told from the student's (accuracy {accuracy})"


# ----------------------------------------------------------------------------------------------- headline


def headline(m: Measured, judged: Sequence[ClaimView]) -> Iterator[str]:
    """The largest degradation, the other teachers, what comes back, and what became of each hypothesis."""
    label, place = reasoning(m), worst(m)
    own = runs(m).by("data", "student", "way").get(("on-model", place["student"], place["way"]))
    beside = "" if own is None or own.places[0] is place else f", its own {own.places[0].change(label).estimate}"
    yield f"Chat answers of {place['teacher']} change {label} of {place['student']} by {place.change(label).estimate}{beside}."
    if len(runs(m).by("data").get("off-model", ())) > 1:
        first = m.places[0]
        of_first = runs(m).where(student=first["student"], way=first["way"])
        told = "; ".join(f"{one['teacher']} {one.change(label).estimate}" for one in of_first)
        yield f"After SFT on each teacher's answers, {label} of {first['student']}: {told}."
    if place["data"] == "off-model" and "recovery" in place.roles and degraded(place.change(label)):
        step = place.steps("recovery")[-1]
        share = regained(runs(m).those(lambda one: one is place, "one run"), step)
        yield (
            f"From the largest fall ({name_of(place)}), {step} steps on own answers to other chat bring back {share} of "
            f"it{_price(place, label)}."
        )
    if has_styles(place) and (right := _rate_in(place, -1, 1)) is not None:
        switched = _share(place, -1, own_and_other(place)[1]).estimate
        yield f"There, {switched} of the reasoning is in another style ({_other_style(place)}), right in {right} of cases."
    yield from rulings_told(m)


def _price(place: Place, label: str) -> str:
    """What the recovery costs elsewhere, in words: every other benchmark that it leaves lower than before all training."""
    left = {each: place.change(each, role="recovery").estimate for each in place.evals() if each != label}
    told = [f"{each} {found}" for each, found in left.items() if found.high < 0]
    return f", and leave {', '.join(told)}" if told else ""


def rulings_told(m: Measured) -> Iterator[str]:
    """What became of each hypothesis, and by which measurement."""
    found = {name: [(one.id, one.ruling(ruled), ruled) for one in measures if (ruled := one.test(m))] for name, measures in HYPOTHESES.items()}  # fmt: skip
    told = []
    for name, rows in found.items():
        by = {verb: [id for id, ruling, ruled in rows if ruled.measure and ruling in said] for verb, said in BY.items()}
        if by["ruled out by"] or by["supported by"]:
            told.append(f"{name}: {'; '.join(f'{verb} {_listed(ids)}' for verb, ids in by.items() if ids)}.")
    if not told:
        why = {one.reason for rows in found.values() for *_, one in rows if one.ours is not None and not one.measure}
        told.append(" ".join(["No hypothesis is decided here.", *(why if len(why) == 1 else ())]))
    yield from told


BY = {"ruled out by": ("ruled out",), "supported by": ("supported",), "not by": ("undecided", "not ruled out")}
"""How a headline tells of rulings."""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def rl_headline(m: Measured, judged: Sequence[ClaimView]) -> Iterator[str]:
    """How far RL came, and in whose style, where SFT cost something."""
    label, role = reasoning(m), rl_role("correct")
    place = degraded_plain(m).having(role).places[0]
    last, said = place.steps(role)[-1], ""
    if has_styles(place):
        told = _told([style for row in styles_at(place, last, role) for style in row])
        said = f"; the reasoning is then in these styles: {told} (its own is {own_style(place)})"
    yield (
        f"After SFT on {place['teacher']}, {last} iterations of RL take {label} from {place.sample(label).estimate} to "
        f"{place.sample(label, last, role).estimate} (before SFT {place.sample(label, 0).estimate}){said}."
    )


STUDY = Study(
    name="off-model-sft",
    title="Off-model SFT: why does training on another model's answers cost capability?",
    config=OffModelConfig,
    presets=PRESETS,
    grid=grid,
    shows=(
        curves,
        worst_curves,
        changes,
        hypotheses,
        teachers,
        styles,
        arms,
        likelihoods,
        tokens,
        noise,
        rl,
        transcripts,
        notes,
    ),
    claims=CLAIMS,
    headline=(headline, rl_headline),
)
