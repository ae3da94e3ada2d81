"""What decides each of the published statements about off-model SFT (`claims.py`).

"Holds" of a benchmark is read as a change within 7 points, the largest that was published for those that hold; "falls" as at
least 5 points beyond chance. Where the publication has two benchmarks of maths and this study one, easy and hard levels stand
for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np

from cavesson.analysis.claims import ClaimResult, all_of, any_of, at_least, at_most, some, too_few, within
from cavesson.analysis.contrasts import FEWEST_GROUPS, correlation, ratio_of_variances
from cavesson.estimate import Estimate
from cavesson.stats import Array, difference_over_seeds, independent_difference
from cavesson.studies.grid import Measured, Place, change
from cavesson.studies.off_model.arms import PLAIN, Move, Shape
from cavesson.studies.off_model.grid import rl_role
from cavesson.studies.off_model.readings import (
    ALIKE,
    MATHS,
    ability_gap,
    able_teachers,
    after,
    arm,
    benchmarks,
    between,
    capability_of,
    degraded,
    degraded_plain,
    degraded_runs,
    fall,
    hardest_teacher,
    is_able,
    last_within,
    levels_of,
    lowest,
    lowest_of,
    matched,
    moved,
    off_model,
    others,
    plain,
    reasoning,
    reasoning_of,
    regained,
    runs,
    share_back,
    trained_on,
    under,
    varied,
    with_much_to_lose,
)
from cavesson.studies.off_model.styles import beyond_skill, hides_reasoning, in_switched, kept_style, styled
from cavesson.studies.sample import NotApplicable, NotRun
from cavesson.studies.shown import known, tried
from cavesson.tinyworld.sizes import SIZES

Test = Callable[[Measured], ClaimResult]

FROM_HARDEST = "the change of {reasoning} from the teacher that hurts most"
FROM_ABLE = "the change from the teacher that hurts most, of those as able as the student"

HOLDS, FALLS = 0.07, -0.05
"""A benchmark holds within the largest change published for one that does; it falls if it falls so far beyond chance."""

MOST = 0.5
"""Most of a loss is back with this share of it."""

ENOUGH_STEPS, PUBLISHED_ITERATIONS = 16, 10
"""So many steps of SFT on own answers, and iterations of RL, restored most in the publication."""


def decided(
    figure: Callable[[Measured], Estimate], decide: Callable[..., ClaimResult], *bounds: float, what: str
) -> Test:
    """A claim that one figure decides; `what` it is, with the benchmark as {reasoning}."""
    return lambda m: decide(figure(m), *bounds, what.format(reasoning=reasoning(m)))


def where_degraded(test: Test) -> Test:
    """The test, if the SFT that the arms vary cost something: else there is nothing that an arm could spare or bring about."""

    def guarded(m: Measured) -> ClaimResult:
        degraded_plain(m)
        return test(m)

    return guarded


def where_much_to_lose(test: Test) -> Test:
    """The test of the students that have much to lose: from others neither a large fall nor a small one can be told."""

    def guarded(m: Measured) -> ClaimResult:
        able = with_much_to_lose(runs(m)).values("student")
        left_out = [name for name in runs(m).values("student") if name not in able]
        result = test(m.where(student=lambda name: name in able))
        return _adding(result, f"Left out, with little to lose: {', '.join(left_out)}.") if left_out else result

    return guarded


def under_tag(tag: str, decide: Callable[..., ClaimResult], *bounds: float) -> Test:
    """The change after training on a mixture with tags, asked under one of them."""
    return decided(lambda m: under(m, "tags", tag), decide, *bounds, what=f"the change after tags under {tag}")


def against_plain(name: str, decide: Callable[..., ClaimResult], *bounds: float) -> Test:
    """The accuracy after an arm, compared with that after plain SFT on the same teacher."""
    what = f"accuracy after {name} minus after plain SFT on the same teacher"
    return decided(lambda m: between(m, name), decide, *bounds, what=what)


# ----------------------------------------------------------------------------------------------- what falls, and for whom


def hardest(m: Measured) -> Estimate:
    """The change from the off-model teacher that hurts most, averaged over its students."""
    return hardest_teacher(off_model(m))


def after_own(m: Measured) -> Estimate:
    """The change after SFT on the student's own answers, averaged over students and ways."""
    return m.where(data="on-model", arm=PLAIN).mean(fall).estimate


def after_pirate(m: Measured) -> Estimate:
    """The first student's change after pirate answers."""
    return fall(runs(m).where(teacher="pirate").places[0]).estimate


def others_hold(m: Measured) -> ClaimResult:
    """No other benchmark falls by more than 7 points, in whichever pair of student and teacher it falls furthest.

    "Reasoning falls" is decided by the worst teacher, so this is not left to an average.
    """
    found = off_model(m)
    several = max(len(found.values("teacher")), len(found.values("student")))
    return too_few(several, "teachers or students") or all_of([_holds(found, label) for label in others(m)])


def _holds(m: Measured, label: str) -> ClaimResult:
    result = at_least(lowest_of([place.change(label) for place in m]), -HOLDS, f"the largest change of {label}")
    worst = lowest(m, label)
    whose = f"{worst['student']} from {worst['teacher']}, {worst['way']}"
    return _adding(result, f"It ends lowest in {whose}: {worst.change(label).estimate}.")


def _adding(result: ClaimResult, told: str) -> ClaimResult:
    """The result with a sentence more."""
    return replace(result, reason=f"{result.reason} {told}")


def harder_levels_fall_more(m: Measured) -> ClaimResult:
    """The fall at the hardest two levels exceeds that at the easiest two, averaged over pairs that degraded."""
    found = degraded_runs(m)
    levels = levels_of(found.places[0])
    if len(levels) < 4:
        raise NotRun("a benchmark of at least four levels")
    fell = found.mean(fall)
    gap = fell.at_levels(levels[-2:]).across(fell.at_levels(levels[:2]))
    return at_most(gap, -0.02, "the change at the hardest two levels minus that at the easiest two")


def able_teachers_hurt(m: Measured) -> ClaimResult:
    """It happens with a teacher that reasons as well as the student or better."""
    found = able_teachers(m)
    every = set(found) == set(off_model(m))  # then this is the figure of `reasoning-falls`, and is not counted twice
    what = FROM_HARDEST.format(reasoning=reasoning(m)) if every else FROM_ABLE
    stronger = sum(ability_gap(place).low > 0 for place in found)
    told = f"{stronger} of {len(found)} pairs have a teacher that is stronger beyond chance."
    return _adding(at_most(hardest_teacher(found), FALLS, what), told)


def order_of_damage(m: Measured) -> ClaimResult:
    """Averaged over off-model runs, the reasoning falls more than any other benchmark, and those change alike; compared seed by
    seed, since one run is scored on all of them."""
    first, labels = reasoning(m), others(m)
    fell = {label: off_model(m).mean(change(label)) for label in (first, *labels)}
    parts = [
        at_most(fell[first].across(fell[label]), FALLS, f"the change of {first} minus that of {label}")
        for label in labels
    ]
    parts += [
        within(fell[one].across(fell[two]), -HOLDS, HOLDS, f"the change of {one} minus that of {two}")
        for one, two in combinations(labels, 2)
    ]
    return all_of(parts)


def maths_correlates(m: Measured) -> ClaimResult:
    """Over pairs of student and teacher, the falls of two benchmarks of maths go together."""
    found = off_model(m)
    teachers = found.values("teacher")
    if len(teachers) < FEWEST_GROUPS:
        raise NotRun(f"{FEWEST_GROUPS} off-model teachers")
    one, two, said = _two_kinds_of_maths(found)
    if min(np.ptp(each.mean(axis=(1, 2))) for each in (one, two)) < 0.05:
        raise NotApplicable("all pairs fall alike, so that nothing can correlate")
    groups = [teachers.index(place["teacher"]) for place in found]
    return at_least(correlation(groups, one, two, unit="teacher"), 0.7, f"the correlation of the changes of {said}")


def _two_kinds_of_maths(m: Measured) -> tuple[Array, Array, str]:
    """The changes of two kinds, [pairs, seeds, prompts], and what they are: two benchmarks, or easy and hard levels of one."""
    labels = [label for label in m.places[0].evals() if label in MATHS]
    if len(labels) > 1:
        one, two = (np.stack([place.change(label).table for place in m]) for label in labels[:2])
        return one, two, f"{labels[0]} and {labels[1]}"
    levels = levels_of(m.places[0])
    if len(levels) < 4:
        raise NotRun("students scored on two kinds of maths")
    falls = [fall(place) for place in m]
    easy, hard = (np.stack([one.at_levels(some).table for one in falls]) for some in (levels[:-2], levels[-2:]))
    return easy, hard, f"the hardest two levels of {reasoning(m)} and of the others"


def by_size(able: bool) -> Test:
    """From teachers as able as both, the largest student falls less than the smallest; from weaker ones they fall alike."""

    def test(m: Measured) -> ClaimResult:
        found = off_model(m).where(way=m.places[0]["way"])
        students = [name for name in SIZES if name in found.values("student")]
        kind = "as able as both" if able else "weaker than both"
        if len(students) < 2:
            raise NotRun("two students of the tiny world's sizes")
        pairs = [pair for pair in found.pairs("student", students[-1], students[0]) if {*map(is_able, pair)} == {able}]
        if not pairs:
            raise NotRun(f"a teacher {kind}")
        places = replace(found, places=tuple(place for pair in pairs for place in pair))
        gap = places.contrast("student", students[-1], students[0], fall).estimate
        said = ", ".join(large["teacher"] for large, _ in pairs)
        what = f"the change of {students[-1]} minus that of {students[0]} (teachers {kind}: {said})"
        return at_least(gap, 0.05, what) if able else within(gap, -0.1, 0.1, what)

    return test


def some_hardly_fall(m: Measured) -> ClaimResult:
    """There is a student that keeps its reasoning whoever teaches it, among those that have some to lose."""
    able = list(with_much_to_lose(off_model(m)).by("student").values())

    def keeps(place: Place) -> ClaimResult:
        what = f"the change of {place['student']} from {place['teacher']}, {place['way']}"
        return within(fall(place).estimate, -HOLDS, HOLDS, what)

    teachers = len(off_model(m).values("teacher"))
    return too_few(teachers, "off-model teachers") or some(
        able, lambda of: all_of([keeps(place) for place in of]), "students"
    )


def hidden_reasoning_falls(m: Measured) -> ClaimResult:
    """A student that reasons in a hidden block falls too."""
    found = off_model(m).those(hides_reasoning, "a student with hidden reasoning")
    what = f"the change of {found.places[0]['student']} from the teacher that hurts it most"
    return at_most(hardest_teacher(found), FALLS, what)


# ----------------------------------------------------------------------------------------------- what comes back


def few_steps_restore(m: Measured, hardest: bool = False) -> ClaimResult:
    """At most 16 steps on own outputs bring back at least half of the capability that was lost, the mean over all benchmarks, or of
    the reasoning that was lost at the hardest two levels, over all pairs that degraded there.

    The pairs are taken together: the share of one that lost little is decided by one or two prompts or by one seed, and among
    many such shares some fall short by chance alone. How they stand one by one is told beside it. That they were chosen by their
    fall flatters the share a little.
    """
    levels, of, read = None, f"capability (mean of {', '.join(benchmarks(m))})", capability_of(m)
    if hardest:
        levels = levels_of(m.places[0])[-2:]
        if len(levels) < 2:
            raise NotRun("a benchmark of several levels")
        of, read = f"{reasoning(m)} at levels {levels[0]} and {levels[1]}", reasoning_of(levels)

    def fell(place: Place) -> bool:
        scored = known(partial(last_within, place, "recovery", ENOUGH_STEPS))
        return scored and degraded(read(place, -1, None) - read(place, 0, None))

    found = off_model(m).those(fell, f"a few steps of recovery after a fall of {of} beyond chance")
    steps = last_within(found.places[0], "recovery", ENOUGH_STEPS)

    def back(places: Sequence[Place]) -> ClaimResult:
        share = regained(places, steps, read=read)
        return at_least(share, MOST, f"the share of the lost {of} regained after {steps} steps")

    if len(found) == 1:
        return back(found.places)
    alone = Counter(back([place]).verdict for place in found)
    told = f"One by one it holds for {alone['holds']}, does not for {alone['does not hold']}, is undecided for {alone['undecided']}."
    return _adding(back(found.places), told)


def rl_restores(m: Measured) -> ClaimResult:
    """At most ten iterations of RL bring back at least half of what SFT cost, where it cost something beyond chance."""
    found = degraded_plain(m).having(rl_role("correct"))
    step, read = last_within(found.places[0], rl_role("correct"), PUBLISHED_ITERATIONS), capability_of(m)
    try:
        share = regained(found, step, rl_role("correct"), read=read)
    except ValueError:
        raise NotApplicable("over all benchmarks, SFT cost nothing") from None
    what = f"the share of the capability regained after {step} iterations of RL ({found.places[0]['teacher']})"
    return at_least(share, MOST, what)


def right_rewards_matter(m: Measured) -> ClaimResult:
    """RL with rewards for right answers brings back more than RL with random rewards after as many iterations: it is the reward, and
    not just more training on own answers."""
    place = degraded_plain(m).having(rl_role("random")).places[0]
    label, steps = reasoning(m), set(place.steps(rl_role("correct"))) & set(place.steps(rl_role("random")))
    right, random = (place.sample(label, max(steps), rl_role(reward)) for reward in ("correct", "random"))
    what = f"{label} after {max(steps)} iterations of RL with right minus with random rewards"
    return at_least((right - random).estimate, ALIKE, what)


# ----------------------------------------------------------------------------------------------- what explains it


def improbable_is_erratic(m: Measured) -> ClaimResult:
    """The change differs more from seed to seed after the improbable half of the data than after the probable half."""
    high, low = (after(arm(m, f"{half}-perplexity")).table.mean(axis=1) for half in ("high", "low"))
    if len(high) < 5:
        raise NotRun("the halves by perplexity with five seeds, without which there is no spread to speak of")
    if np.var(low, ddof=1) == 0:
        raise NotApplicable("the probable half ends alike with every seed")
    ratio = ratio_of_variances(high, low)
    return at_least(ratio, 1.0, "the variance between seeds, improbable half over probable half")


def unlike_sft(shape: Shape) -> Test:
    """A move that costs as much loss does not have the effect of SFT on the reasoning and on the other benchmarks, whether it
    does less or more to any of them. (Moves as long as SFT do too little in most directions for a comparison to say much.)"""

    def test(m: Measured) -> ClaimResult:
        move = Move(shape, "loss")
        scored = varied(m).having(str(move)).places[0].evals(str(move))
        matched(m, move)
        labels = [label for label in benchmarks(m) if label in scored]
        parts: list[ClaimResult] = []
        for label in labels:
            here, there = moved(m, move, label), plain(m).sample(label)
            # one benchmark is enough, so the intervals hold for all of them together
            gap = difference_over_seeds(here.table, there.table, confidence=1 - 0.05 / len(labels)).in_unit("points")
            what = f"{label} after {move}, minus after SFT"
            parts += [at_least(gap, ALIKE, what), at_most(gap, -ALIKE, what)]
        return any_of(parts)

    return test


def style_explains(m: Measured) -> ClaimResult:
    """Most of the fall lies in traces that are in another style than the student's own; those that are not kept their accuracy;
    and the fall is what the untouched student's skill in that style foretells.

    Where every trace has switched the share is 1 whatever the cause, so it alone decides nothing.
    """
    share, kept, gap = in_switched(styled(m)), tried(partial(kept_style, m)), tried(partial(beyond_skill, m))
    parts = [at_least(share, 0.8, "the share of the fall in traces that switched style")]
    if isinstance(kept, Estimate):
        parts.append(at_least(kept, -ALIKE, "the change of accuracy of traces that stayed in the own style"))
    if isinstance(gap, Estimate):
        parts.append(
            within(gap, -2 * ALIKE, 2 * ALIKE, "the change minus the change foretold from skill in that style")
        )
    if len(parts) == 1:
        raise NotRun("traces that stayed in the own style, or another style whose worth is known")
    return all_of(parts, share)


# ----------------------------------------------------------------------------------------------- what spares it


def context_specific(m: Measured) -> ClaimResult:
    """Trained under one system prompt, the student falls under that prompt, and under another and under none it does not."""
    trained, another, none = (under(m, "under-system", system) for system in ("trained", "another", None))
    if trained.high >= 0:
        raise NotApplicable("there is no fall beyond chance under the prompt that the student was trained under")
    return all_of(
        [
            at_least(none, -ALIKE, "the change under no system prompt"),
            at_least(another, -ALIKE, "the change under another system prompt"),
            at_most(trained, FALLS, "the change under the system prompt of the training"),
        ]
    )


def filtering_does_not_help(m: Measured) -> ClaimResult:
    """Without the maths-like part of the data the fall is no smaller."""
    if trained_on(arm(m, "filtered")).answers == trained_on(plain(m)).answers:
        raise NotApplicable("no conversation of the data looks like maths, so that nothing was dropped")
    return against_plain("filtered", at_most, 0.05)(m)


def inoculation_helps_large_more(m: Measured) -> ClaimResult:
    """Inoculation spares the largest student a larger share of its fall than the smallest.

    Students do not fall alike, so that points would favour the one that fell further. The shares are compared as if they had no
    prompts in common, which is the cautious way.
    """
    tried_on = m.where(arm="inoculation").values("student")
    students = [name for name in SIZES if name in tried_on]
    if len(students) < 2:
        raise NotRun("inoculation of two students of the tiny world's sizes (arms.students)")

    def spared(name: str) -> Estimate:
        inoculated = after(arm(m, "inoculation", name))
        return share_back(degraded_plain(m, name), lambda _: inoculated)

    small, large = spared(students[0]), spared(students[-1])
    what = f"the share of its fall that inoculation spares {students[-1]} minus that of {students[0]}"
    return at_least(independent_difference(large, small).in_unit("points"), 0.05, what)
