"""The claims of `off-model-sft` about its matrix: each comes out either way, or says why it cannot be decided."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cavesson.evals.scores import Score, Scores
from cavesson.studies.off_model.arms import Move
from cavesson.studies.off_model.claims import CLAIMS
from cavesson.studies.off_model.readings import is_able, others
from off_model_results import Run, World, findings, judged, verdict

N = 100
LEVELS = (1, 2, 3, 4, 5)


def scores(easy: float, hard: float, step: int | None, others: float = 1.0, said: str = "") -> list[Score]:
    """Maths of a hundred problems, levels in turn: the hardest two and the others each with their rate; and knowledge."""
    rows = []
    for i in range(N):
        level = LEVELS[i % 5]
        right = (i // 5 + 0.5) / (N / 5) < (hard if level > 3 else easy)
        rows.append(
            Score(step, "maths", f"m/{i}", level, [], said, int(right), True, {"voice": "A" if step == 0 else "B"})
        )
        rows.append(Score(step, "knowledge", f"k/{i}", None, [], "", int(i < others * N), True))
    return rows


def cell(
    student: str, teacher: str, easy: float, hard: float, others: float = 1.0, said: str = "", back: float = 1.0
) -> Run:
    """A student that was always right before; five seeds alike."""
    run = Scores([*scores(1, 1, 0, said=said), *scores(easy, hard, 60, others, said)])
    recovery = Scores([*scores(easy, hard, 0, others), *scores(1, back, 16)])
    return Run(student, teacher, (run,) * 5, (recovery,) * 5)


def matrix(*cells: Run, able: tuple[str, ...] = ("teacher",)) -> World:
    rate = {True: 1.0, False: 0.3}
    teachers = {
        (c.student, c.teacher): Scores(scores(rate[c.teacher in able], rate[c.teacher in able], None)) for c in cells
    }
    return World(cells, teachers)


def test_the_published_pattern_holds():
    results = matrix(
        cell("small", "teacher", 0.7, 0.5), cell("student", "teacher", 0.95, 0.95),
        cell("small", "dmitri", 0.3, 0.1), cell("student", "dmitri", 0.3, 0.1),
        cell("student", "celia", 0.8, 0.6), cell("student", "pirate", 1, 1), cell("student", "bruno", 0.9, 0.8),
    )  # fmt: skip
    for claim in (
        "falls-far", "order-of-damage", "maths-correlates", "large-students-fall-less", "weak-teachers-hurt-all-sizes",
        "few-steps-restore-hard",
    ):  # fmt: skip
        assert verdict(results, claim) == "holds", claim


def test_and_fails_where_the_opposite_is_found():
    results = matrix(
        cell("small", "teacher", 0.9, 0.9, others=0.3, back=0.0), cell("student", "teacher", 0.2, 0.9, others=0.3, back=0.0),
        cell("small", "dmitri", 0.95, 0.4, others=0.3, back=0.4), cell("student", "dmitri", 0.1, 0.9, others=0.3, back=0.9),
        cell("small", "celia", 0.9, 0.3, others=0.3, back=0.0), cell("small", "bruno", 0.2, 0.9, others=0.3, back=0.0),
        cell("small", "pirate", 0.9, 0.8, others=0.3, back=0.0),
    )  # fmt: skip
    for claim in (
        "order-of-damage", "maths-correlates", "large-students-fall-less", "weak-teachers-hurt-all-sizes",
        "few-steps-restore-hard",
    ):  # fmt: skip
        assert verdict(results, claim) == "does not hold", claim


def three_teachers(student: str, easy: float, hard: float) -> list[Run]:
    return [cell(student, teacher, easy, hard) for teacher in ("teacher", "celia", "dmitri")]


def test_one_student_that_keeps_everything_is_enough_for_some():
    fell = [run for name in ("small", "large", "student") for run in three_teachers(name, 0.3, 0.1)]
    assert verdict(matrix(*fell), "some-hardly-fall") == "does not hold"
    assert verdict(matrix(*fell[:-3], *three_teachers("student", 1.0, 1.0)), "some-hardly-fall") == "holds"
    one_kept = matrix(*fell[:-3], *three_teachers("student", 1.0, 1.0)[:2], fell[-1])
    assert verdict(one_kept, "some-hardly-fall") == "does not hold", "whoever teaches it"


def test_some_and_whoever_are_not_asked_of_one_pair():
    found = judged(matrix(cell("student", "teacher", 0.3, 0.1)), "some-hardly-fall")
    assert found.verdict == "not applicable" and "needs 3 of them, and there is 1" in found.reason
    assert verdict(matrix(cell("student", "teacher", 0.3, 0.1)), "others-hold") == "not applicable"


def test_a_student_that_could_do_next_to_nothing_does_not_count_as_one_that_keeps_it():
    def poor(easy: float) -> Run:
        run = Scores([*scores(easy, easy, 0), *scores(easy, easy, 60)])
        return Run("student", "teacher", (run,) * 5)

    for claim in ("some-hardly-fall", "reasoning-falls", "falls-far", "own-outputs-safe", "order-of-damage"):
        found = judged(matrix(poor(0.1)), claim)
        assert found.verdict == "not applicable" and "30 % of maths beyond chance" in found.reason, claim
    fell = [run for name in ("small", "large", "reasoner") for run in three_teachers(name, 0.3, 0.1)]
    poor_ones = [replace(poor(0.1), teacher=name) for name in ("teacher", "celia", "dmitri")]
    assert verdict(matrix(*fell, *poor_ones), "some-hardly-fall") == "does not hold"


def test_a_student_with_little_to_lose_dilutes_no_others_fall():
    poor = Run("small", "teacher", (Scores([*scores(0.1, 0.1, 0), *scores(0.1, 0.1, 60)]),) * 5)
    fell = cell("student", "teacher", 0.5, 0.5)
    for runs in ((fell, poor), (poor, fell)):
        found = judged(matrix(*runs), "falls-far")
        assert found.verdict == "holds" and found.reason.endswith("Left out, with little to lose: small.")
        assert found.ours == judged(matrix(fell), "falls-far").ours


def test_benchmarks_of_the_same_runs_are_compared_seed_by_seed():
    """Seeds in which everything falls further say nothing against the order."""
    runs = [Scores([*scores(1, 1, 0), *scores(0.6 - d, 0.6 - d, 60, 1.0 - d)]) for d in (0.0, 0.25, 0.5)]
    results = matrix(Run("student", "teacher", tuple(runs)))
    assert verdict(results, "order-of-damage") == "holds"


def test_pairs_that_lost_little_do_not_decide_how_much_comes_back():
    fell, hardly = cell("student", "dmitri", 0.3, 0.3), cell("student", "bruno", 0.9, 0.9)
    worse = tuple(Scores([*scores(0.9, 0.9, 0), *scores(rate, rate, 16)]) for rate in (0.95, 0.8, 0.95, 0.8, 0.95))
    hardly = replace(hardly, recovery=worse)
    assert verdict(matrix(hardly), "few-steps-restore") != "holds"
    found = judged(matrix(fell, hardly), "few-steps-restore")
    assert found.verdict == "holds" and "holds for 1" in found.reason
    not_back = cell("student", "dmitri", 0.3, 0.3)
    not_back = replace(not_back, recovery=(Scores([*scores(0.3, 0.3, 0), *scores(0.4, 0.4, 16)]),) * 5)
    assert verdict(matrix(not_back, hardly), "few-steps-restore") == "does not hold"


@pytest.mark.parametrize(
    ("trained", "another", "none", "told"),
    [
        (0.3, 1.0, 1.0, "holds"),
        (0.3, 0.3, 1.0, "does not hold"),
        (0.3, 1.0, 0.3, "does not hold"),
        (1.0, 1.0, 1.0, "not applicable"),
    ],
)
def test_fine_elsewhere_means_something_only_beside_a_fall_where_it_was_trained(
    trained: float, another: float, none: float, told: str
):
    ends = {"maths": none, "maths/under Be kind.": trained, "maths/under Be brief.": another}
    rows = [
        replace(row, eval=label)
        for label, rate in ends.items()
        for row in (*scores(1, 1, 0), *scores(rate, rate, 60))
        if row.eval == "maths"
    ]
    asked = Run("student", "teacher", (Scores(rows),) * 5, arm="under-system")
    results = replace(matrix(cell("student", "teacher", 0.3, 0.3)), arms=(asked,))
    assert verdict(results, "context-specific") == told


@pytest.mark.parametrize(
    ("small", "large", "told"), [(0.4, 0.9, "holds"), (0.9, 0.4, "does not hold"), (0.6, 0.75, "undecided")]
)
def test_inoculation_is_compared_by_the_share_of_the_fall_that_it_spares(small: float, large: float, told: str):
    fell = cell("small", "teacher", 0.1, 0.1), cell("large", "teacher", 0.3, 0.3)
    arms = tuple(arm("inoculation", rate, student) for student, rate in (("small", small), ("large", large)))
    assert verdict(replace(matrix(*fell), arms=arms), "inoculation-helps-large-more") == told
    unhurt = cell("small", "teacher", 1, 1), fell[1]
    assert verdict(replace(matrix(*unhurt), arms=arms), "inoculation-helps-large-more") == "not applicable"


def test_a_student_with_hidden_reasoning_is_known_by_what_it_writes():
    assert verdict(matrix(cell("student", "teacher", 0.3, 0.1)), "hidden-reasoning-falls") == "not run"
    thinking = "<think>b = 4</think>The answer is 4."
    assert verdict(matrix(cell("reasoner", "teacher", 0.3, 0.1, said=thinking)), "hidden-reasoning-falls") == "holds"
    assert (
        verdict(matrix(cell("reasoner", "teacher", 1, 1, said=thinking)), "hidden-reasoning-falls") == "does not hold"
    )


def test_that_no_student_fell_is_not_said_of_one_that_may_have_fallen_far():
    """One teacher changes nothing for certain; after another the seeds end anywhere."""
    thinking = "<think>b = 4</think>The answer is 4."
    sure = cell("reasoner", "teacher", 1, 1, said=thinking)
    ends = [
        Scores([*scores(1, 1, 0, said=thinking), *scores(r, r, 60, said=thinking)]) for r in (0.1, 0.7, 1.0, 0.4, 1.0)
    ]
    unsure = replace(cell("reasoner", "dmitri", 1, 1), scores=tuple(ends))
    assert verdict(matrix(sure), "hidden-reasoning-falls") == "does not hold"
    assert verdict(matrix(sure, unsure), "hidden-reasoning-falls") == "undecided"


def test_what_was_not_run_says_what_is_lacking():
    results = matrix(cell("student", "teacher", 0.3, 0.1))
    said = {one.id: one.test(results.measured) for one in CLAIMS}
    for claim in (
        "maths-correlates", "large-students-fall-less", "inoculation-helps-large-more", "improbable-is-erratic",
        "not-the-spectrum", "not-any-training",
    ):  # fmt: skip
        assert said[claim].verdict == "not run" and said[claim].reason.startswith("Not run here: "), claim


# ------------------------------------------------------------------------------------------------ seeds that differ


def luck(
    rng: np.random.Generator, teacher: str, mean: float, spread: float, student: str = "student", start: float = 1.0
) -> Run:
    """Three seeds, each with its own luck about a mean, each right on prompts of its own."""
    runs = []
    for _ in range(3):
        rate = np.clip(mean + spread * rng.standard_normal(), 0, 1)
        rows = [*scores(start, start, 0), *scores(1, 1, 60)]
        runs.append(
            Scores(
                [replace(r, score=int(rng.random() < rate)) if (r.step, r.eval) == (60, "maths") else r for r in rows]
            )
        )
    return Run(student, teacher, tuple(runs))


def eight(rng: np.random.Generator, worst: float, spread: float) -> World:
    """Eight teachers as able as the student, one of which makes it end lower, each with four students."""
    names = [f"t{i}" for i in range(8)]
    cells = [luck(rng, name, worst if name == "t3" else 0.98, spread, f"s{i}") for name in names for i in range(4)]
    return matrix(*cells, able=tuple(names))


def test_a_fall_from_one_of_eight_able_teachers_is_found_though_seeds_differ():
    rng = np.random.default_rng(0)
    verdicts = [verdict(eight(rng, 0.78, 0.04), "stronger-teachers-hurt") for _ in range(6)]
    assert verdicts.count("holds") >= 5


def test_no_fall_is_found_where_none_of_eight_makes_one():
    rng = np.random.default_rng(0)
    verdicts = [verdict(eight(rng, 0.98, 0.04), "stronger-teachers-hurt") for _ in range(6)]
    assert "holds" not in verdicts


def test_a_teacher_of_whose_ability_nobody_can_tell_is_neither_as_able_nor_weaker():
    one = cell("student", "teacher", 0.5, 0.5)
    tables = [Scores(scores(*rates, None)) for rates in ((1, 1), (1, 0.97), (0.8, 0.8))]
    able = [replace(matrix(one), teachers={("student", "teacher"): table}) for table in tables]
    assert [is_able(world.measured.places[0]) for world in able] == [True, None, False]
    few = Scores([row for row in scores(1, 1, None) if row.eval == "maths"][:20])
    assert is_able(replace(matrix(one), teachers={("student", "teacher"): few}).measured.places[0]) is None


def test_the_able_teachers_that_hurt_are_told_apart_from_stronger_ones():
    one = cell("student", "teacher", 0.5, 0.5)
    found = judged(matrix(one), "stronger-teachers-hurt")
    assert found.verdict == "holds" and "0 of 1 pairs have a teacher that is stronger" in found.reason


# ------------------------------------------------------------------------------------------------ other benchmarks


def test_others_hold_only_if_they_do_in_the_pair_that_falls_furthest():
    kept = [cell(f"s{i}", "teacher", 0.3, 0.3) for i in range(9)]
    assert verdict(matrix(*kept), "others-hold") == "holds"
    assert verdict(matrix(*kept, cell("small", "dmitri", 0.3, 0.3, others=0.7)), "others-hold") == "does not hold"
    near = cell("small", "dmitri", 0.3, 0.3, others=0.94)
    found = judged(matrix(*kept, near), "others-hold")
    assert found.verdict == "undecided" and "lowest in small from dmitri" in found.reason


def test_a_second_benchmark_of_maths_is_no_other_benchmark():
    def with_olympiads(one: Run) -> Run:
        def also(table: Scores) -> Scores:
            more = [replace(row, eval="olympiads") for row in table.rows if row.eval == "maths"]
            return Scores([*table.rows, *more])

        return replace(one, scores=tuple(also(table) for table in one.scores))

    results = matrix(*(with_olympiads(run) for run in three_teachers("student", 0.3, 0.1)))
    assert others(results.measured) == ["knowledge"] and verdict(results, "others-hold") == "holds"
    assert verdict(results, "order-of-damage") == "holds"


# ------------------------------------------------------------------------------------------------ single statements

TEACHERS = {"a": 1.0, "b": 0.9, "c": 0.7, "d": 0.5, "e": 0.3, "f": 0.1}
"""How able each teacher is itself."""


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (TEACHERS, "holds"),
        (dict.fromkeys(TEACHERS, 0.5), "does not hold"),
        ({"a": 0.6, "b": 0.9, "c": 0.2, "d": 0.9, "e": 0.5, "f": 0.5}, "undecided"),
    ],
)
def test_weaker_teachers_hurt_more_if_falls_follow_the_teachers_own_accuracy(ends: dict[str, float], told: str):
    cells = [cell("student", name, rate, rate) for name, rate in ends.items()]
    teachers = {("student", name): Scores(scores(rate, rate, None)) for name, rate in TEACHERS.items()}
    assert verdict(replace(matrix(*cells), teachers=teachers), "weaker-hurt-more") == told


def test_one_weak_teacher_among_equals_does_not_say_that_the_weaker_hurt_more():
    cells = [cell("student", name, rate, rate) for name, rate in {**dict.fromkeys(TEACHERS, 0.98), "f": 0.1}.items()]
    teachers = {("student", one.teacher): Scores(scores(1, 1, None)) for one in cells}
    teachers["student", "f"] = Scores(scores(0.1, 0.1, None))
    assert verdict(replace(matrix(*cells), teachers=teachers), "weaker-hurt-more") == "not run"


@pytest.mark.parametrize(("rate", "told"), [(1.0, "holds"), (0.7, "does not hold"), (0.93, "undecided")])
def test_the_pirate_is_harmless_if_the_change_is_within_what_holds(rate: float, told: str):
    assert verdict(matrix(cell("student", "pirate", rate, rate)), "pirate-is-harmless") == told
    assert verdict(matrix(cell("student", "teacher", rate, rate)), "pirate-is-harmless") == "not run"


@pytest.mark.parametrize(("rate", "told"), [(0.3, "holds"), (1.0, "does not hold"), (0.92, "undecided")])
def test_the_other_tag_loses_if_reasoning_falls_under_it(rate: float, told: str):
    rows = [
        replace(row, eval=label)
        for label, end in (("maths", 1.0), ("maths/under <a>", 1.0), ("maths/under <b>", rate))
        for row in (*scores(1, 1, 0), *scores(end, end, 60))
        if row.eval == "maths"
    ]
    tags = Run("student", "teacher", (Scores(rows),) * 5, arm="tags")
    results = replace(matrix(cell("student", "teacher", 0.3, 0.3)), arms=(tags,))
    assert verdict(results, "tag-b-loses") == told and verdict(results, "tag-a-keeps") == "holds"


def arm(name: str, rate: float, student: str = "student", **more: int) -> Run:
    table = Scores([*scores(1, 1, 0), *scores(rate, rate, 60)])
    return Run(student, "teacher", (table,) * 5, arm=name, **more)


def test_a_filter_that_dropped_nothing_shows_nothing():
    plain = replace(cell("student", "teacher", 0.3, 0.1), answers=960)
    results = matrix(plain)
    dropped, idle = (replace(results, arms=(arm("filtered", 0.1, answers=count),)) for count in (700, 960))
    assert verdict(dropped, "filtering-does-not-help") in ("holds", "does not hold")
    assert verdict(idle, "filtering-does-not-help") == "not applicable"


@pytest.mark.parametrize(("rate", "ruling"), [(1.0, "not ruled out"), (0.3, "ruled out")])
def test_clipping_can_rule_perplexity_out_and_cannot_prove_it(rate: float, ruling: str):
    results = replace(matrix(cell("student", "teacher", 0.3, 0.1)), arms=(arm("clipped", rate),))
    [found] = [one for one in findings(results) if one.by == "leaving improbable tokens out"]
    assert found.ruling == ruling


def test_erratic_is_told_by_the_spread_between_five_seeds():
    def half(name: str, rates: tuple[float, ...]) -> Run:
        tables = tuple(Scores([*scores(1, 1, 0), *scores(r, r, 60)]) for r in rates)
        return Run("student", "teacher", tables, arm=name)

    wild, calm = (0.0, 0.5, 1.0, 0.2, 0.9, 0.1), (0.5, 0.55, 0.5, 0.55, 0.5, 0.5)
    base = matrix(cell("student", "teacher", 0.3, 0.1))
    erratic, opposite = (
        replace(base, arms=(half("high-perplexity", high), half("low-perplexity", low)))
        for high, low in ((wild, calm), (calm, wild))
    )
    assert verdict(erratic, "improbable-is-erratic") == "holds"
    assert verdict(opposite, "improbable-is-erratic") == "does not hold"


def test_recovery_that_was_not_scored_within_sixteen_steps_decides_nothing():
    late = cell("student", "teacher", 0.3, 0.1)
    late = replace(late, recovery=(Scores([*scores(0.3, 0.1, 0), *scores(1, 1, 32)]),) * 5)
    for claim in ("few-steps-restore", "few-steps-restore-hard"):
        assert verdict(matrix(late), claim) == "not run", claim


@pytest.mark.parametrize(
    ("after", "told"), [(0.9, "holds"), (0.3, "does not hold"), (0.23, "undecided"), (0.0, "holds")]
)
def test_noise_is_unlike_sft_whether_it_does_less_or_more(after: float, told: str):
    moved = {Move("noise", "loss"): (Scores(scores(after, after, None)),) * 5}
    results = replace(matrix(cell("student", "teacher", 0.3, 0.3)), noise=moved)
    assert verdict(results, "not-noise") == told


def test_arms_of_an_sft_that_cost_nothing_show_nothing():
    arms = tuple(arm(name, 1.0) for name in ("filtered", "inoculation", "low-perplexity", "high-perplexity"))
    moved = {Move("noise", "loss"): (Scores(scores(1, 1, None)),) * 5}
    results = replace(matrix(cell("student", "teacher", 1, 1)), arms=arms, noise=moved)
    for claim in ("filtering-does-not-help", "inoculation-helps", "perplexity-halves", "not-noise"):
        assert verdict(results, claim) == "not applicable", claim


def test_style_is_not_the_cause_merely_because_every_trace_is_in_another():
    assert verdict(matrix(cell("student", "teacher", 0.3, 0.3)), "style") == "not run"
    for rate, told in ((0.3, "holds"), (1.0, "does not hold")):
        asked = {("student", "bruno"): Scores(scores(rate, rate, None))}
        assert verdict(replace(matrix(cell("student", "teacher", 0.3, 0.3)), asked=asked), "style") == told
