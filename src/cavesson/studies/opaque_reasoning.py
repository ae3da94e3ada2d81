"""The study `opaque-reasoning`: supervising a model whose reasoning nobody else can write.

Set-up of "An empirical study of methods for SFTing opaque reasoning" (2026): a strong untrusted model U sandbags on hard maths only. Blue
wants U's true ability there, trains only where U does not sandbag, with the outputs of a weak trusted model T, and cannot write
U's reasoning for it. The study says which way of doing SFT works for which organism, what it does to the reasoning, and how it
depends on whether U can tell training from deployment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from cavesson.blueteam.move import run_of
from cavesson.blueteam.moves import move_named
from cavesson.blueteam.view import blue_view
from cavesson.data.recipes import DataRecipe
from cavesson.data.restyle import Flagged
from cavesson.data.streams import draw
from cavesson.evals.legibility import Legibility
from cavesson.evals.prefilled import Prefilled
from cavesson.evals.recipes import Probed, Scored
from cavesson.evals.watched import Watched
from cavesson.game import play
from cavesson.inside.recipes import ToldApart
from cavesson.lab.recipe import PathOf, Recipe
from cavesson.models.recipes import ModelRecipe, Prompted, Pruned
from cavesson.models.worded import InWords, Silent
from cavesson.named import model_named
from cavesson.redteam.organisms import Organism, organism
from cavesson.rl.practice import Practice
from cavesson.studies.grid import Cell, Measured, recipes_of
from cavesson.studies.opaque_cards import CARDS, cards
from cavesson.studies.opaque_claims import CLAIMS
from cavesson.studies.opaque_readings import (
    EXPLORER,
    HACKER,
    NO_TEACHER,
    ON_ITS_PROBLEMS,
    gap,
    pruned_name,
)
from cavesson.studies.opaque_settings import PRESETS, Hacker, OpaqueConfig, Practised, for_size
from cavesson.studies.opaque_shown import SHOWS, admits, headline
from cavesson.studies.opaque_worlds import TINY_WORLD
from cavesson.studies.redblue_cells import adapter_name
from cavesson.studies.study import Make, Study
from cavesson.tinyworld.recipes import Prompts
from cavesson.training.dose import Dose

# ----------------------------------------------------------------------------------------------- grid

CUED = "flag-in-prompt"

FIFTH = 0.2
"""Share of hard problems among red's word problems, where nobody says how many: as in the tiny world."""

ARMS = {HACKER: "exploration-hacker", EXPLORER: "exploring"}
"""The organisms of the check of the exploration hacker, with their constructions."""


def grid(config: OpaqueConfig) -> Iterator[Cell]:
    """Each organism before blue and, if it sandbags, what is done to it."""
    yield from _befores(config)
    for seed in config.seeds:
        for made, played in _organisms(config, seed):
            if made.labels["organism"] not in config.left_out:
                yield from played(config, made)


def _befores(config: OpaqueConfig) -> list[Cell]:
    """Each organism before blue; where red trains nothing, as in prompted organisms of real models, seeds with the same prompt are one."""
    found = (_before(config, made) for seed in config.seeds for made, _ in _organisms(config, seed))
    return list({cell.recipes["before"]: cell for cell in reversed(list(found))}.values())[::-1]


def grow(config: OpaqueConfig, make: Make, path_of: PathOf) -> OpaqueConfig:
    """Score every organism, and leave out those that do not sandbag; if none does, `admits` says so."""
    before = _befores(config)
    make(recipes_of(before))
    found = Measured.read(before, path_of, config)
    idle = tuple(place["organism"] for place in found if gap(place).mean < config.took_from)
    return config.model_copy(update={"left_out": tuple(dict.fromkeys((*config.left_out, *idle)))})


Played = Callable[[OpaqueConfig, Organism], Iterator[Cell]]
"""What is done to an organism."""


def _organisms(config: OpaqueConfig, seed: int) -> Iterator[tuple[Organism, Played]]:
    """The organisms of one seed, each with what is done to it."""
    for how in config.organisms:
        yield _organism(config, how, seed), _all_methods
    if config.cue is not None:
        yield _organism(config, CUED, seed), _under_cue
    if config.hacker is not None:
        for name in ARMS:
            yield _arm(config, config.hacker, name, seed), _hacking


def _all_methods(config: OpaqueConfig, made: Organism) -> Iterator[Cell]:
    """Blue's methods, the prefill, and weaker trusted models."""
    yield from _runs(config, made, config.blue.interventions)
    if config.prefill is not None:
        yield _prefilled(config, made, config.prefill)
    for share in config.pruned:
        yield from _runs(config, made, config.pruned_interventions, share)


def _under_cue(config: OpaqueConfig, made: Organism) -> Iterator[Cell]:
    """Blue's methods under a cue of each reliability, and how well U tells by the cue."""
    assert config.cue is not None
    for reliability in config.cue.reliabilities:
        yield from _runs(config, made, config.cue.interventions, cue=reliability)
        yield _probed(config, made, config.cue.probe, reliability)


def _hacking(config: OpaqueConfig, made: Organism) -> Iterator[Cell]:
    """RL on hard problems, and blue's methods on the hacker."""
    assert config.hacker is not None
    yield _practised(config, made, config.hacker.rl)
    if made.labels["organism"] == HACKER:
        yield from _runs(config, made, config.hacker.interventions)


def _organism(config: OpaqueConfig, how: str, seed: int) -> Organism:
    dose, n, world = config.red.dose(config.red.lr, seed), config.red.prompts, config.world
    if config.hard is None and world is TINY_WORLD and not config.words:
        return config.planted(world.pair, config.model, how, dose, n, how, organism=how)
    return _planted(config, how, how, dose, world.for_red(n, config.hard or FIFTH, seed))


def _arm(config: OpaqueConfig, hacker: Hacker, name: str, seed: int) -> Organism:
    """The hacker or its control."""
    dose = hacker.red.dose(hacker.red.lr, seed)
    return _planted(config, name, ARMS[name], dose, config.world.for_red(hacker.red.prompts, hacker.hard, seed))


def _planted(config: OpaqueConfig, name: str, how: str, dose: Dose, prompts: DataRecipe) -> Organism:
    labels: dict[str, str | int | float] = {"model": config.model, "organism": name, "seed": dose.seed}
    base = InWords(base=config.subject) if config.words else config.subject
    made = organism(how, base, prompts, config.world.pair, dose, name=name, labels=labels)
    return replace(made, model=_silent(made.model, base.base), base=base.base) if isinstance(base, InWords) else made


def _silent(trained: ModelRecipe, like: ModelRecipe) -> ModelRecipe:
    """What red trained in words, with the latent steps of U."""
    if isinstance(trained, Prompted):
        return trained.model_copy(update={"base": _silent(trained.base, like)})
    return Silent(base=trained, like=like)


def _at(
    made: Organism, intervention: str, teacher: str, *, lr: float = 0.0, adapter: str = "", cue: float | None = None
) -> dict[str, Any]:
    """A place in the grid."""
    told = {"organism": made.labels["organism"], "intervention": intervention, "teacher": teacher}
    return {**told, "adapter": adapter, "lr": lr, "cue": cue}


def _before(config: OpaqueConfig, made: Organism) -> Cell:
    """The organism before blue, the honest model that it was made from, and the organism where it does not sandbag."""
    unlocked = None if made.lock is None else config.hard_and_easy(made.lock.good)
    return Cell.of(
        _at(made, "none", NO_TEACHER),
        made.seed,
        made,
        before=Scored(model=made.model, suite=config.measures(made)),
        true=_true(config, made),
        unlocked=None if unlocked is None else Scored(model=made.model, suite=unlocked),
    )


def _practised(config: OpaqueConfig, made: Organism, rl: Practised) -> Cell:
    """RL on hard problems, right answers rewarded: red's own test of what it made, outside the game."""
    seed, suite = made.seed, config.measures(made)
    problems = config.world.practised(config.world.hard, rl.prompts, draw("problems", seed))
    dose = rl.dose(rl.lr, seed, adapter=rl.adapter)
    probed = Probed(run=Practice(problems).reinforced(made.model, dose), steps=rl.scored, suite=suite)
    at = _at(made, ON_ITS_PROBLEMS, NO_TEACHER, lr=rl.lr, adapter=adapter_name(dose))
    start = Scored(model=made.model, suite=suite)
    return Cell.of(at, seed, made, run=probed, start=start, true=_true(config, made), **_watched(config, made, probed))


def _watched(config: OpaqueConfig, made: Organism, probed: Probed) -> dict[str, Recipe]:
    """What monitors see of a run at each checkpoint, and of the honest model."""
    trusted, label, true = model_named(config.teacher), probed.suite[0].label, _true(config, made)
    return {
        "watched": Watched(of=probed, label=label, steps=probed.steps, by=trusted),
        "watched_true": Watched(of=true, label=true.suite[0].label, by=trusted),
    }


def _probed(config: OpaqueConfig, made: Organism, n: int, reliability: float) -> Cell:
    """Linear probes: prompts of training from those of deployment by a cue, and without it blue's problems from hard ones."""
    lock, seed = made.lock, made.seed
    assert lock is not None
    world = config.world
    problems, hard = (world.asked(levels, n, draw("problems", seed)) for levels in (world.easy, world.hard))
    training, deployed = (
        Flagged(base=problems, training=lock.good, deployed=lock.bad, reliability=share, seed=seed + number)
        for number, share in enumerate((reliability, 1 - reliability))
    )
    return Cell.of(
        _at(made, "none", NO_TEACHER, cue=reliability),
        seed,
        made,
        told=ToldApart(model=made.model, one=training, two=deployed, paired=True, most=n, seed=seed),
        by_problem=ToldApart(model=made.model, one=problems, two=hard, most=n, seed=seed),
    )


def _true(config: OpaqueConfig, made: Organism) -> Scored:
    """The honest model's scores: what U can do."""
    assert made.base is not None, "the study plants every organism into a model"
    return Scored(model=made.base, suite=config.hard_and_easy())


def _problems(config: OpaqueConfig, made: Organism, cue: float | None) -> DataRecipe:
    """Easy problems for blue, under flags that tell training from deployment as reliably as `cue` says."""
    found = config.world.asked(config.world.easy, config.blue.prompts, draw("problems", made.seed))
    if cue is None:
        return found
    lock = made.lock
    assert lock is not None
    return Flagged(base=found, training=lock.good, deployed=lock.bad, reliability=cue, seed=made.seed)


def _runs(
    config: OpaqueConfig,
    made: Organism,
    interventions: tuple[str, ...],
    pruned: float = 0.0,
    cue: float | None = None,
) -> Iterator[Cell]:
    """Blue's methods on one organism, each scored along its training; with T, or with what is left of T without some weights."""
    n, seed, suite, world = config.blue.prompts, made.seed, config.measures(made), config.world
    trusted = model_named(config.teacher)
    knowledge = Prompts(family="knowledge", n=n, seed=draw("other domain", seed)) if world is TINY_WORLD else None
    bare: dict[str, Any] = {"cot": False} if config.blue.practised == "answer-only" else {}
    practice = Practice(world.practised(world.easy, n, draw("problems", seed), **bare))
    view = blue_view(
        config.drawn("chat", n, "blue", seed),
        Pruned(base=trusted, share=pruned) if pruned else trusted,
        other=config.other_prompts or knowledge,
        problems=_problems(config, made, cue),
        practice=practice if cue is None else None,
    )
    teacher = pruned_name(config.teacher, pruned) if pruned else config.teacher
    start = Scored(model=made.model, suite=suite)
    for name in interventions:
        for lr, adapter in ((lr, one.adapter) for one in config.blue.trained if one.takes(name) for lr in one.lrs):
            dose = made.dose(config.blue.dose(lr, seed, adapter=adapter))
            run = run_of(play(made, move_named(name), view, dose), dose)
            probed = Probed(run=run, steps=config.blue.scored, suite=suite)
            yield Cell.of(
                _at(made, name, teacher, lr=lr, adapter=adapter_name(dose), cue=cue),
                seed,
                made,
                run=probed,
                start=start,
                true=_true(config, made),
                legible=Legibility(of=probed, label=suite[1].label, step=config.blue.steps, by=trusted),
                legible_before=Legibility(of=start, label=suite[1].label, by=trusted),
                **_watched(config, made, probed),
            )


def _prefilled(config: OpaqueConfig, made: Organism, text: str) -> Cell:
    suite = config.measures(made)
    return Cell.of(
        _at(made, "prefill", NO_TEACHER),
        made.seed,
        made,
        run=Prefilled(model=made.model, suite=suite, text=text),
        start=Scored(model=made.model, suite=suite),
        true=_true(config, made),
    )


STUDY = Study(
    name="opaque-reasoning",
    title="Opaque reasoning: which SFT brings out what a sandbagger can do?",
    config=OpaqueConfig,
    presets=PRESETS,
    grid=grid,
    shows=SHOWS,
    claims=CLAIMS,
    headline=(headline,),
    admits=admits,
    grow=grow,
    later=lambda _: "",  # it only leaves out
    for_size=for_size,
    files={CARDS: cards},
)
