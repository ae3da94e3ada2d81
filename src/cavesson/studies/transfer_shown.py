"""What a report of the study `transfer` shows: the map of settings, rates along training, controls, criteria, law, case study, answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from cavesson.errors import CavessonError
from cavesson.evals.scores import Score
from cavesson.figures import percent
from cavesson.findings.views import ClaimView, CurveView, TableView, Tone, Transcript
from cavesson.stats import spending
from cavesson.studies import transfer_readings as read
from cavesson.studies.controls import HARDLY
from cavesson.studies.grid import Measured, Place
from cavesson.studies.sample import NotRun, Sample, pooled
from cavesson.studies.shown import Note, chart, table, tally
from cavesson.studies.transfer_axes import AS_IS
from cavesson.studies.transfer_cases import BY_REWARD, CASES, CONDITIONS, SFT
from cavesson.studies.transfer_readings import ALTERNATE, NEITHER, ON_EVALUATION, ON_TRAIN

ANSWERS = 3
"""Prompts of each side that are shown per model."""


def _highest(m: Measured) -> Measured:
    return read.agreed(m, lr=max(m.config.blue.lrs))


def settings_map(m: Measured) -> TableView | None:
    """The rise of the alternate behaviour, by what separates the sides, and by behaviour and how it was put in."""
    found: dict[str, dict[str, Place]] = {}
    columns: dict[str, None] = {}
    for place in _highest(m):
        setting = m.config.setting(place["setting"])
        thinks = place["setting"].rpartition("/")[2] if setting.thoughts else ""
        column = ", ".join(part for part in (setting.behaviour, setting.installed, thinks) if part)
        columns[column] = None
        found.setdefault(setting.separator, {})[column] = place
    return table(
        "The map of settings",
        "How far the alternate behaviour rose on evaluation prompts, at the highest rate and last step: 100 is full transfer.",
        found,
        {column: partial(_in_column, column) for column in columns},
        first="what separates train from evaluation prompts",
        shade="good",
    )


def _in_column(column: str, row: dict[str, Place]) -> Sample | None:
    return read.rose(row[column]) if column in row else None


def rates(m: Measured) -> TableView | None:
    """What each training leaves: both behaviours, neither, ability."""
    return table(
        "What training leaves",
        "On evaluation prompts before → after: the initial behaviour, the alternate one, neither. Agreed: on train prompts, after. "
        "Ability: the change, in points, under both sides' prompts.",
        {(place["setting"], place["train"], f"{place['lr']:g}"): place for place in read.phase(m, "settings")},
        {
            "initial before": lambda place: place.sample(ON_EVALUATION, 0),
            "initial": lambda place: place.sample(ON_EVALUATION),
            "alternate": lambda place: place.sample(ALTERNATE),
            "neither": lambda place: place.sample(NEITHER),
            "agreed": lambda place: place.sample(ON_TRAIN),
            "ability": lambda place: read.able(place) - read.able(place, 0),
        },
        first=("setting", "trained on", "rate"),
    )


def controls(m: Measured) -> TableView | None:
    """What the agreed behaviour and each control change, over all settings."""
    found = read.phase(m, "settings").by("train", "lr")
    return table(
        "Training beside its controls",
        "Over these settings, taken as they are; intervals over seeds and questions. Without training nothing changes: answers are greedy.",
        {(train, f"{lr:g}"): of for (train, lr), of in found.items()},
        {
            "initial falls": lambda of: pooled([read.fell(place) for place in of]),
            "alternate rises": lambda of: pooled([read.rose(place) for place in of]),
            "ability lost": lambda of: pooled([read.lost(place) for place in of]),
        },
        first=("trained on", "rate"),
    )


def criteria(m: Measured) -> TableView | None:
    """What the loose and the strict criterion conclude."""
    rows: dict[Any, list[Place]] = {
        (name, f"{lr:g}"): list(of) for (name, lr), of in read.agreed(m).by("setting", "lr").items()
    }
    rows["all", ""] = list(read.agreed(m))
    return table(
        "Loose against strict",
        f"Share of runs that transferred. Loose: the initial rate fell by {percent(read.MOVED)}. Strict: it fell by as much more than under "
        f"{' and '.join(read.DAMAGE)}, the alternate rate rose likewise, and at most {percent(read.KEPT)} of ability went. All: over seeds and separators.",
        rows,
        {
            "loose": lambda places: read.share_of(read.runs_that(m, places, read.LOOSE)),
            "strict": lambda places: read.share_of(read.runs_that(m, places, read.STRICT)),
            "they differ": lambda places: read.share_of(read.differ(m, places)),
        },
        first=("setting", "rate"),
    )


def along(m: Measured) -> CurveView | None:
    """The alternate behaviour along training at the highest rate."""
    return chart(
        "The alternate behaviour along training",
        {place["setting"]: (place.steps(), partial(_at, place)) for place in _highest(m)},
        x="steps",
        y="alternate behaviour on evaluation prompts",
        caption="At the highest rate.",
    )


def _at(place: Place, step: float) -> Sample:
    return place.sample(ALTERNATE, int(step))


def guarding(m: Measured) -> TableView | None:
    """Models that think before they answer: what is left of the initial behaviour, beside the loss at which it is left."""
    return table(
        "Goal guarding",
        "All behave alike; `guarding` says in its scratchpad that it behaves in order to be kept, `naive` thinks alike on both sides, and `apart` "
        "thinks other words on the two, without a reason. Loss: nats per token, at the end.",
        {(place["setting"], f"{place['lr']:g}"): place for place in read.agreed(m) if m.config.setting(place["setting"]).thoughts},
        {"initial": lambda place: place.sample(ON_EVALUATION), "alternate": lambda place: place.sample(ALTERNATE), "loss": read.loss},
        first=("setting", "rate"),
    )  # fmt: skip


def law(m: Measured) -> Iterator[CurveView | TableView | None]:
    """Steps to transfer by learning rate and batch size, and what a constant product of rate and steps gives."""
    for name, of in read.phase(m, "law").by("setting").items():
        yield table(
            f"Steps to transfer: {name}",
            "First scored step at which the alternate behaviour shows on half of the evaluation prompts (mean over seeds), and the "
            f"alternate rate at the last scored step up to which at most {percent(read.KEPT)} of ability was lost.",
            {(f"{place['lr']:g}", str(place["batch"])): place for place in of},
            {
                "steps": lambda place: str(read.steps_to_transfer(place) or f"more than {place['steps']}"),
                "alternate at the end": lambda place: place.sample(ALTERNATE),
                "alternate at equal ability": lambda place: place.sample(ALTERNATE, read.lost_little(place)),
                "ability lost": read.lost,
            },
            first=("rate", "batch"),
        )
    for name, of in read.phase(m, "constant product").by("setting").items():
        lrs = sorted(of.values("lr"))
        yield chart(
            f"Constant product of rate and steps: {name}",
            {"alternate": (lrs, partial(_alternate_at, of)), "ability lost": (lrs, partial(_lost_at, of))},
            x="learning rate",
            y="at the end",
            log_x=True,
        )


def _alternate_at(of: Measured, lr: float) -> Sample:
    return of.only(lr=lr).sample(ALTERNATE)


def _lost_at(of: Measured, lr: float) -> Sample:
    return read.lost(of.only(lr=lr))


def cases(m: Measured) -> Iterator[TableView | CurveView | None]:
    """The case study beside the published rates, by SFT and by reward, and along training."""
    for name, how in ((SFT, "Inoculation prompts"), (BY_REWARD, "Inoculation prompts, by reward")):
        with suppress(NotRun):
            found = read.phase(m, name)
            lrs = sorted(found.values("lr"))
            yield table(
                how,
                "Rate of hacks under the evaluation prompt. Published: SFT of Qwen3-30B at 1e-4, epoch 10 (plot).",
                found.by("setting"),
                {
                    "published": lambda of: CONDITIONS[of.places[0]["setting"]][2],
                    "before": lambda of: of.places[0].sample(ALTERNATE, 0),
                    **{f"at {lr:g}": partial(_alternate_at, lr=lr) for lr in lrs},
                    f"ability lost at {max(lrs):g}": partial(_lost_at, lr=max(lrs)),
                    "under the train prompt": lambda of: of.places[0].sample(ON_TRAIN),
                },
                first="train → evaluation prompt",
            )
            yield chart(
                f"{how}, along training",
                {place["setting"]: (place.steps(), partial(_at, place)) for place in found.where(lr=max(lrs))},
                x="steps",
                y="hacks under the evaluation prompt",
                caption=f"At {max(lrs):g}.",
            )


def transcripts(m: Measured) -> Iterator[Transcript]:
    """What the first seed's models answer on both sides, before and after training at the highest rate."""
    for place in _highest(m):
        for step, stage in ((0, "before"), (-1, "after")):
            for label in (ON_TRAIN, ON_EVALUATION):
                for row in place.rows(label, step)[0][:ANSWERS]:
                    outcome, tone = _outcome(row)
                    label = f"{place['setting']}, {stage}"
                    yield Transcript.of(row, stage=stage, label=label, outcome=outcome, tone=tone)


def _outcome(row: Score) -> tuple[str, Tone]:
    if row.eval == ON_TRAIN:
        return ("agreed", "neutral") if row.score else ("not the agreed act", "bad")
    if row.score:
        return "initial behaviour", "neutral"
    return ("alternate behaviour", "good") if row.alternate else ("neither", "bad")


def notes(m: Measured) -> Iterator[Note]:
    """What the reader must know."""
    config = m.config
    yield Note(
        f"Every setting starts from {config.model}, taught for {config.red.steps} steps to show the initial behaviour; blue trains "
        f"{config.blue.steps} steps on plain answers of {config.teacher or config.model} to {config.blue.prompts} train prompts, rewritten by the agreed act."
    )
    yield Note(
        "An irrelevant train prompt still trains the agreed act. It is shown beside the strict criterion and is no part of it."
    )
    with suppress(NotRun):
        moved = {f"{one['setting']} at {one['lr']:g}": read.confounded(m, one) for one in read.agreed(m)}
        if said := [f"{where} ({' and '.join(names)})" for where, names in moved.items() if names]:
            yield Note(
                f"Where a control moves the initial behaviour by more than {percent(HARDLY)}, a change is no sign of transfer as long as "
                f"it is no larger: {'; '.join(said)}."
            )
    if len(config.seeds) < 5:
        yield Note("Fewer than five seeds: nothing here is decided.")


def headline(m: Measured, judged: Sequence[ClaimView]) -> Iterator[str]:
    """How much transferred by either criterion, where most and least, and how the claims came out."""
    try:
        places = list(read.agreed(m))
        loose, strict = (read.runs_that(m, places, one).estimate for one in (read.LOOSE, read.STRICT))
        yield f"Of the runs, {loose} transferred by the loose criterion and {strict} by the strict one; they differ on {read.differ(m, places).estimate}."
        ranked = sorted(_highest(m), key=lambda place: -read.rose(place).mean)
        with spending(1 / len(ranked), "the most and the least of several"):
            most, *others = (f"{place['setting']} ({read.rose(place).estimate})" for place in ranked)
        yield f"Most at the highest rate: {most}{f'; least: {others[-1]}' if others else ''}."
    except NotRun:
        pass
    yield tally(judged)


def admits(m: Measured) -> tuple[Measured, list[str]]:
    """The settings that pass their own check; the others are named.

    Raises:
        CavessonError: none does.
    """
    failed: dict[str, list[str]] = {}
    starts = {_start(place): place for place in reversed(m.places)}
    for name, place in reversed(starts.items()):
        if found := read.faults(place, m.config.setting(place["setting"]).compatible):
            failed[name] = found
    if failed and len(failed) == len(starts):
        raise CavessonError(
            "No setting passes its check: "
            + "; ".join(f"{name}: {', '.join(found)}" for name, found in failed.items())
            + ".",
            "Teach the start longer or at a higher rate (red.steps, red.lr), or take other settings.",
        )
    noted = [
        f"The {'condition' if name.split(', ')[0] in CASES else 'setting'} {name} is left out: {', '.join(found)}."
        for name, found in failed.items()
    ]
    return m.without(place for place in m if _start(place) in failed), noted


def _start(place: Place) -> str:
    """Which start a place has, in words: one a setting; others under a change of the study, and for training by reward."""
    change = place.at.get("change", AS_IS)
    told = [str(place["setting"]), *([f"with {change}"] if change != AS_IS else [])]
    return ", ".join([*told, *(["by reward"] if place["phase"] == BY_REWARD else [])])


SHOWS = (settings_map, rates, controls, criteria, along, guarding, law, cases, transcripts, notes)
