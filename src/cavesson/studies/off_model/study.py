"""The study `off-model-sft`: why training on another model's answers costs capability.

Set-up of "Why does off-model SFT degrade capabilities?" (May 2026): a student is trained on a teacher's answers to chat
prompts, nothing about maths among them, and scored along the way on knowledge, instruction following and maths; then it is
trained for a few steps on its own earlier answers. Arms change one thing at a time in the data or in the context.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cavesson.analysis.styles import FEWEST
from cavesson.findings.views import ClaimView, Transcript
from cavesson.studies.grid import Measured, Place
from cavesson.studies.off_model import shown
from cavesson.studies.off_model.arms import ARMS, PLAIN
from cavesson.studies.off_model.claims import CLAIMS
from cavesson.studies.off_model.config import PRESETS, OffModelConfig, for_size
from cavesson.studies.off_model.grid import grid, rl_role
from cavesson.studies.off_model.hypotheses import rulings_told
from cavesson.studies.off_model.readings import (
    arms_run,
    degraded,
    fall,
    name_of,
    off_model,
    reasoning,
    regained,
    runs,
    trained_on,
    worst,
)
from cavesson.studies.off_model.rl import REWARDS, rl, rl_headline
from cavesson.studies.off_model.styles import has_styles, other_style, rate_in, share_in, style_judge, styles_at
from cavesson.studies.shown import Note, tried
from cavesson.studies.study import Study

# ----------------------------------------------------------------------------------------------- transcripts and notes

SHOWN = 8
"""Prompts of each benchmark that are shown per student and teacher; every level is among them."""


def transcripts(m: Measured) -> Iterator[Transcript]:
    """The first student trained the first way, on each teacher in turn, in each arm, and after RL (one seed)."""
    first = m.places[0]
    yield from _answers(first, "before SFT", f"{first['student']}, before", step=0)
    for place in runs(m).where(student=first["student"], way=first["way"]):
        taught = f"after SFT on {place['teacher']}"
        yield from _answers(place, "after SFT", f"{taught}, step {place.steps()[-1]}")
        later = {"recovery": ("recovery", "steps on own answers")}
        later |= {rl_role(reward): ("RL", f"iterations of RL with {words}") for reward, words in REWARDS.items()}
        for role, (stage, said) in later.items():
            if role in place.roles:
                yield from _answers(place, stage, f"{taught} and {place.steps(role)[-1]} {said}", role)
    for place in arms_run(m).where(student=first["student"]):
        yield from _answers(place, "arm", f"after the arm {place['arm']}: {ARMS[place['arm']].about}")


def _answers(place: Place, stage: str, label: str, role: str | None = None, step: int = -1) -> Iterator[Transcript]:
    """The first answers to every benchmark at a step, those of the reasoning with their style."""
    for name in place.evals(role):
        styled = name == place.evals()[0] and has_styles(place)
        styles = styles_at(place, step, role)[0] if styled else [None] * SHOWN
        for score, style in list(zip(place.rows(name, step, role)[0], styles, strict=False))[:SHOWN]:
            style = score.extra.get("voice") or style
            outcome = score.outcome if style is None else f"{score.outcome}, in style {style}"
            yield Transcript.of(score, stage=stage, label=label, outcome=outcome, tone="good" if score.score else "bad")


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
        place = of.places[0]
        if place["arm"] != PLAIN and trained_on(place).loss > UNWRITABLE:
            yield Note(
                f"The data of the arm {place['arm']} are all but impossible for {place['student']} ({trained_on(place).loss:.1f} "
                "nats a token, often for want of tokens for such words): what it loses is damage, and not the effect of another style."
            )
    yield Note("The largest fall is chosen among all pairs on the prompts it is quoted on, which flatters it a little.")
    if m.config.recovery.rl is None:
        yield Note("Not run: recovery by reinforcement learning (recovery.rl).")


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
    beside = "" if own is None or own.places[0] is place else f", its own {fall(own.places[0]).estimate}"
    yield f"Chat answers of {place['teacher']} change {label} of {place['student']} by {fall(place).estimate}{beside}."
    if len(runs(m).by("data").get("off-model", ())) > 1:
        first = m.places[0]
        of_first = runs(m).where(student=first["student"], way=first["way"])
        told = "; ".join(f"{one['teacher']} {fall(one).estimate}" for one in of_first)
        yield f"After SFT on each teacher's answers, {label} of {first['student']}: {told}."
    if place["data"] == "off-model" and "recovery" in place.roles and degraded(fall(place)):
        step = place.steps("recovery")[-1]
        yield (
            f"From the largest fall ({name_of(place)}), {step} steps on own answers to other chat bring back "
            f"{regained([place], step)} of it{_price(place)}."
        )
    if has_styles(place) and (right := rate_in(place, "another")) is not None:
        switched = share_in(place, "another").estimate
        yield f"There, {switched} of the reasoning is in another style ({other_style(place)}), right in {right} of cases."
    yield from rulings_told(m)


def _price(place: Place) -> str:
    """What the recovery costs elsewhere, in words: every other benchmark that it leaves lower than before all training."""
    left = {label: place.change(label, role="recovery").estimate for label in place.evals()[1:]}
    told = [f"{label} {found}" for label, found in left.items() if found.high < 0]
    return f", and leave {', '.join(told)}" if told else ""


STUDY = Study(
    name="off-model-sft",
    title="Off-model SFT: why does training on another model's answers cost capability?",
    config=OffModelConfig,
    presets=PRESETS,
    for_size=for_size,
    grid=grid,
    shows=(
        *(shown.curves, shown.worst_curves, shown.changes, shown.hypotheses, shown.teachers, shown.styles),
        *(shown.arms, shown.likelihoods, shown.tokens, shown.noise, rl, transcripts, notes),
    ),
    claims=CLAIMS,
    headline=(headline, rl_headline),
)
