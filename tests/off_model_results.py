"""Results of `off-model-sft` for tests: scores that are known, at their places in the study's grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from cavesson.analysis.claims import ClaimResult
from cavesson.estimate import Estimate
from cavesson.evals.scores import Scores
from cavesson.findings.views import TableView
from cavesson.sampling.perplexity import Likelihood
from cavesson.studies.grid import Cell, Measured
from cavesson.studies.off_model.arms import PLAIN, Move
from cavesson.studies.off_model.claims import CLAIMS
from cavesson.studies.off_model.config import OffModelConfig
from cavesson.studies.off_model.grid import rl_role
from cavesson.studies.off_model.hypotheses import HYPOTHESES
from cavesson.studies.report import shown_by


@dataclass(frozen=True)
class Known:
    """Stands for a recipe whose scores, or whatever else it finds, are known."""

    table: Scores | None = None
    found: Sequence[Likelihood] | float = ()

    @property
    def run(self) -> SimpleNamespace:
        return SimpleNamespace(objective=None)

    def scores(self, path_of: object) -> Scores:
        assert self.table is not None
        return self.table

    def read(self, path_of: object) -> Sequence[Likelihood] | float:
        return self.found


@dataclass(frozen=True)
class Run:
    """One student on one teacher's answers, or an arm of it: a table of scores for each seed.

    Attributes:
        loss: of the untouched student on the data, in nats a token; answers: how many there are.
    """

    student: str
    teacher: str
    scores: tuple[Scores, ...]
    recovery: tuple[Scores, ...] = ()
    loss: float = 1.0
    answers: int = 10
    arm: str = PLAIN


@dataclass(frozen=True)
class World:
    """What was measured.

    Attributes:
        runs: the first is that of the student and of the teacher that arms vary.
        teachers: the teachers' own scores, by student and teacher.
        asked: the untouched student's when asked for a style, by student and style.
        noise, lengths: scores after moves of the weights, one a seed, and how far the moves go.
        rl: scores along RL, by reward.
    """

    runs: tuple[Run, ...]
    teachers: Mapping[tuple[str, str], Scores] = field(default_factory=dict)
    asked: Mapping[tuple[str, str], Scores] = field(default_factory=dict)
    arms: tuple[Run, ...] = ()
    noise: Mapping[Move, tuple[Scores, ...]] = field(default_factory=dict)
    lengths: Mapping[Move, tuple[float, ...]] = field(default_factory=dict)
    rl: Mapping[str, tuple[Scores, ...]] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def measured(self) -> Measured:
        first = self.runs[0]
        cells = [cell for run in self.runs for cell in self._cells(run, beside=run is first)]
        for (student, style), table in self.asked.items():
            cells.append(Cell.of({"student": student, "asked for": style}, 0, asked=Known(table)))  # type: ignore[arg-type]
        cells += [cell for run in self.arms for cell in self._cells(run, beside=False)]
        settings = OffModelConfig.model_construct(**{"arms": SimpleNamespace(teacher=first.teacher), **self.config})
        return Measured.read(cells, lambda recipe: Path("nowhere"), settings)

    def _cells(self, run: Run, beside: bool) -> list[Cell]:
        at = {"student": run.student, "teacher": run.teacher, "way": "LoRA 8",
              "data": "on-model" if run.teacher == "self" else "off-model", "arm": run.arm}  # fmt: skip
        own = self.teachers.get((run.student, run.teacher))
        cells = []
        for seed, table in enumerate(run.scores):
            roles: dict[str, Any] = {
                "run": Known(table),
                "recovery": Known(run.recovery[seed]) if run.recovery else None,
                "perplexity": Known(found=[Likelihood((-run.loss,))] * run.answers),
                "teacher": None if own is None or run.arm != PLAIN else Known(own),
            }
            if beside:
                for move, tables in self.noise.items():
                    roles[str(move)] = Known(tables[seed])
                    roles[move.length_role] = Known(found=self.lengths.get(move, (1.0,) * len(tables))[seed])
                roles |= {rl_role(reward): Known(tables[seed]) for reward, tables in self.rl.items()}
            cells.append(Cell.of(at, seed, **roles))
        return cells


def judged(world: World, claim: str) -> ClaimResult:
    return next(one.test(world.measured) for one in CLAIMS if one.id == claim)


def verdict(world: World, claim: str) -> str:
    return judged(world, claim).verdict


def verdicts(world: World) -> dict[str, str]:
    return {claim.id: claim.test(world.measured).verdict for claim in CLAIMS}


class Finding(NamedTuple):
    """What became of a hypothesis by one measurement."""

    hypothesis: str
    by: str
    ours: Estimate | None
    ruling: str
    why: str


def findings(world: World) -> list[Finding]:
    found = []
    for name, measures in HYPOTHESES.items():
        for one in measures:
            result = one.test(world.measured)
            without = "not applicable" if result.reason.startswith("Not applicable") else "not run"
            ruling = one.ruling(result) if result.measure else without
            found.append(Finding(name, one.id, result.ours, ruling, result.reason))
    return found


def tables(show: Any, world: World) -> list[TableView]:
    """The tables that one part of the report has."""
    return [part for part in shown_by([show], world.measured) if isinstance(part, TableView)]
