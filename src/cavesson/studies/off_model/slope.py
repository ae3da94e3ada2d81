"""How the damage of `off-model-sft` depends on the teacher's own accuracy (H1)."""

from __future__ import annotations

from dataclasses import replace
from itertools import compress

import numpy as np

from cavesson.analysis.contrasts import jackknifed
from cavesson.stats import Array, Estimate, average_over, independent_difference, prompt_weights
from cavesson.studies.off_model.falls import ALIKE
from cavesson.studies.off_model.results import OffModelResults

FEWEST = 5
"""With fewer teachers a slope says more of who they are than of teachers."""

NEEDS = f"{FEWEST} teachers or more whose accuracies still differ whichever of them is left out"


def slope_on_teacher(results: OffModelResults) -> Estimate | None:
    """Regression of the change on the teacher's own accuracy over all off-model cells, on the prompts that all teachers have
    answered. None for fewer than `FEWEST` teachers, or if without one of them the others are all as able.

    Teachers, seeds and prompts are random: the spread that leaving out one teacher after another brings (the jackknife, with
    Student's t) is added to that of seeds and prompts. Students are as they are.
    """
    known = [(cell, results.of_teacher(cell)) for cell in results.off_model]
    usable = [(cell, answers) for cell, answers in known if any(answers)]
    names = np.array([cell.teacher for cell, _ in usable])
    if len(set(names)) < FEWEST:
        return None
    label = results.reasoning
    common = [all(answers) for answers in zip(*(answers for _, answers in usable), strict=True)]
    teacher = np.array([[row.score for row in compress(answers, common) if row] for _, answers in usable], dtype=float)
    without = [names != name for name in dict.fromkeys(names)]
    if not teacher.size or any(np.ptp(teacher[others].mean(axis=1)) < ALIKE for others in without):
        return None
    change = np.stack([cell.array(label, cell.last) - cell.array(label, 0) for cell, _ in usable], axis=1)[..., common]
    found = _over_seeds_and_prompts(teacher, change)
    able, fell = teacher.mean(axis=1)[:, None], change.mean(axis=(0, 2))[:, None]
    spread = jackknifed([_slope(able[others], fell[others])[0] for others in without])
    method = f"jackknife over {len(without)} teachers; {found.method}; students as they are"
    return replace(independent_difference(found, Estimate(0.0, -spread, spread, 0, "")), method=method)


def _over_seeds_and_prompts(teacher: Array, change: Array) -> Estimate:
    """The slope of the change, [seeds, cells, prompts], on the teacher's scores, [cells, prompts]."""
    weights = prompt_weights(teacher.shape[1]).T / teacher.shape[1]
    draws = np.stack([_slope(teacher @ weights, of_seed @ weights) for of_seed in change])
    able = teacher.mean(axis=1)[:, None]
    values = [float(_slope(able, of_seed.mean(axis=1)[:, None])[0]) for of_seed in change]
    return average_over(values, draws, n=teacher.shape[1])


def _slope(x: Array, y: Array) -> Array:
    """Least squares for each column, [cells, draws] → [draws]."""
    centred = x - x.mean(axis=0)
    return np.asarray((centred * (y - y.mean(axis=0))).sum(axis=0) / np.maximum((centred**2).sum(axis=0), 1e-9))
