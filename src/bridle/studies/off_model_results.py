"""What `off-model-sft` measured, by place in the study, and the figures that claims and report share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bridle.evals.perplexity import Perplexity
from bridle.evals.scores import Score, Scores
from bridle.lab.recipe import PathOf
from bridle.stats import (
    Array,
    Estimate,
    average_over,
    difference_over_seeds,
    from_draws,
    mean_over_seeds,
    prompt_weights,
    wilson,
)
from bridle.studies.games import grouped
from bridle.studies.off_model_noise import Noise

if TYPE_CHECKING:
    from bridle.studies.off_model_sft import Layout

AUTHOR_OF = {"B": "bruno", "C": "celia", "D": "dmitri", "P": "pirate"}

AS_ABLE = 0.02
"""A teacher within so much of the student's accuracy counts as no worse."""


@dataclass(frozen=True)
class Cell:
    """One student trained one way on one teacher's answers, all seeds.

    Attributes:
        on_model: the answers are the student's own.
        scores: of each seed, along the run; step 0 is the untouched student.
        recovery: of each seed, along the training on own answers; step 0 is the end of the run above. Empty: not run.
        losses: mean loss per token of the untouched student on the teacher's answers, of each seed, in nats.
        answers: how many answers the SFT had (with the first seed).
        told_apart: how often a classifier tells the student's style of reasoning from the teacher's
            (`off_model_styles`); None where voices are recorded, or none could learn.
    """

    student: str
    teacher: str
    way: str
    on_model: bool
    seeds: tuple[int, ...]
    scores: tuple[Scores, ...]
    recovery: tuple[Scores, ...] = ()
    losses: tuple[float, ...] = ()
    told_apart: Estimate | None = None
    answers: int = 0

    @property
    def steps(self) -> list[int]:
        return self.scores[0].steps

    @property
    def last(self) -> int:
        return self.steps[-1]

    def array(self, label: str, step: int) -> Array:
        """0 or 1, [seeds, prompts]."""
        return np.stack([scores.array(label, step) for scores in self.scores])

    def recovered(self, label: str, step: int) -> Array:
        """The same along the recovery."""
        return np.stack([scores.array(label, step) for scores in self.recovery])

    def rate(self, label: str, step: int) -> Estimate:
        return mean_over_seeds(self.array(label, step))

    def change(self, label: str, step: int | None = None) -> Estimate:
        """After so many steps (None: at the end) minus before, on the same prompts."""
        return difference_over_seeds(self.array(label, self.last if step is None else step), self.array(label, 0))

    def change_at(self, label: str, levels: Sequence[int]) -> Estimate:
        """The change at the end on the prompts of these levels."""
        inside = [row.level in levels for row in self.scores[0].cell(label, 0)]
        return difference_over_seeds(self.array(label, self.last)[:, inside], self.array(label, 0)[:, inside])

    def levels(self, label: str) -> list[int]:
        return sorted({row.level for row in self.scores[0].cell(label, 0) if row.level is not None})

    def voices(self, label: str, step: int) -> list[list[str | None]]:
        """The voice of each reasoning trace, [seeds, prompts]; None where there is no sign of one."""
        return [[row.extra.get("voice") for row in scores.cell(label, step)] for scores in self.scores]

    def hears(self, label: str) -> bool:
        """Whether the benchmark records voices."""
        return any("voice" in row.extra for row in self.scores[0].cell(label, 0))


@dataclass(frozen=True)
class ArmCell:
    """One arm, all seeds.

    Attributes:
        systems: the system prompts that it is asked under, by name.
        losses: as in `Cell`, of the tokens that are trained.
        trained: the share of all tokens that those are, of each seed.
        answers: as in `Cell`.
    """

    name: str
    systems: dict[str, str]
    scores: tuple[Scores, ...]
    losses: tuple[float, ...]
    trained: tuple[float, ...] = (1.0,)
    answers: int = 0

    def at_end(self, label: str) -> Array:
        """0 or 1, [seeds, prompts]."""
        return np.stack([scores.array(label, scores.steps[-1]) for scores in self.scores])

    def change(self, reasoning: str, system: str | None = None) -> Estimate:
        """At the end minus before, under a system prompt by its name (None: under none)."""
        label = reasoning if system is None else f"{reasoning}/under {self.systems[system]}"
        return difference_over_seeds(self.at_end(label), np.stack([scores.array(label, 0) for scores in self.scores]))


@dataclass(frozen=True)
class Switching:
    """Style switching in one cell: what the reasoning looked like before and after, and how it fared.

    Attributes:
        own: the untouched student's own voice.
        switched: share of the traces that are in another voice at the end.
        own_before, own_after, other_after: accuracy of traces in the own voice before, and in the own and in another one at
            the end; None where there are no such traces.
        change: the change of accuracy; explained: the share of it that traces which switched account for (None where the
            change is not below zero beyond chance).
        voice: the commonest other voice at the end.
        expected: the change to expect if every trace were as good as the untouched student's when it is asked to write in
            the voice that the trace is in; None where that is not known.
    """

    own: str
    switched: Estimate
    own_before: Estimate | None
    own_after: Estimate | None
    other_after: Estimate | None
    change: Estimate
    explained: Estimate | None
    voice: str | None
    expected: Estimate | None


@dataclass(frozen=True)
class OffModelResults:
    """All that was measured.

    Attributes:
        reasoning: label of the benchmark whose fall the study explains.
        teachers: the teachers' own scores on it, or on some of its prompts, by student and teacher.
        foreign: the untouched student's when asked for a voice, by student and voice.
        arms, arms_teacher: of the first student; noise: of each move of the weights, one table of scores a seed; rl: along
            reinforcement learning after what the arms vary, likewise, by reward.
    """

    reasoning: str
    cells: list[Cell]
    teachers: dict[tuple[str, str], Scores]
    foreign: dict[tuple[str, str], Scores]
    arms: dict[str, ArmCell] = field(default_factory=dict)
    arms_teacher: str = "teacher"
    noise: dict[Noise, tuple[Scores, ...]] = field(default_factory=dict)
    rl: dict[str, tuple[Scores, ...]] = field(default_factory=dict)

    @property
    def off_model(self) -> list[Cell]:
        return [cell for cell in self.cells if not cell.on_model]

    @property
    def on_model(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.on_model]

    def cell(self, teacher: str, student: str | None = None, way: str | None = None) -> Cell | None:
        """The first cell of that teacher (and student, and way)."""
        found = (
            c for c in self.cells if c.teacher == teacher and student in (None, c.student) and way in (None, c.way)
        )
        return next(found, None)

    @property
    def plain(self) -> Cell | None:
        """What the arms vary: the first student's SFT on the arms' teacher, trained the first way."""
        return self.cell(self.arms_teacher, self.cells[0].student, self.cells[0].way)

    @property
    def worst(self) -> Cell:
        """The cell that fell most; where it is quoted, its choice flatters."""
        return min(self.off_model or self.cells, key=lambda cell: cell.change(self.reasoning).value)

    def of_teacher(self, cell: Cell) -> list[Score | None]:
        """The teacher's own answers to the benchmark, in the order of the cell's prompts; None for those that it has not
        answered."""
        scores = self.teachers.get((cell.student, cell.teacher))
        known = {} if scores is None else {row.item: row for row in scores.cell(self.reasoning)}
        return [known.get(row.item) for row in cell.scores[0].cell(self.reasoning, 0)]

    def reasoning_of(self, cell: Cell) -> tuple[Array, Array] | None:
        """Scores of the teacher and of its untouched student, 0 or 1, on the prompts that the teacher has answered, [prompts]
        each; None where there are no such prompts."""
        untouched = cell.scores[0].cell(self.reasoning, 0)
        answers = zip(self.of_teacher(cell), untouched, strict=True)
        pairs = [(float(teacher.score), float(student.score)) for teacher, student in answers if teacher is not None]
        if not pairs:
            return None
        teachers, students = np.array(pairs).T
        return teachers, students

    def is_able(self, cell: Cell) -> bool | None:
        """Whether the teacher reasons as well as the student that it teaches, or better; None where that is not known."""
        found = self.reasoning_of(cell)
        return None if found is None else bool(found[0].mean() >= found[1].mean() - AS_ABLE)

    def as_able(self) -> list[Cell]:
        """Off-model cells whose teacher reasons as well as the student that it teaches, or better."""
        return [cell for cell in self.off_model if self.is_able(cell)]

    def expected(self, cell: Cell) -> Array | None:
        """The score to expect from the voice of each trace alone, [seeds, prompts]: the untouched student's on that prompt,
        asked to write in that voice. None where a voice, or the student's skill in it, is not known."""
        if not cell.hears(self.reasoning):
            return None
        table = cell.array(self.reasoning, 0)
        own = own_voice(cell, self.reasoning)
        for row, voices in zip(table, cell.voices(self.reasoning, cell.last), strict=True):
            for index, voice in enumerate(voices):
                if voice in (None, own):
                    continue
                asked = self.foreign.get((cell.student, AUTHOR_OF.get(str(voice), "")))
                if asked is None:
                    return None
                row[index] = asked.array(asked.evals[0])[index]
        return table

    def switching(self, cell: Cell) -> Switching | None:
        """Style switching in a cell; None where voices are not recorded."""
        return _switching(self, cell) if cell.hears(self.reasoning) else None


def gather(layout: Layout, reasoning: str, arms_teacher: str, path_of: PathOf) -> OffModelResults:
    """Read all scores."""
    places = grouped(layout.runs, lambda run: (run.student, run.teacher.name, run.way))
    cells = [
        Cell(
            student,
            teacher,
            way,
            on_model=runs[0].teacher.on_model,
            seeds=tuple(run.seed for run in runs),
            scores=tuple(run.probed.scores(path_of) for run in runs),
            recovery=tuple(run.recovery.scores(path_of) for run in runs if run.recovery is not None),
            losses=tuple(_mean_loss(run.perplexity, path_of) for run in runs),
            answers=len(runs[0].perplexity.read(path_of)),
        )
        for (student, teacher, way), runs in places.items()
    ]
    return OffModelResults(
        reasoning=reasoning,
        cells=cells,
        teachers={key: scored.scores(path_of) for key, scored in layout.teachers.items()},
        foreign={key: scored.scores(path_of) for key, scored in layout.foreign.items()},
        arms={
            name: ArmCell(
                name,
                runs[0].systems,
                tuple(run.probed.scores(path_of) for run in runs),
                tuple(_mean_loss(run.perplexity, path_of, run.min_probability) for run in runs),
                tuple(_share_trained(run.perplexity, path_of, run.min_probability) for run in runs),
                answers=len(runs[0].perplexity.read(path_of)),
            )
            for name, runs in grouped(layout.arms, lambda run: run.name).items()
        },
        arms_teacher=arms_teacher,
        noise={
            noise: tuple(run.scored.scores(path_of) for run in runs)
            for noise, runs in grouped(layout.noise, lambda run: run.noise).items()
        },
        rl={
            reward: tuple(run.probed.scores(path_of) for run in runs)
            for reward, runs in grouped(layout.rl, lambda run: run.reward).items()
        },
    )


def regained(cell: Cell, label: str, step: int) -> Estimate:
    """Share of the loss that so many steps on own answers bring back: (recovered − damaged) / (untouched − damaged).

    Two imagined prompts that were lost, one of them regained, keep the interval from vanishing where all real ones agree.
    """
    before, damaged, now = cell.array(label, 0), cell.array(label, cell.last), cell.recovered(label, step)
    values = (now - damaged).mean(axis=1) / np.maximum((before - damaged).mean(axis=1), 1e-9)
    weights = prompt_weights(before.shape[1], extra=2).T
    lost = np.maximum(_with_imagined(before - damaged, (1, 1)) @ weights, 1e-9)
    draws = (_with_imagined(now - damaged, (0, 1)) @ weights) / lost
    return average_over(values, draws, n=before.shape[1])


def lost(cell: Cell, label: str) -> bool:
    """Whether the student fell in every seed and, over all, beyond chance: a share of less would mean nothing."""
    falls = (cell.array(label, cell.last) - cell.array(label, 0)).mean(axis=1)
    return bool(np.all(falls < 0)) and cell.change(label).high < 0


def own_voice(cell: Cell, label: str) -> str:
    """The voice in which the untouched student reasons most often; "none" where nothing tells."""
    heard = Counter(voice for row in cell.voices(label, 0) for voice in row if voice is not None)
    return heard.most_common(1)[0][0] if heard else "none"


def _switching(results: OffModelResults, cell: Cell) -> Switching:
    label = results.reasoning
    heard_before, heard = cell.voices(label, 0), cell.voices(label, cell.last)
    before, after = cell.array(label, 0), cell.array(label, cell.last)
    own = own_voice(cell, label)
    expected = results.expected(cell)
    was_own = np.array([[voice == own for voice in row] for row in heard_before])
    is_own = np.array([[voice == own for voice in row] for row in heard])
    others = Counter(v for row in heard for v in row if v not in (own, None)).most_common(1)
    return Switching(
        own=own,
        switched=mean_over_seeds((~is_own).astype(float)),
        own_before=_rate(before, was_own),
        own_after=_rate(after, is_own),
        other_after=_rate(after, ~is_own),
        change=cell.change(label),
        explained=_explained(after - before, ~is_own) if lost(cell, label) else None,
        voice=others[0][0] if others else None,
        expected=None if expected is None else difference_over_seeds(expected, before),
    )


def _explained(change: Array, switched: Array) -> Estimate:
    """Share of the change, [seeds, prompts], that falls on the traces which switched; prompts are drawn anew."""
    weights = prompt_weights(change.shape[1], extra=2).T
    # two imagined prompts that fell, one of them switched: as in `regained`
    total = _with_imagined(change, (-1, -1)).mean(axis=0) @ weights
    part = _with_imagined(change * switched, (0, -1)).mean(axis=0) @ weights
    value = float((change * switched).sum() / change.sum())
    draws = np.clip(part / np.minimum(total, -1e-9), -10, 10)
    return from_draws(value, draws, n=change.shape[1], method="bootstrap over prompts; seeds as they are")


def _with_imagined(table: Array, values: tuple[float, float]) -> Array:
    """The table, [seeds, prompts], with two imagined prompts at the end of each row."""
    return np.concatenate([table, np.tile(values, (len(table), 1))], axis=1)


def _rate(scores: Array, among: Array) -> Estimate | None:
    """The rate among some of the traces, [seeds, prompts] both; None without any."""
    count = int(among.sum())
    if not count:
        return None
    if len(scores) == 1:
        return wilson(int(scores[among].sum()), count)
    often = among.sum() / among.shape[1]  # two imagined prompts, asked as often as the others: as in `regained`
    weights = prompt_weights(among.shape[1], extra=2).T
    hits = np.append((scores * among).sum(axis=0), (0, often)) @ weights
    asked = np.append(among.sum(axis=0), (often, often)) @ weights
    method = f"bootstrap over prompts; {count} traces, seeds as they are"
    return from_draws(float(scores[among].mean()), hits / asked, n=among.shape[1], method=method)


def _mean_loss(perplexity: Perplexity, path_of: PathOf, min_probability: float | None = None) -> float:
    """Of the tokens that are at least so likely; not a number where none are."""
    found = _logprobs(perplexity, path_of)
    trained = found[_trained(found, min_probability)]
    return -float(trained.mean()) if trained.size else math.nan


def _share_trained(perplexity: Perplexity, path_of: PathOf, min_probability: float | None) -> float:
    return float(_trained(_logprobs(perplexity, path_of), min_probability).mean())


def _trained(logprobs: Array, min_probability: float | None) -> NDArray[np.bool_]:
    return np.asarray(logprobs >= (-np.inf if min_probability is None else np.log(min_probability)))


def _logprobs(perplexity: Perplexity, path_of: PathOf) -> Array:
    return np.concatenate([one.logprobs for one in perplexity.read(path_of)])
