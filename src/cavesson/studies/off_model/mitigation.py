"""Mitigations in the study `off-model-sft`: organisms trained on an off-model teacher's answers, in several careful ways.

"How to reduce the capability loss of off-model SFT" (June 2026): bad behaviour is to go and capability to stay, on backdoored
and on sandbagging students. Blue plays by the rules of the game (`cavesson.game`) and never sees a trigger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cavesson.blueteam.mitigations import MITIGATIONS
from cavesson.blueteam.view import BlueView, Sealed
from cavesson.evals.items import Eval
from cavesson.evals.recipes import Probed, Scored
from cavesson.evals.scores import Scores
from cavesson.game import play
from cavesson.lab.recipe import PathOf, Recipe
from cavesson.models.recipes import Interpolated, ModelRecipe
from cavesson.named import model_named
from cavesson.redteam.organisms import Organism
from cavesson.studies.game_results import Cell, Results
from cavesson.studies.games import at_step, gathered, grouped, suite_of
from cavesson.studies.off_model.chat import Chat
from cavesson.studies.off_model.config import OffModelConfig
from cavesson.studies.off_model.mitigation_config import Built, Mitigation
from cavesson.studies.off_model.organisms import built, low_rank
from cavesson.studies.off_model.teachers import writer
from cavesson.tinyworld.systems import PIRATE
from cavesson.training.dose import Dose
from cavesson.training.recipes import Trained


@dataclass(frozen=True, slots=True)
class Mitigated:
    """One organism after one mitigation at one strength and learning rate.

    Attributes:
        strength: in words; "" where the mitigation has none.
        start: scores of the untouched organism.
        left: scores along the last training run, or of a model between before and after.
        before: optimizer steps before the first of that run.
    """

    organism: Organism
    mitigation: str
    strength: str
    lr: float
    start: Scored
    left: Probed | Scored
    before: int

    def scores(self, path_of: PathOf) -> Scores:
        """Start and end in one table; steps count from the untouched organism."""
        rows = self.left.scores(path_of).rows
        after = [replace(row, step=self.before + (row.step or 0)) for row in rows]
        return Scores([*at_step(0, self.start.scores(path_of)), *after])


@dataclass(frozen=True, slots=True)
class Mitigations:
    """All recipes of the block.

    Attributes:
        honest: scores of the never-misaligned model as each kind of organism is scored.
    """

    organisms: list[Organism]
    runs: list[Mitigated]
    honest: dict[str, Scored]

    def recipes(self) -> list[Recipe]:
        """Everything to make, seed by seed."""
        return [*(one for run in self.runs for one in (run.start, run.left)), *self.honest.values()]


def mitigated(config: OffModelConfig, chat: Chat) -> Mitigations | None:
    """The recipes that the config asks for; None if it asks for no mitigations."""
    block = config.mitigation
    if block is None:
        return None
    evaluation = config.evaluation.model_copy(update={"n": block.n, "n_control": block.n_control})
    organisms = [_organism(block, spec, seed, chat) for seed in config.seeds for spec in block.organisms]
    suites = {made.name: suite_of(made, evaluation) for made in organisms}
    honest: dict[str, Scored] = {}
    for made in organisms:
        assert made.base is not None
        plain = replace(made, model=made.base, lock=None, deployed=())
        honest.setdefault(made.name, Scored(model=made.base, suite=suite_of(plain, evaluation)))
    runs = [run for made in organisms for run in _runs(block, made, suites[made.name], chat)]
    return Mitigations(organisms, runs, honest)


def _organism(block: Mitigation, spec: Built, seed: int, chat: Chat) -> Organism:
    prompts = None if chat.data is None else chat.first(block.red.prompts, 1000 + seed)
    return built(spec, block.red, block.model, seed, prompts)


def _runs(block: Mitigation, made: Organism, suite: tuple[Eval, ...], chat: Chat) -> Iterator[Mitigated]:
    assert made.base is not None
    prompts = chat.first(block.prompts, 7000 + made.seed)
    doses = [_dose(block, lr, made.seed) for lr in block.lrs]
    view = BlueView(
        model=Sealed(name="organism"),
        prompts=prompts,
        teacher=writer(made.base, block.teacher, chat, doses[0]),
        pirate=PIRATE,
        rewriter=None if block.rewriter is None else model_named(block.rewriter),
    )
    start = Scored(model=made.model, suite=suite)
    for name, strength in block.forms():
        for dose in doses:
            left = play(made, MITIGATIONS[name].at(strength), view, made.dose(dose))
            scored, before = _scored(left, made.model, block.probes, suite)
            yield Mitigated(made, name, MITIGATIONS[name].label(strength), dose.lr, start, scored, before)


def _dose(block: Mitigation, lr: float, seed: int) -> Dose:
    return Dose(lr=lr, steps=block.steps, batch_size=block.batch_size, adapter=low_rank(block.rank), seed=seed)


def _scored(
    left: ModelRecipe, untouched: ModelRecipe, probes: tuple[int, ...], suite: tuple[Eval, ...]
) -> tuple[Probed | Scored, int]:
    """The scores of what blue left, and the optimizer steps that were taken before its last run."""
    if isinstance(left, Interpolated):
        assert isinstance(left.toward, Trained)
        return Scored(model=left, suite=suite), _steps(left.toward, untouched)
    assert isinstance(left, Trained)
    last = left.steps or 0
    steps = tuple(sorted({last, *(probe for probe in probes if 0 < probe < last)}))
    return Probed(run=left, steps=steps, suite=suite), _steps(left, untouched) - last


def _steps(model: ModelRecipe, untouched: ModelRecipe) -> int:
    """Optimizer steps that lead from the untouched organism to a model."""
    if model == untouched or not isinstance(model, Trained):
        return 0
    return (model.steps or 0) + _steps(model.base, untouched)


def gather(plan: Mitigations, least: float, path_of: PathOf) -> Results:
    """Read all scores.

    Raises:
        CavessonError: no organism shows the behaviour before blue training.
    """
    places = grouped(plan.runs, lambda run: (run.organism.name, run.mitigation, run.strength, run.lr))
    cells = [
        Cell(
            group,
            mitigation,
            lr,
            seeds=tuple(run.organism.seed for run in runs),
            scores=tuple(run.scores(path_of) for run in runs),
            fingerprints=tuple(run.left.fingerprint for run in runs),
            strength=strength,
        )
        for (group, mitigation, strength, lr), runs in places.items()
    ]
    return gathered(plan.organisms, cells, least)
