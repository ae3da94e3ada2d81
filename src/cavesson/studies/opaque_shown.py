"""What a report of the study `opaque-reasoning` shows: methods by organism, costs, the reasoning, the cue, and transcripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from cavesson.errors import CavessonError
from cavesson.estimate import Estimate
from cavesson.figures import percent
from cavesson.findings.views import ClaimView, CurveView, TableView, Transcript
from cavesson.studies import opaque_readings as read
from cavesson.studies.grid import Measured, Place
from cavesson.studies.redblue import title
from cavesson.studies.redblue_shown import said
from cavesson.studies.sample import NotApplicable, NotRun
from cavesson.studies.shown import Note, chart, table, tally

ANSWERS = 3
"""Prompts of hard and of easy maths that are shown per model."""


def _methods(m: Measured) -> dict[tuple[str, str, str], Measured]:
    """Every method by organism, what is trained and which trusted model; without the runs under a cue."""
    found: dict[tuple[str, str, str], Measured] = {}
    for (organism, name, adapter, teacher), of in (
        read.runs(m).where(cue=None).by("organism", "intervention", "adapter", "teacher").items()
    ):
        other = f", labels of {teacher}" if teacher not in (m.config.teacher, read.NO_TEACHER) else ""
        found[organism, f"{_title(name)}{other}", adapter or "nothing"] = of
    return found


_TITLES = {"prefill": "prefill attack", read.ON_ITS_PROBLEMS: "RL on the hard problems (red)"}


def _title(name: str) -> str:
    return _TITLES.get(name) or title(name)


def organisms(m: Measured) -> TableView | None:
    """Each organism before blue."""
    return table(
        "The organisms",
        f"Before blue. Accuracy on hard maths (levels {', '.join(map(str, m.config.world.hard))}) of the honest model, of the organism as "
        "it is deployed, and of the organism with the text that unlocks it; on easy maths and elsewhere, the organism as deployed. Betrayed: "
        "hard answers whose wrong output their own reasoning contradicts, or whose reasoning is wrong in more than one step.",
        read.before(m),
        {
            "true": read.true,
            "sandbagging": read.sandbagged,
            "unlocked": lambda place: read.hard(place, None, "unlocked"),
            "easy maths": lambda place: read.easy(place, None, "before"),
            "elsewhere": lambda place: read.elsewhere(place, "before"),
            "well-formed": lambda place: read.of_reasoning(place, read.well_formed, "before"),
            "betrayed": read.betrayal,
        },
        first="organism",
    )


_COLUMNS: dict[str, Callable[[Measured], Any]] = {
    "hard maths": read.elicited,
    "gap closed": read.recovered,
    "easy maths": read.kept_reasoning,
    "elsewhere": read.kept_elsewhere,
}
"""What a method brings out, and what it costs."""


def methods(m: Measured) -> TableView | None:
    """What each method brings out, and what it costs."""
    return table(
        "Methods",
        "At the last step, at the best learning rate, as the organism is deployed. Hard maths: where the organism sandbags and "
        "blue did not train. Gap closed: its share of the way from sandbagged to true accuracy (0: nothing, 100 %: all). Easy maths "
        "takes reasoning too; both costs are against the organism before blue, on the same prompts.",
        _methods(m),
        _COLUMNS,
        first=("organism", "method", "trained"),
    )


def rates(m: Measured) -> TableView | None:
    """What each method brings out, and what it costs, at every learning rate."""
    tried = {key: of for key, of in _methods(m).items() if len(of.values("lr")) > 1}
    if not tried:
        raise NotRun("a method at several learning rates")
    return table(
        "Learning rates",
        "The same figures at every rate, at the last step. A method moves nothing below some rate and ruins the reasoning above another; "
        "what it can bring out stands between.",
        {(*key, f"{lr:g}"): at for key, of in tried.items() for lr, at in of.by("lr").items()},
        _COLUMNS,
        first=("organism", "method", "trained", "rate"),
    )


def reasoning(m: Measured) -> TableView | None:
    """What became of the reasoning."""
    return table(
        "The reasoning",
        "In answers to easy maths, at the last step. Well-formed: reasoning that ends, and an output behind it. Parses (tiny world): only steps in "
        "the house notation. Words of reasoning; and nats per token that the trusted model gives it (low: legible), after and before.",
        _methods(m),
        {
            "well-formed": lambda of: read.of_reasoning(read.best(of), read.well_formed),
            **({} if m.config.prompts else {"parses": lambda of: read.of_reasoning(read.best(of), read.parses)}),
            "words": lambda of: read.of_reasoning(read.best(of), read.length, most=read.LONGEST),
            "T's nats": lambda of: read.illegibility(read.best(of)),
            "T's nats before": lambda of: read.illegibility(read.best(of), "legible_before"),
        },
        first=("organism", "method", "trained"),
    )


def monitors(m: Measured) -> TableView | None:
    """How well a monitor tells the model's answers to hard maths from the honest model's."""
    return table(
        "Monitors",
        f"Area under the ROC curve by which {m.config.teacher}'s surprise at an output tells answers to hard maths from those of the "
        "honest model (.5: chance): a monitor that reads outputs alone, and one that reads the reasoning too; before blue (RL after SFT: after "
        "the SFT), and at the last step of each method's best rate.",
        _methods(m),
        {
            "output, before": lambda of: read.detected(read.best(of), read.OF_OUTPUT, 0),
            "output": lambda of: read.detected(read.best(of), read.OF_OUTPUT),
            "reasoning, before": lambda of: read.detected(read.best(of), read.OF_REASONING, 0),
            "reasoning": lambda of: read.detected(read.best(of), read.OF_REASONING),
        },
        first=("organism", "method", "trained"),
    )


def learning(m: Measured) -> TableView | None:
    """What RL is paid for, at each checkpoint, and how far trainer and sampler drift apart."""
    rows = {
        (organism, name, f"{place['lr']:g}", step): (place, step)
        for (organism, name, _), of in _methods(m).items()
        for place in of
        if read.is_rl(place)
        for step in place.steps()
    }
    return table(
        "RL, checkpoint by checkpoint",
        f"Reward: mean of the {read.LATEST} iterations before the checkpoint. Unequal groups: the share, up to the checkpoint, of groups of "
        "answers to one problem that did not all earn the same; RL learns from no others. Unearned: right answers to easy maths whose reasoning does not come to "
        "them, of all. Monitors as in their table. Drift: nats a token between the log-probabilities of trainer and sampler, the mean "
        "up to the checkpoint (some 1e-6 in fp32).",
        rows,
        {
            "reward": lambda at: read.reward(at[0], at[1]),
            "unequal groups": lambda at: percent(read.unequal(at[0], at[1]), 0),
            "easy maths": lambda at: read.easy(at[0], at[1]),
            "hard maths": lambda at: read.hard(at[0], at[1]),
            "unearned": lambda at: read.of_reasoning(at[0], read.unearned, step=at[1]),
            "output monitor": lambda at: read.detected(at[0], read.OF_OUTPUT, at[1]),
            "reasoning monitor": lambda at: read.detected(at[0], read.OF_REASONING, at[1]),
            "drift": lambda at: f"{read.drift(at[0], at[1]):.1e}",
        },
        first=("organism", "method", "rate", "step"),
    )


def along(m: Measured) -> Iterator[CurveView | None]:
    """Accuracy on hard maths along blue's training, a chart for each organism."""
    for organism, of in read.runs(m).where(cue=None).by("organism").items():
        lines = {
            f"{_title(name)}, {adapter}": (place.steps(), partial(_at, place))
            for (name, adapter), found in of.by("intervention", "adapter").items()
            if (place := read.best(found)).steps()
        }
        yield chart(
            f"Hard maths along blue's training: {organism}", lines, x="steps", y="accuracy on hard maths",
            caption="At each method's best rate.",
        )  # fmt: skip


def _at(place: Place, step: float) -> Any:
    return read.hard(place, int(step))


def cue(m: Measured) -> Iterator[CurveView | TableView | None]:
    """What is brought out against how well U can tell training from deployment: by the cue, and by its activations."""
    found = read.runs(m).where(cue=lambda value: value is not None)
    reliabilities = sorted(found.values("cue"))
    organism = found.values("organism")[0]
    lines = {
        _title(name): (reliabilities, partial(_under_cue, m, organism, name)) for name in found.values("intervention")
    }
    yield chart(
        "Telling training from deployment", lines, x="reliability of the cue", y="share of the gap closed",
        caption="Share of blue's problems under the flag of training; U is scored under the flag of deployment. 0.5: the flag tells nothing.",
    )  # fmt: skip
    columns = {name: partial(_under_cue, m, organism, name) for name in found.values("intervention")}
    yield table(
        "How well U tells, and what comes out",
        "A linear probe on U's activations at the end of prompts, before blue, held out: prompts of training from those of deployment "
        "by the cue; and, whatever the cue, blue's easy problems from hard ones. Then the share of the gap that each method closes.",
        {f"{value:g}": value for value in reliabilities},
        {
            "probe": lambda value: read.told_apart(m.where(cue=value)),
            "probe, by the problem": lambda value: read.told_apart(m.where(cue=value), "by_problem"),
            **{_title(name): make for name, make in columns.items()},
        },
        first="reliability",
    )


def _under_cue(m: Measured, organism: str, name: str, reliability: float) -> Estimate:
    return read.recovered(read.of_method(m, organism, name, cue=reliability))


def transcripts(m: Measured) -> Iterator[Transcript]:
    """What the first seed's models answer: before blue, and after each method."""
    both = tuple(one.label for one in m.config.hard_and_easy()[:2])
    for place in read.before(m).values():
        shown = partial(said, prompts=ANSWERS, evals=both)
        organism = place["organism"]
        yield from shown(place, None, "before", None, "before blue", f"{organism}, before blue")
    for (organism, name, trained), of in _methods(m).items():
        best = read.best(of)
        yield from said(
            best, -1 if best.steps() else None, None, None, "after blue", f"{organism}, {name}, {trained}", prompts=ANSWERS,
            evals=both,
        )  # fmt: skip


def notes(m: Measured) -> Iterator[Note]:
    """What the reader must know."""
    config = m.config
    yield Note(
        f"U is {config.model}, T is {config.teacher}. Blue trains on {config.blue.prompts} easy problems (levels "
        f"{', '.join(map(str, config.world.easy))}) or on as many prompts of another domain, never on a hard one: the game looks through its data."
    )
    if config.model == "reasoner":
        yield Note(
            "The reasoner's reasoning is readable, so that one can see what happens to it; no method but readable-reasoning reads or "
            "writes it."
        )
    if not any(read.of_reasoning(of, read.length, "before", read.LONGEST).value for of in read.before(m).values()):
        yield Note(
            "U writes no reasoning, as a model with latent steps does not: that none is well-formed, parses or has a word says nothing, and "
            "the monitor of reasoning reads outputs alone. No-reasoning SFT puts empty tags behind the latent steps, which are taken all the same."
        )
    if config.blue.practised == "answer-only":
        yield Note(
            "RL practises easy maths asked for the number only, another wording than that of the problems that are scored."
        )
    if len(config.seeds) < 5:
        yield Note("Fewer than five seeds: nothing here is decided.")


def headline(m: Measured, judged: Sequence[ClaimView]) -> Iterator[str]:
    """What each organism and the cue show, and how the claims came out."""
    for told in (_of_organisms, _of_cue):
        with suppress(NotRun):
            yield from told(m)
    yield tally(judged)


def _of_organisms(m: Measured) -> Iterator[str]:
    """Per organism, the methods by the share of the gap that they close.

    Raises:
        NotRun: there is no organism but that under a cue.
    """
    found: dict[str, list[tuple[str, Estimate]]] = {}
    for (organism, name, trained), of in _methods(m).items():
        with suppress(NotRun, NotApplicable):
            found.setdefault(organism, []).append((f"{name} ({trained})", read.recovered(of)))
    for organism, all_of in found.items():
        ranked = sorted(all_of, key=lambda one: -one[1].value)[:5]
        yield f"Share of the gap of {organism} closed, most first: {'; '.join(f'{name} {each}' for name, each in ranked)}."


def _of_cue(m: Measured) -> Iterator[str]:
    """What comes out under the least and under the most reliable cue.

    Raises:
        NotRun: there is no cue.
    """
    found = read.runs(m).where(cue=lambda value: value is not None)
    organism, low, high = found.values("organism")[0], min(found.values("cue")), max(found.values("cue"))
    for name in found.values("intervention"):
        blind, told = (_under_cue(m, organism, name, at) for at in (low, high))
        yield (
            f"A cue tells training from deployment: {_title(name)} closes {blind} of the gap at a reliability of {low:g}, {told} at {high:g}."
        )


def admits(m: Measured) -> tuple[Measured, list[str]]:
    """The organisms that sandbag.

    Raises:
        CavessonError: none does.
    """
    made = read.before(m)
    faults = {name: fault for name, place in made.items() if (fault := _fault(m, place))}
    if made and len(faults) == len(made):
        raise CavessonError(
            f"No organism sandbags: {'; '.join(f'{name}, {fault}' for name, fault in faults.items())}.",
            "Train red longer or at a higher rate (red.steps, red.lr), less or at a lower one where easy maths is gone (a model with latent "
            "steps in words: words: true), or take a model that can do hard maths.",
        )
    notes = [f"{name} does not sandbag and is left out: {fault}." for name, fault in faults.items()]
    return m.without(place for place in m if place["organism"] in faults), notes


def _fault(m: Measured, place: Place) -> str:
    """Why an organism is no sandbagger; "": it is one."""
    gap = read.gap(place)
    if gap.mean < m.config.took_from:
        return f"its gap before blue was {gap.estimate}, less than {percent(m.config.took_from)}"
    if read.ruined(place):
        return f"red ruined it, of easy maths it does {read.easy(place, None, 'before').estimate}"
    return ""


SHOWS = (organisms, methods, rates, reasoning, monitors, learning, along, cue, transcripts, notes)
