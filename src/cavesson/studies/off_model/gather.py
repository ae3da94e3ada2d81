"""From the artifacts of `off-model-sft` to its results."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cavesson.lab.recipe import PathOf
from cavesson.sampling.matched_noise import NoisedLike
from cavesson.sampling.perplexity import Perplexity
from cavesson.stats import Array
from cavesson.studies.games import grouped
from cavesson.studies.off_model.results import ArmCell, Cell, OffModelResults

if TYPE_CHECKING:
    from cavesson.studies.off_model.study import ArmRun, Layout, NoiseRun, Run


def gather(layout: Layout, reasoning: str, arms_teacher: str, path_of: PathOf) -> OffModelResults:
    """Read all scores."""
    places = grouped(layout.runs, lambda run: (run.student, run.teacher.name, run.way))
    arms = grouped(layout.arms, lambda run: (run.student, run.name))
    noises = grouped(layout.noise, lambda run: run.noise)
    rewards = grouped(layout.rl, lambda run: run.reward)
    return OffModelResults(
        reasoning=reasoning,
        cells=[_cell(runs, path_of) for runs in places.values()],
        teachers={key: scored.scores(path_of) for key, scored in layout.teachers.items()},
        foreign={key: scored.scores(path_of) for key, scored in layout.foreign.items()},
        arms=[_arm(runs, path_of) for runs in arms.values()],
        arms_teacher=arms_teacher,
        noise={noise: tuple(run.scored.scores(path_of) for run in runs) for noise, runs in noises.items()},
        scales={
            noise: tuple(_scale(run, path_of) for run in runs)
            for noise, runs in noises.items()
            if noise.match == "loss"
        },
        rl={reward: tuple(run.probed.scores(path_of) for run in runs) for reward, runs in rewards.items()},
    )


def _cell(runs: list[Run], path_of: PathOf) -> Cell:
    """One place of the matrix from its runs, a seed each."""
    first = runs[0]
    return Cell(
        first.student,
        first.teacher.name,
        first.way,
        on_model=first.teacher.on_model,
        seeds=tuple(run.seed for run in runs),
        scores=tuple(run.probed.scores(path_of) for run in runs),
        recovery=tuple(run.recovery.scores(path_of) for run in runs if run.recovery is not None),
        losses=tuple(_mean_loss(run.perplexity, path_of) for run in runs),
        answers=len(first.perplexity.read(path_of)),
    )


def _arm(runs: list[ArmRun], path_of: PathOf) -> ArmCell:
    """One arm of a student from its runs, a seed each."""
    first = runs[0]
    return ArmCell(
        first.student,
        first.name,
        first.systems,
        scores=tuple(run.probed.scores(path_of) for run in runs),
        losses=tuple(_mean_loss(run.perplexity, path_of, run.min_probability) for run in runs),
        trained=tuple(_share_trained(run.perplexity, path_of, run.min_probability) for run in runs),
        answers=len(first.perplexity.read(path_of)),
    )


def _scale(run: NoiseRun, path_of: PathOf) -> float:
    moved = run.scored.model
    assert isinstance(moved, NoisedLike)
    return moved.scale(path_of)


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
