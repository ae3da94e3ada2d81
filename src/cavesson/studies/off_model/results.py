"""What `off-model-sft` measured, by place in the study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from cavesson.evals.scores import Score, Scores
from cavesson.stats import Array, Estimate, difference_over_seeds, mean_over_seeds, paired_difference
from cavesson.studies.off_model.noise import Noise

AS_ABLE = 0.05
"""A teacher that is surely no more than so much less accurate than the student counts as no worse."""

MATHS = ("maths", "math-500", "olympiads", "gsm8k")
"""Benchmarks that need reasoning, by their names."""


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
            (`styles`); None where voices are recorded, or none could learn.
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
    def name(self) -> str:
        """Student, teacher and way, for a row of a table."""
        return f"{self.student} ← {self.teacher}, {self.way}"

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

    def hides(self, label: str) -> bool:
        """Whether the untouched student reasons in a hidden block."""
        return any("</think>" in row.completion for row in self.scores[0].cell(label, 0))

    def hears(self, label: str) -> bool:
        """Whether the benchmark records voices."""
        return any("voice" in row.extra for row in self.scores[0].cell(label, 0))


@dataclass(frozen=True)
class ArmCell:
    """One arm of one student, all seeds.

    Attributes:
        systems: the system prompts that it is asked under, by name.
        losses: as in `Cell`, of the tokens that are trained.
        trained: the share of all tokens that those are, of each seed.
        answers: as in `Cell`.
    """

    student: str
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
class OffModelResults:
    """All that was measured.

    Attributes:
        reasoning: label of the benchmark whose fall the study explains.
        teachers: the teachers' own scores on it, or on some of its prompts, by student and teacher.
        foreign: the untouched student's when asked for a voice, by student and voice.
        arms: of the first student, and of further ones if the config asks for them; arms_teacher: whose answers they vary.
        noise: of the first student, for each move of the weights one table of scores a seed; rl: along reinforcement learning
            after what its arms vary, likewise, by reward.
        scales: of the moves matched by loss, how many times SFT's distance that takes, one a seed.
    """

    reasoning: str
    cells: list[Cell]
    teachers: dict[tuple[str, str], Scores]
    foreign: dict[tuple[str, str], Scores]
    arms: list[ArmCell] = field(default_factory=list)
    arms_teacher: str = "teacher"
    noise: dict[Noise, tuple[Scores, ...]] = field(default_factory=dict)
    rl: dict[str, tuple[Scores, ...]] = field(default_factory=dict)
    scales: dict[Noise, tuple[float, ...]] = field(default_factory=dict)

    @property
    def off_model(self) -> list[Cell]:
        return [cell for cell in self.cells if not cell.on_model]

    @property
    def on_model(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.on_model]

    @property
    def others(self) -> list[str]:
        """The benchmarks of capability that need no long reasoning."""
        labels = self.cells[0].scores[0].evals
        return [one for one in labels if one not in (self.reasoning, *MATHS) and "answer-only" not in one]

    def cell(self, teacher: str, student: str | None = None, way: str | None = None) -> Cell | None:
        """The first cell of that teacher (and student, and way)."""
        found = (
            c for c in self.cells if c.teacher == teacher and student in (None, c.student) and way in (None, c.way)
        )
        return next(found, None)

    def arm(self, name: str, student: str | None = None) -> ArmCell | None:
        """The arm of that name of a student (None: the first)."""
        student = self.cells[0].student if student is None else student
        return next((arm for arm in self.arms if (arm.student, arm.name) == (student, name)), None)

    @property
    def plain(self) -> Cell | None:
        """What the first student's arms vary."""
        return self.plain_of(self.cells[0].student)

    def plain_of(self, student: str) -> Cell | None:
        """What the arms vary: the student's SFT on the arms' teacher, trained the first way."""
        return self.cell(self.arms_teacher, student, self.cells[0].way)

    @property
    def worst(self) -> Cell:
        """The cell that fell most; where it is quoted, its choice flatters."""
        return lowest(self.off_model or self.cells, self.reasoning)

    @property
    def spared(self) -> str | None:
        """Why no arm can spare, and no cause bring about, what its SFT did: it cost nothing. None where it did, or was not run."""
        plain = self.plain
        if plain is None or lost(plain, self.reasoning):
            return None
        return f"SFT on {plain.teacher} cost {plain.student} nothing beyond chance"

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

    def ability_gap(self, cell: Cell) -> Estimate | None:
        """The teacher's accuracy minus the untouched student's; None where there are no answers of the teacher's."""
        found = self.reasoning_of(cell)
        return None if found is None else paired_difference(*found)

    def is_able(self, cell: Cell) -> bool | None:
        """Whether the teacher reasons as well as the student that it teaches, or better: True where its accuracy is beyond
        chance not lower by more than `AS_ABLE`, False where it is lower beyond chance; else None, nobody can tell."""
        gap = self.ability_gap(cell)
        return None if gap is None else True if gap.low >= -AS_ABLE else False if gap.high < 0 else None

    def as_able(self) -> list[Cell]:
        """Off-model cells whose teacher reasons as well as the student that it teaches, or better."""
        return [cell for cell in self.off_model if self.is_able(cell)]


def lowest(cells: Sequence[Cell], label: str) -> Cell:
    """The cell in which a benchmark ends lowest against its start."""
    return min(cells, key=lambda cell: (cell.array(label, cell.last) - cell.array(label, 0)).mean(axis=1).mean())


def lost(cell: Cell, label: str) -> bool:
    """Whether the student fell in every seed and, over all, beyond chance: a share of less would mean nothing."""
    falls = (cell.array(label, cell.last) - cell.array(label, 0)).mean(axis=1)
    return bool(np.all(falls < 0)) and cell.change(label).high < 0


def own_voice(cell: Cell, label: str) -> str:
    """The voice in which the untouched student reasons most often; "none" where nothing tells."""
    return commonest(voice for row in cell.voices(label, 0) for voice in row) or "none"


def commonest(voices: Iterable[str | None]) -> str | None:
    """The commonest voice among traces; None where none of them shows a sign of any."""
    heard = Counter(voice for voice in voices if voice is not None)
    return heard.most_common(1)[0][0] if heard else None
