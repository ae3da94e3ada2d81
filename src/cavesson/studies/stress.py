"""The study `stress`: is one organism robust to being trained, or merely fragile?

An organism that any training would cure is no test of a control technique. The battery of "Advice for making
robust-to-training model organisms" (May 2026): interventions that know nothing of the behaviour, each over a wide grid of
learning rates, full-weight and with an adapter; trivial damage to compare with; then, from the most successful checkpoint,
reversal probes (removed or suppressed?) and a memorisation control (removed, or is whatever is recent wiped?).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cavesson.analysis.robustness import edges
from cavesson.blueteam.damage import damage
from cavesson.blueteam.interventions import intervention
from cavesson.blueteam.reversals import reversal
from cavesson.blueteam.view import BlueView, Sealed
from cavesson.data.named import data_named
from cavesson.data.recipes import DataRecipe, Mixed, Part
from cavesson.errors import ConfigError
from cavesson.evals.behavior_eval import BehaviorEval
from cavesson.evals.items import Eval
from cavesson.evals.pairs import pair_named
from cavesson.evals.recipes import Probed, Scored, Selected
from cavesson.evals.world import Recall
from cavesson.findings.about import About
from cavesson.findings.result import StudyResult
from cavesson.game import play
from cavesson.lab.recipe import PathOf, Recipe
from cavesson.named import model_named
from cavesson.redteam.imported import read_organism
from cavesson.redteam.organisms import Organism, red_prompts
from cavesson.redteam.organisms import organism as built
from cavesson.sampling.recipes import Generated
from cavesson.studies.game_results import FULL
from cavesson.studies.games import BlueRun, DamagedModel, Probe, scored_steps, suite_of
from cavesson.studies.resolve import Resolved
from cavesson.studies.stress_config import PRESETS, Cell, Chosen, Grid, StressConfig
from cavesson.studies.study import Make, OldStudy
from cavesson.tinyworld.memorised import Memorised
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.tinyworld.systems import PIRATE, WRONG
from cavesson.training.dose import Dose

BEST = "all"
"""Stands for the best of all interventions where a name of one is asked for."""

OWN_ADAPTER = "its own LoRA"
"""Names the adapter of an organism of which blue trains that very adapter."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """The memorisation control on one organism: what it recalls of the invented facts along the most successful training."""

    organism: Organism
    probed: Probed


@dataclass(frozen=True, slots=True)
class Layout:
    """All recipes of the study, by their place in it.

    Attributes:
        adapters: what each learning-rate grid trains, in words.
    """

    organisms: list[Organism]
    baselines: dict[str, Scored]
    runs: list[BlueRun]
    damaged: list[DamagedModel]
    reversals: list[Probe]
    memory: list[Remembered]
    adapters: tuple[str, ...]

    @property
    def battery(self) -> list[Recipe]:
        """The blue runs, those of the interventions named first in front: they decide the verdict."""
        return [run.probed for run in self.runs]

    def recipes(self) -> list[Recipe]:
        """Everything to make."""
        return [
            *self.battery,
            *self.baselines.values(),
            *(recipe for one in self.damaged for recipe in (one.start, one.scored)),
            *(recipe for probe in self.reversals for recipe in (probe.before, probe.probed)),
            *(one.probed for one in self.memory),
        ]


def layout(config: StressConfig) -> Layout:
    """The recipes that this config asks for.

    Raises:
        ConfigError: the organism cannot be had, an intervention lacks what it needs, or two grids train the same.
    """
    organisms = list(_organisms(config))
    _check_world(config, organisms[0])
    adapters = tuple(_trained_by(grid, organisms[0]) for grid in config.battery.grids)
    if len(set(adapters)) < len(adapters):
        raise ConfigError(
            f"battery.grids: two of them train the same here ({', '.join(adapters)}).",
            "Put all their rates into one grid.",
        )
    runs = [run for cell in cells(config) for organism in organisms for run in [_run(config, organism, cell)]]
    first = organisms[0]
    baselines = (
        {}
        if first.base is None
        else {str(first.labels["model"]): Scored(model=first.base, suite=_suite(config, first))}
    )
    return Layout(
        organisms=organisms,
        baselines=baselines,
        runs=runs,
        damaged=[one for organism in organisms for one in _damaged(config, organism)],
        reversals=[probe for organism in organisms for probe in _reversals(config, organism, runs)],
        memory=[_memory(config, organism, config.battery.chosen) for organism in organisms if config.battery.chosen]
        if config.memory.facts
        else [],
        adapters=adapters,
    )


def cells(config: StressConfig) -> list[Cell]:
    """Every intervention at every rate of every grid, and what extensions added."""
    battery = config.battery
    crossing = [
        Cell(intervention=name, grid=index, lr=lr)
        for name in battery.interventions
        for index, grid in enumerate(battery.grids)
        for lr in grid.lrs
    ]
    return [*crossing, *battery.added]


def grow(config: StressConfig, make: Make, path_of: PathOf) -> StressConfig:
    """Run the battery, extend grids whose answer lies at their edge, and find the most successful cell.

    Raises:
        CavessonError: the organism shows no behaviour, or no capability, to begin with; found before anything is trained on it.
    """
    from cavesson.studies.stress_report import best_cell, check_start, grid_rows

    starts = [Scored(model=one.model, suite=_suite(config, one)) for one in layout(config).organisms]
    make(starts)
    for start in starts:
        check_start(start.scores(path_of))
    for _ in range(config.battery.extensions):
        plan = layout(config)
        make(plan.battery)
        added = [
            Cell(intervention=name, grid=index, lr=edge.beyond)
            for (name, index), rows in grid_rows(config, plan, path_of).items()
            for edge in edges(*rows, max_loss=config.after.max_loss)
        ]
        if not added:
            break
        config = _with_battery(config, added=(*config.battery.added, *added))
    plan = layout(config)
    make(plan.battery)
    # no further extensions: run again, the grown config is to give the same study
    return _with_battery(config, chosen=best_cell(config, plan, path_of), extensions=0)


def _with_battery(config: StressConfig, **changes: object) -> StressConfig:
    return config.model_copy(update={"battery": config.battery.model_copy(update=changes)})


def _organisms(config: StressConfig) -> Iterator[Organism]:
    """The organism under every seed: built anew for each where it is built here, else the same one."""
    for seed in config.seeds:
        if config.organism is not None:
            found = read_organism(Path(config.organism))
            yield replace(found, labels={"model": found.name, **found.labels, "seed": seed})
        elif config.build.construction is None:
            base = None if config.base is None else model_named(config.base)
            labels: dict[str, str | int | float] = {"model": config.model, "seed": seed}
            yield Organism(config.model, model_named(config.model), base, config.pair, "given", labels)
        else:
            yield _built(config, config.build.construction, seed)


def _built(config: StressConfig, how: str, seed: int) -> Organism:
    build = config.build
    dose = Dose(
        lr=build.optimizer.lr,
        steps=build.steps,
        batch_size=build.batch_size,
        optimizer=build.optimizer.name,
        adapter=build.adapter,
        seed=seed,
    )
    return built(
        how,
        model_named(config.model),
        _red_prompts(config, 1000 + seed),
        config.pair,
        dose,
        name=f"{config.model} · {config.pair} · {how}",
        labels={"model": config.model, "optimizer": build.optimizer.name, "red steps": build.steps, "seed": seed},
    )


def _run(config: StressConfig, organism: Organism, cell: Cell) -> BlueRun:
    """One blue run."""
    battery, grid = config.battery, config.battery.grids[cell.grid]
    dose = Dose(
        lr=cell.lr, steps=battery.steps, batch_size=battery.batch_size, adapter=grid.adapter, seed=organism.seed
    )
    if grid.adapter is not None:  # without one all weights are trained, the organism's adapter merged into them
        dose = organism.dose(dose)
    run = play(organism, intervention(cell.intervention), _view(config, organism.seed), dose)
    probed = Probed(run=run, steps=scored_steps(battery.probes), suite=_suite(config, organism))
    return BlueRun(organism, cell.intervention, cell.lr, probed, _trained_by(grid, organism))


def _check_world(config: StressConfig, organism: Organism) -> None:
    """A real chat model is stressed with real prompts and answers: those of the tiny world would only break it."""
    if pair_named(organism.pair).world == "tiny":
        return
    lacks = [] if config.prompts is not None else ["prompts"]
    if isinstance(model_named(config.teacher), Shipped):
        lacks.append("teacher")
    if lacks:
        raise ConfigError(
            f"{organism.name} is an organism of real chat models, and blue's {' and '.join(lacks)} would be the tiny world's.",
            "Give --prompts (a JSON-lines file or hub data set) and --teacher (a model, or one behind an API); or, for a model "
            "of the tiny world, write `world: tiny` into its organism file.",
        )


def _trained_by(grid: Grid, organism: Organism) -> str:
    """What a grid trains of an organism, in words."""
    if grid.adapter is None:
        return FULL
    return OWN_ADAPTER if organism.continued else f"LoRA {grid.adapter.rank}"


def _view(config: StressConfig, seed: int) -> BlueView:
    n = config.battery.prompts
    other = Prompts(family="maths", n=n, seed=2500 + seed) if config.prompts is None else None
    return BlueView(
        model=Sealed(name="organism"),
        prompts=_prompts(config, Prompts(family="chat", n=n, seed=2000 + seed)),
        teacher=model_named(config.teacher),
        pirate=PIRATE,
        answers=None if config.responses is None else data_named(config.responses),
        other=other if config.other_prompts is None else data_named(config.other_prompts),
        wrong=WRONG,
    )


def _damaged(config: StressConfig, organism: Organism) -> Iterator[DamagedModel]:
    start = Scored(model=organism.model, suite=_suite(config, organism))
    for baseline in config.battery.damages:
        for strength in baseline.strengths:
            hurt = damage(baseline.name)(organism.model, strength)
            scored = Scored(model=hurt, suite=_suite(config, organism))
            yield DamagedModel(organism, baseline.name, strength, start, scored)


def _reversals(config: StressConfig, organism: Organism, runs: Sequence[BlueRun]) -> Iterator[Probe]:
    """The probes of the most successful checkpoint of all, on prompts that did not choose it."""
    after, seed = config.after, organism.seed
    own = [run.probed for run in runs if run.organism == organism]
    selected = Selected(among=tuple(own), max_loss=after.max_loss)
    prompts = _prompts(config, Prompts(family="chat", n=after.prompts, seed=3000 + seed))
    dose = Dose(lr=after.lr, steps=after.steps, batch_size=config.battery.batch_size, seed=seed)
    other = _suite(config, organism, seed=1)
    for name in after.probes:
        run = reversal(name)(selected, organism.model, model_named(config.teacher), prompts, dose)
        probed = Probed(run=run, steps=scored_steps(after.at), suite=other)
        yield Probe(organism, BEST, Scored(model=organism.model, suite=other), selected, probed, name)


def _memory(config: StressConfig, organism: Organism, chosen: Chosen) -> Remembered:
    """The organism learns invented facts between answers of its own, then blue trains it as in the most successful cell."""
    memory, seed = config.memory, organism.seed
    facts = Memorised(n=memory.facts, seed=seed)
    own = Generated(
        by=organism.model, prompts=_prompts(config, Prompts(family="chat", n=config.battery.prompts, seed=4000 + seed))
    )
    size = memory.steps * config.battery.batch_size
    dose = Dose(lr=memory.lr, steps=memory.steps, batch_size=config.battery.batch_size, seed=seed)
    taught = organism.dose(dose).train(
        organism.model, Mixed(parts=(facts, own), weights=(1.0, 1.0), size=size, seed=seed)
    )
    after = _run(config, replace(organism, model=taught), chosen).probed.run
    recall = Recall(n=memory.facts, seed=seed)
    triggered = [one for one in _suite(config, organism) if isinstance(one, BehaviorEval) and one.when == "triggered"]
    return Remembered(organism, Probed(run=after, steps=(0, chosen.step), suite=(recall, *triggered)))


def _suite(config: StressConfig, organism: Organism, seed: int = 0) -> tuple[Eval, ...]:
    """What the organism is scored on; of the user's prompts those that neither team trains on."""
    kept_back = None if config.prompts is None else Part(base=data_named(config.prompts), kept_back=True)
    return suite_of(organism, config.evaluation, seed, kept_back)


def _red_prompts(config: StressConfig, seed: int) -> DataRecipe:
    """What red answers: the user's prompts, or those of the tiny world that suit the pair."""
    if config.prompts is None:
        return red_prompts(config.pair, config.build.prompts, seed)
    return _drawn(config.prompts, config.build.prompts, seed)


def _prompts(config: StressConfig, world: Prompts) -> DataRecipe:
    """Prompts of the user's data set, drawn anew for every purpose, or those of the tiny world."""
    if config.prompts is None:
        return world
    return _drawn(config.prompts, world.n, world.seed)


def _drawn(prompts: str, n: int, seed: int) -> DataRecipe:
    return Mixed(parts=(Part(base=data_named(prompts)),), weights=(1.0,), size=n, seed=seed)


def recipes(config: StressConfig) -> list[Recipe]:
    """Everything the study needs."""
    return layout(config).recipes()


def analyse(resolved: Resolved, path_of: PathOf, about: About) -> StudyResult:
    """The study's result from its finished artifacts."""
    from cavesson.studies.stress_report import report

    config = resolved.config
    assert isinstance(config, StressConfig)
    return report(resolved, config, layout(config), path_of, about)


STUDY = OldStudy(
    name="stress",
    title="Stress test: is this organism robust to training, or merely fragile?",
    config=StressConfig,
    presets=PRESETS,
    recipes=recipes,
    analyse=analyse,
    grow=grow,
)
