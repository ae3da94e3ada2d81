"""What was published about the whole matrix of students, teachers and benchmarks of off-model SFT, each with its test.

Source: "Why does off-model SFT degrade capabilities?" (May 2026), the table of the change of Olympiads by student and teacher
and the text around it. Where that has two benchmarks of maths and this study one, its easy and hard levels stand for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.stats import f as f_distribution

from cavesson.analysis.claims import Claim, ClaimResult, all_of, at_least, at_most, not_applicable, not_run, within
from cavesson.analysis.contrasts import correlation, difference_across_prompts, share_regained
from cavesson.stats import Array, Estimate, independent_difference, mean_over_seeds
from cavesson.studies.games import grouped
from cavesson.studies.off_model.falls import ends, largest_fall
from cavesson.studies.off_model.recovery import hard_levels_return
from cavesson.studies.off_model.results import MATHS, Cell, OffModelResults, lost
from cavesson.studies.off_model.slope import FEWEST
from cavesson.tinyworld.sizes import SIZES

WHY = "Why does off-model SFT degrade capabilities? (May 2026)"

HOLDS, FALLS = 0.07, -0.05
"""A benchmark holds within the largest change published for one that does; it falls if it falls so far beyond chance."""

START = 0.3
"""A student that starts no higher has little to lose, and that it "hardly falls" says nothing."""


def falls_far(results: OffModelResults) -> ClaimResult:
    """The largest fall is of the published size."""
    change = largest_fall(results, results.off_model)
    if change is None:
        return not_run("an off-model teacher")
    return at_most(change, -0.3, f"the change of {results.reasoning} from the teacher that hurts most")


def order_of_damage(results: OffModelResults) -> ClaimResult:
    """Averaged over off-model runs, the reasoning falls more than any other benchmark, and those change alike; compared seed by
    seed, since one run is scored on all of them."""
    labels = results.others
    if not results.off_model or not labels:
        return not_run("a second benchmark, or an off-model teacher")
    change = {label: np.subtract(*ends(results.off_model, label)) for label in (results.reasoning, *labels)}
    parts = [
        at_most(
            difference_across_prompts(change[results.reasoning], change[label]),
            FALLS,
            f"the change of {results.reasoning} minus that of {label}",
        )
        for label in labels
    ]
    parts += [
        within(
            difference_across_prompts(change[one], change[two]),
            -HOLDS,
            HOLDS,
            f"the change of {one} minus that of {two}",
        )
        for one, two in combinations(labels, 2)
    ]
    return all_of(parts)


def maths_correlates(results: OffModelResults) -> ClaimResult:
    """Over pairs of student and teacher, the falls of two benchmarks of maths go together."""
    cells = results.off_model
    teachers = list(dict.fromkeys(cell.teacher for cell in cells))
    two = _two_kinds_of_maths(results, cells) if len(teachers) >= FEWEST else None
    if two is None:
        return not_run(f"{FEWEST} off-model teachers, with students scored on two kinds of maths")
    one, other, said = two
    if min(np.ptp(each.mean(axis=(1, 2))) for each in (one, other)) < 0.05:
        return not_applicable("all pairs fall alike, so that nothing can correlate")
    found = correlation([teachers.index(cell.teacher) for cell in cells], one, other, unit="teacher")
    return at_least(found, 0.7, f"the correlation of the changes of {said}")


def _two_kinds_of_maths(results: OffModelResults, cells: Sequence[Cell]) -> tuple[Array, Array, str] | None:
    """The changes of two kinds, [pairs, seeds, prompts], and what they are: two benchmarks, or easy and hard levels of one."""
    labels = [label for label in cells[0].scores[0].evals if label in MATHS]
    if len(labels) > 1:
        return _changes(cells, labels[0]), _changes(cells, labels[1]), f"{labels[0]} and {labels[1]}"
    levels = cells[0].levels(results.reasoning)
    if len(levels) < 4:
        return None
    hard = np.array([row.level in levels[-2:] for row in cells[0].scores[0].cell(results.reasoning, 0)])
    change = _changes(cells, results.reasoning)
    return change[..., ~hard], change[..., hard], f"the hardest two levels of {results.reasoning} and of the others"


def large_students_fall_less(results: OffModelResults) -> ClaimResult:
    """From teachers as able as both, the largest student falls less than the smallest."""
    return _by_size(results, able=True)


def weak_teachers_hurt_all_sizes(results: OffModelResults) -> ClaimResult:
    """From teachers weaker than both, the largest student falls as far as the smallest."""
    return _by_size(results, able=False)


def _by_size(results: OffModelResults, able: bool) -> ClaimResult:
    way = results.cells[0].way
    students = [name for name in SIZES if any(cell.student == name for cell in results.cells)]
    kind = "as able as both" if able else "weaker than both"
    if len(students) < 2:
        return not_run("two students of the tiny world's sizes")
    small, large = (
        {c.teacher: c for c in results.off_model if (c.student, c.way) == (name, way)}
        for name in (students[0], students[-1])
    )
    shared = [
        name for name in small if name in large and all(results.is_able(pair[name]) is able for pair in (small, large))
    ]
    if not shared:
        return not_run(f"a teacher {kind}")
    label = results.reasoning
    fall, falls = (np.subtract(*ends([pair[name] for name in shared], label)) for pair in (large, small))
    gap = mean_over_seeds(fall - falls, bounds=(-2, 2))
    said = f"the change of {students[-1]} minus that of {students[0]} (teachers {kind}: {', '.join(shared)})"
    return at_least(gap, 0.05, said) if able else within(gap, -0.1, 0.1, said)


def some_hardly_fall(results: OffModelResults) -> ClaimResult:
    """There is a student that keeps its reasoning whoever teaches it, among those that have some to lose."""
    label = results.reasoning
    students = grouped(results.off_model, lambda cell: cell.student)
    if not students:
        return not_run("an off-model teacher")
    found = [_keeps(cells, label) for cells in students.values() if cells[0].rate(label, 0).low > START]
    if not found:
        return not_applicable(f"no student starts above {START:.0%} beyond chance, so that there is little to lose")
    order = {"holds": 0, "undecided": 1, "does not hold": 2}
    return min(found, key=lambda one: order[one.verdict])


def _keeps(cells: Sequence[Cell], label: str) -> ClaimResult:
    """The changes of one student are within the published ones, whoever teaches it."""
    return all_of(
        [within(c.change(label), -HOLDS, HOLDS, f"the change of {c.student} from {c.teacher}, {c.way}") for c in cells]
    )


def hidden_reasoning_falls(results: OffModelResults) -> ClaimResult:
    """A student that reasons in a hidden block falls too."""
    cells = [cell for cell in results.off_model if cell.hides(results.reasoning)]
    change = largest_fall(results, cells)
    if change is None:
        return not_run("a student with hidden reasoning")
    return at_most(change, FALLS, f"the change of {cells[0].student} from the teacher that hurts it most")


def improbable_is_erratic(results: OffModelResults) -> ClaimResult:
    """The change differs more from seed to seed after the improbable half of the data than after the probable half."""
    halves = [results.arm(f"{half}-perplexity") for half in ("high", "low")]
    ends = [half.at_end(results.reasoning).mean(axis=1) for half in halves if half is not None]
    if len(ends) < 2 or len(ends[0]) < 5:
        return not_run("the halves by perplexity with five seeds, without which there is no spread to speak of")
    high, low = (float(np.var(each, ddof=1)) for each in ends)
    if low == 0:
        return not_applicable("the probable half ends alike with every seed")
    count = len(ends[0])
    bottom, top = (float(high / low / f_distribution.ppf(q, count - 1, count - 1)) for q in (0.975, 0.025))
    found = Estimate(high / low, bottom, top, count, "F distribution, over seeds")
    return at_least(found, 1.0, "the variance between seeds, improbable half over probable half")


def inoculation_helps_large_more(results: OffModelResults) -> ClaimResult:
    """Inoculation spares the largest student a larger share of its fall than the smallest: students do not fall alike, so that
    points would favour the one that fell further. The shares are compared as if they had no prompts in common, which is the
    cautious way."""
    students = [name for name in SIZES if results.arm("inoculation", name) is not None]
    if len(students) < 2:
        return not_run("inoculation of two students of the tiny world's sizes (arms.students)")
    small, large = (_spared(results, name) for name in (students[0], students[-1]))
    if small is None or large is None:
        return not_applicable("one of the two students did not fall beyond chance without inoculation")
    what = f"the share of its fall that inoculation spares {students[-1]} minus that of {students[0]}"
    return at_least(independent_difference(large, small), 0.05, what)


def _spared(results: OffModelResults, student: str) -> Estimate | None:
    """The share of a student's fall that inoculation spares it; None where there is no fall beyond chance."""
    arm, plain, label = results.arm("inoculation", student), results.plain_of(student), results.reasoning
    if arm is None or plain is None or not lost(plain, label):
        return None
    return share_regained(plain.array(label, 0), plain.array(label, plain.last), arm.at_end(label))


def _changes(cells: Sequence[Cell], label: str) -> Array:
    """Of each cell at the end, [cells, seeds, prompts]."""
    return np.stack([np.subtract(*ends([cell], label)) for cell in cells])


CLAIMS: tuple[Claim[OffModelResults], ...] = (
    Claim(
        "off-model-sft/falls-far", WHY, "The fall can be some thirty points and more.",
        "MATH-500 up to −.30, Olympiads up to −.54", falls_far,
    ),
    Claim(
        "off-model-sft/order-of-damage", WHY,
        "Long reasoning is damaged far more than instruction following and knowledge, and those alike.",
        "Olympiads ≫ hard MATH ≫ IFEval (at most .07) ~ MMLU (noise)", order_of_damage,
    ),
    Claim(
        "off-model-sft/maths-correlates", WHY, "The changes of two benchmarks of maths correlate over students and teachers.",
        "MATH and Olympiads: .90", maths_correlates, unit="plain",
    ),
    Claim(
        "off-model-sft/large-students-fall-less", WHY, "From able teachers, larger students fall less.",
        "from gpt-5.5: 4B −.12, 30B −.11, 235B −.04; from opus-4.7: −.16, −.07, −.03", large_students_fall_less,
    ),
    Claim(
        "off-model-sft/weak-teachers-hurt-all-sizes", WHY, "From a weak teacher, students of all sizes fall alike.",
        "from llama8b: 4B −.54, 30B −.52, 235B −.53", weak_teachers_hurt_all_sizes,
    ),
    Claim(
        "off-model-sft/some-hardly-fall", WHY, "Some students hardly fall, whoever teaches them.",
        "llama8b: −.02 to +.02 from every teacher", some_hardly_fall,
    ),
    Claim(
        "off-model-sft/hidden-reasoning-falls", WHY, "It is found in students with their reasoning switched on.",
        "reasoning on and off was a control; its figures are not quoted here", hidden_reasoning_falls,
    ),
    Claim(
        "off-model-sft/few-steps-restore-hard", WHY, "A few steps on own outputs restore long reasoning as well.",
        "30B Olympiads .105→.61 in 4–16 steps of 16", hard_levels_return, unit="percent",
    ),
    Claim(
        "off-model-sft/improbable-is-erratic", WHY, "Improbable data move the model erratically (H2).",
        "no figure", improbable_is_erratic, unit="plain",
    ),
    Claim(
        "off-model-sft/inoculation-helps-large-more", WHY, "Inoculation helps large students more than small ones.",
        "235B −.53→−.05; 4B −.54→−.47",
        inoculation_helps_large_more,
    ),
)  # fmt: skip
"""The published statements about the matrix, in their order."""
