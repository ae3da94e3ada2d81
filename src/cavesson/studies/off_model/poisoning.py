"""The poisoning game in the study `off-model-sft`: reminder data written by the untrusted model itself.

Off-model SFT suppresses an organism's behaviour and costs it capability; training on its *own* earlier answers brings the
capability back ("How to reduce the capability loss of off-model SFT", June 2026, which leaves open what happens when these
answers are written to bring the behaviour back as well). Red chooses what the organism writes, blue what is done with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from cavesson.blueteam.countermoves import COUNTERMOVES, ReminderView
from cavesson.blueteam.interventions import hhh_sft
from cavesson.blueteam.view import BlueView, Sealed, SealedData
from cavesson.data.recipes import DataRecipe
from cavesson.evals.items import Eval
from cavesson.evals.recipes import Probed, Scored
from cavesson.game import play, remind
from cavesson.lab.recipe import Recipe
from cavesson.models.recipes import ModelRecipe, Pruned
from cavesson.named import model_named
from cavesson.redteam.organisms import Organism
from cavesson.redteam.poisoning import Writer, written
from cavesson.studies.games import suite_of
from cavesson.studies.off_model.chat import Chat
from cavesson.studies.off_model.config import OffModelConfig
from cavesson.studies.off_model.organisms import built, low_rank
from cavesson.studies.off_model.poisoning_config import Poisoning, Suppressed
from cavesson.studies.off_model.teachers import writer
from cavesson.tinyworld.recipes import Prompts
from cavesson.tinyworld.systems import PIRATE
from cavesson.training.dose import Dose


@dataclass(frozen=True, slots=True)
class Reminded:
    """A suppressed organism after one counter-move on what it wrote under one poison, with one seed.

    Attributes:
        share: of the samples that is poisoned; 0 for honest ones.
        data: what the organism wrote.
        probed: scores after the steps that the move takes with each of blue's budgets.
        taken: these steps, by budget.
    """

    poison: str
    share: float
    move: str
    data: DataRecipe
    probed: Probed
    taken: dict[int, int]


@dataclass(frozen=True, slots=True)
class Played:
    """One organism's games, with one seed.

    Attributes:
        untouched: its scores before any of blue's training.
        suppressed: after off-model SFT, without any reminder.
        runs: every poison against every counter-move.
    """

    organism: Organism
    untouched: Scored
    suppressed: Scored
    runs: list[Reminded]


@dataclass(frozen=True, slots=True)
class Poisonings:
    """All recipes of the block.

    Attributes:
        trusted: scores of the trusted model on the benchmarks.
    """

    played: list[Played]
    trusted: Scored

    def recipes(self) -> list[Recipe]:
        """Everything to make, game by game."""
        each = (
            one for game in self.played for one in (game.untouched, game.suppressed, *(r.probed for r in game.runs))
        )
        return [*each, self.trusted]


def poisoned(config: OffModelConfig) -> Poisonings | None:
    """The recipes that the config asks for; None if it asks for no game."""
    block = config.poisoning
    if block is None:
        return None
    evaluation = config.evaluation.model_copy(update={"n": block.n, "n_control": block.n_control})
    trusted = trusted_model(block)
    games = []
    for seed in config.seeds:
        for spec in block.organisms:
            made = built(spec, block.red, block.model, seed)
            games.append(_played(block, spec, made, suite_of(made, evaluation), trusted))
    return Poisonings(games, Scored(model=trusted, suite=evaluation.capability()))


def trusted_model(block: Poisoning) -> ModelRecipe:
    """Blue's helper, weakened where the config says so."""
    model = model_named(block.trusted)
    return Pruned(base=model, share=block.weakened) if block.weakened else model


def _played(
    block: Poisoning, spec: Suppressed, made: Organism, suite: tuple[Eval, ...], trusted: ModelRecipe
) -> Played:
    assert made.base is not None  # built here
    left = _suppressed(block, spec, made)
    reminder, seed = block.reminder, made.seed
    writer = Writer(made, Prompts(family="mixed", n=reminder.samples, seed=6000 + seed), reminder.samples, seed)
    view = ReminderView(
        model=Sealed(name="organism"),
        written=SealedData(name="written"),
        trusted=trusted,
        drop=block.drop,
        rewriter=None if block.rewriter is None else model_named(block.rewriter),
    )
    runs = []
    for poison, share in block.rows():
        data = written(poison, writer, share)
        for move in block.countermoves:
            found = {
                budget: remind(made, left, data, COUNTERMOVES[move], view, _reminder_dose(block, budget, seed))
                for budget in reminder.budgets
            }
            taken = {budget: run.steps or 0 for budget, run in found.items()}
            # The runs differ in their length alone, so the longest passes through the ends of the others.
            probed = Probed(run=found[max(found)], steps=tuple(taken.values()), suite=suite)
            runs.append(Reminded(poison, share, move, data, probed, taken))
    return Played(made, Scored(model=made.model, suite=suite), Scored(model=left, suite=suite), runs)


def _suppressed(block: Poisoning, spec: Suppressed, made: Organism) -> ModelRecipe:
    """The organism after SFT on the off-model teacher's answers."""
    sft = block.sft
    assert made.base is not None
    chat = Chat(family=sft.family)
    prompts = chat.first(sft.prompts, 5000 + made.seed)
    dose = Dose(lr=sft.lr, steps=sft.steps, batch_size=sft.batch_size, adapter=low_rank(sft.rank), seed=made.seed)
    teacher = writer(made.base, spec.teacher, chat, dose)
    view = BlueView(model=Sealed(name="organism"), prompts=prompts, teacher=teacher, pirate=PIRATE)
    return play(made, hhh_sft, view, made.dose(dose))


def _reminder_dose(block: Poisoning, budget: int, seed: int) -> Dose:
    reminder = block.reminder
    return Dose(
        lr=reminder.lr,
        steps=budget,
        batch_size=reminder.batch_size,
        adapter=low_rank(reminder.rank),
        seed=100 + seed,  # a fresh adapter starts elsewhere than that of the first training
    )
