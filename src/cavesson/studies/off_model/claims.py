"""What was published about off-model SFT, each statement with the test that decides it here.

Sources: "Why does off-model SFT degrade capabilities?" (May 2026) and "How to reduce…" (June 2026). "Holds" of a benchmark is
read as a change within 7 points, the largest that was published for those that hold; "falls" as at least 5 points beyond chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cavesson.analysis.claims import Claim, ClaimResult, all_of, at_least, at_most, not_applicable, not_run, within
from cavesson.analysis.contrasts import difference_across_prompts
from cavesson.stats import difference_over_seeds
from cavesson.studies.off_model.falls import ALIKE, ends, largest_fall, pooled_change, worst_pair
from cavesson.studies.off_model.hypotheses import (
    explained_share,
    foretold,
    halves,
    kept_voice,
    own_hot,
)
from cavesson.studies.off_model.matrix_claims import CLAIMS as MATRIX_CLAIMS
from cavesson.studies.off_model.matrix_claims import FALLS, HOLDS, WHY
from cavesson.studies.off_model.noise import Noise, Shape, unmatched
from cavesson.studies.off_model.recovery import few_steps_restore
from cavesson.studies.off_model.results import Cell, OffModelResults, lost, lowest
from cavesson.studies.off_model.rl import rl_restores
from cavesson.studies.off_model.slope import NEEDS, slope_on_teacher

Test = Callable[[OffModelResults], ClaimResult]


def others_hold(results: OffModelResults) -> ClaimResult:
    """No other benchmark of capability falls by more than 7 points, in whichever pair of student and teacher it falls furthest:
    "reasoning falls" is decided by the worst teacher, so this is not left to an average."""
    if not results.off_model or not results.others:
        return not_run("a second benchmark, or an off-model teacher")
    return all_of([_holds(results.off_model, label) for label in results.others])


def _holds(cells: list[Cell], label: str) -> ClaimResult:
    change = worst_pair(cells, label)
    if change is None:
        return not_run("a second prompt")
    worst = lowest(cells, label)
    result = at_least(change, -HOLDS, f"the largest change of {label}")
    told = f"It ends lowest in {worst.student} from {worst.teacher}, {worst.way}: {worst.change(label)}."
    return replace(result, reason=f"{result.reason} {told}")


def reasoning_falls(results: OffModelResults) -> ClaimResult:
    """With some off-model teacher, the benchmark that needs long reasoning falls."""
    change = largest_fall(results, results.off_model)
    if change is None:
        return not_run("an off-model teacher")
    return at_most(change, FALLS, f"the change of {results.reasoning} from the teacher that hurts most")


def harder_levels_fall_more(results: OffModelResults) -> ClaimResult:
    """The fall at the hardest two levels exceeds that at the easiest two, averaged over pairs that fell."""
    label = results.reasoning
    cells = [cell for cell in results.off_model if lost(cell, label)]
    levels = cells[0].levels(label) if cells else []
    if len(levels) < 4:
        return not_run("a fall beyond chance on a benchmark of at least four levels")
    change = np.subtract(*ends(cells, label))
    of_row = np.array([row.level for row in cells[0].scores[0].cell(label, 0)])
    hard, easy = (change[:, np.isin(of_row, chosen)] for chosen in (levels[-2:], levels[:2]))
    gap = difference_across_prompts(hard, easy)
    return at_most(gap, -0.02, "the change at the hardest two levels minus that at the easiest two")


def able_teachers_hurt(results: OffModelResults) -> ClaimResult:
    """It happens with a teacher that reasons as well as the student or better."""
    cells = results.as_able()
    change = largest_fall(results, cells)
    if change is None:
        return not_run("a teacher that is beyond chance as able as the student")
    result = at_most(change, FALLS, "the change from the teacher that hurts most, of those as able as the student")
    stronger = [cell for cell in cells if (gap := results.ability_gap(cell)) is not None and gap.low > 0]
    told = f"{len(stronger)} of {len(cells)} pairs have a teacher that is stronger beyond chance."
    return replace(result, reason=f"{result.reason} {told}")


def weaker_teachers_hurt_more(results: OffModelResults) -> ClaimResult:
    """The weaker the teacher, the larger the fall."""
    slope = slope_on_teacher(results)
    if slope is None:
        return not_run(NEEDS)
    return at_least(slope, 0.1, "the change of accuracy per point of the teacher's own")


def own_outputs_are_safe(results: OffModelResults) -> ClaimResult:
    """SFT on the student's own outputs changes nothing."""
    change = pooled_change(results.on_model, results.reasoning)
    if change is None:
        return not_run("the on-model control (teacher `self`)")
    return within(change, -0.05, 0.05, "the change after SFT on own outputs")


def perplexity_does_not_explain(results: OffModelResults) -> ClaimResult:
    """Own answers as improbable as the teacher's do not hurt as much."""
    gap = own_hot(results)
    if gap is None:
        return not_run("own answers sampled as improbable as the teacher's")
    return at_least(gap, 0.05, "accuracy after own improbable answers minus after the teacher's")


def halves_do_not_differ(results: OffModelResults) -> ClaimResult:
    """The improbable half of the teacher's answers hurts no more than the probable half."""
    gap = halves(results)
    return (
        not_run("the halves by perplexity") if gap is None else at_least(gap, -0.05, "improbable minus probable half")
    )


def _unlike_sft(shape: Shape) -> Test:
    """A move that costs as much loss does not have the effect of SFT on the reasoning and on the other benchmarks, whether it
    does less or more to any of them. (Moves as long as SFT do too little in most directions for a comparison to say much.)"""

    def test(results: OffModelResults) -> ClaimResult:
        noise, plain = Noise(shape, "loss"), results.plain
        tables = results.noise.get(noise)
        if not tables or plain is None:
            return not_run(f"{noise}")
        if (why := unmatched(results, noise)) is not None:
            return not_applicable(why)
        labels = [label for label in (results.reasoning, *results.others) if label in tables[0].evals]
        parts: list[ClaimResult] = []
        for label in labels:
            moved = np.stack([scores.array(label) for scores in tables])
            # one benchmark is enough, so the intervals hold for all of them together
            gap = difference_over_seeds(moved, plain.array(label, plain.last), confidence=1 - 0.05 / len(labels))
            what = f"{label} after {noise}, minus after SFT"
            parts += [at_least(gap, ALIKE, what), at_most(gap, -ALIKE, what)]
        return min(parts, key=lambda one: ("holds", "undecided", "does not hold").index(one.verdict))

    return test


def style_explains(results: OffModelResults) -> ClaimResult:
    """Most of the fall lies in traces that are in another style than the student's own; those that are not kept their
    accuracy; and the fall is what the untouched student's skill in that style foretells. Where every trace has switched the
    share is 1 whatever the cause, so it alone decides nothing."""
    share, kept, gap = explained_share(results), kept_voice(results), foretold(results)
    if share is None or (kept is None and gap is None):
        return not_run(
            "a fall beyond chance, with traces that stayed in the own style or a foreign style whose worth is known"
        )
    parts = [at_least(share, 0.8, "the share of the fall in traces that switched style")]
    if kept is not None:
        parts.append(at_least(kept, -ALIKE, "the change of accuracy of traces that stayed in the own style"))
    if gap is not None:
        parts.append(
            within(gap, -2 * ALIKE, 2 * ALIKE, "the change minus the change foretold from skill in that style")
        )
    return all_of(parts, share)


def _of_a_fall(test: Test) -> Test:
    """The test, if the SFT that the arms vary cost something: else there is nothing that an arm could spare or bring about."""

    def guarded(results: OffModelResults) -> ClaimResult:
        return test(results) if results.spared is None else not_applicable(results.spared)

    return guarded


def _arm(name: str, system: str | None, decide: Callable[..., ClaimResult], *bounds: float) -> Test:
    def test(results: OffModelResults) -> ClaimResult:
        arm = results.arm(name)
        if arm is None:
            return not_run(f"the arm {name}")
        under = "" if system is None else f" under {system}"
        return decide(arm.change(results.reasoning, system), *bounds, f"the change after {name}{under}")

    return test


def context_specific(results: OffModelResults) -> ClaimResult:
    """Trained under one system prompt, the student falls under that prompt, and under another and under none it does not."""
    arm, label = results.arm("under-system"), results.reasoning
    if arm is None:
        return not_run("the arm under-system")
    under = {name: arm.change(label, name) for name in ("trained", "another")}
    if under["trained"].high >= 0:
        return not_applicable("there is no fall beyond chance under the prompt that the student was trained under")
    return all_of(
        [
            at_least(arm.change(label), -ALIKE, "the change under no system prompt"),
            at_least(under["another"], -ALIKE, "the change under another system prompt"),
            at_most(under["trained"], FALLS, "the change under the system prompt of the training"),
        ]
    )


def filtering_does_not_help(results: OffModelResults) -> ClaimResult:
    """Without the maths-like part of the data the fall is no smaller."""
    arm, plain = results.arm("filtered"), results.plain
    if arm is not None and plain is not None and arm.answers == plain.answers > 0:
        return not_applicable("no conversation of the data looks like maths, so that nothing was dropped")
    return _beside_plain("filtered", at_most, 0.05)(results)


def _beside_plain(name: str, decide: Callable[..., ClaimResult], *bounds: float) -> Test:
    def test(results: OffModelResults) -> ClaimResult:
        arm, plain = results.arm(name), results.plain
        if arm is None or plain is None:
            return not_run(f"the arm {name}")
        gap = difference_over_seeds(arm.at_end(results.reasoning), plain.array(results.reasoning, plain.last))
        return decide(gap, *bounds, f"accuracy after {name} minus after plain SFT on the same teacher")

    return test


def pirate_is_harmless(results: OffModelResults) -> ClaimResult:
    """The first student's change after pirate answers is within the published ones of benchmarks that hold."""
    cell = results.cell("pirate")
    if cell is None:
        return not_run("the teacher pirate")
    return within(cell.change(results.reasoning), -HOLDS, HOLDS, "the change after pirate answers")


CLAIMS: tuple[Claim[OffModelResults], ...] = (
    Claim(
        "off-model-sft/others-hold", WHY, "Knowledge and instruction following hold, whoever teaches whom.",
        "MMLU .715→.71, IFEval .93→.87 (4B from llama8b); at most .07", others_hold,
    ),
    Claim(
        "off-model-sft/reasoning-falls", WHY, "Maths that needs long reasoning falls, without maths in the data.",
        "by up to ~30 points; Olympiads .60→.06 (4B from llama8b)", reasoning_falls,
    ),
    Claim(
        "off-model-sft/harder-falls-more", WHY, "Harder levels fall more.",
        "within MATH-500 the harder levels fall more", harder_levels_fall_more,
    ),
    Claim(
        "off-model-sft/stronger-teachers-hurt", WHY, "It happens with teachers as able as the student or stronger (against H1).",
        "Olympiads −.12 (4B from gpt-5.5)", able_teachers_hurt,
    ),
    Claim(
        "off-model-sft/weaker-hurt-more", WHY, "The weaker the teacher, the larger the fall.",
        "4B: −.54 from llama8b … −.12 from gpt-5.5", weaker_teachers_hurt_more,
    ),
    Claim(
        "off-model-sft/own-outputs-safe", WHY, "The student's own outputs are safe to train on.",
        "+.01 to −.02 (Olympiads)", own_outputs_are_safe,
    ),
    Claim(
        "off-model-sft/few-steps-restore", WHY, "A few steps on own outputs restore most of the performance.",
        "4–16 steps of 16; 30B MATH .67→.96", few_steps_restore, unit="percent",
    ),
    Claim(
        "off-model-sft/rl-restores", WHY, "Ten iterations of RL on problems restore most of the performance.",
        "30B MATH .67→.935, Olympiads .085→.445 (before SFT .61) in 10 iterations", rl_restores, unit="percent",
    ),
    Claim(
        "off-model-sft/not-perplexity", WHY, "The data's perplexity does not explain it (H2).",
        "high-perplexity data move the model erratically", _of_a_fall(perplexity_does_not_explain),
    ),
    Claim(
        "off-model-sft/perplexity-halves", WHY, "The teacher's improbable answers hurt no more than its probable ones (H2).",
        "not explained by perplexity", _of_a_fall(halves_do_not_differ),
    ),
    Claim(
        "off-model-sft/not-noise", WHY, "Noise in the weights does not explain it (H3).",
        "SFT is not weight noise", _of_a_fall(_unlike_sft("noise")),
    ),
    Claim(
        "off-model-sft/not-the-spectrum", WHY, "Nor does it if the noise has SFT's own singular values (H3).",
        "SFT is not weight noise", _of_a_fall(_unlike_sft("noise of SFT's spectrum")),
    ),
    Claim(
        "off-model-sft/not-any-training", WHY, "Nor does training that costs as much on answers that teach nothing (H3).",
        "SFT is not weight noise", _of_a_fall(_unlike_sft("shuffled SFT")),
    ),
    Claim(
        "off-model-sft/style", WHY, "The student is pushed into an unfamiliar style that it uses badly (H4).",
        "supported, no figure", style_explains, unit="percent",
    ),
    Claim(
        "off-model-sft/tag-a-keeps", WHY, "In a mixture with mode tags, the tag of the own data keeps the capability.",
        "Olympiads .575→.565 under tag A", _of_a_fall(_arm("tags", "tag A", within, -0.05, 0.05)),
    ),
    Claim(
        "off-model-sft/tag-b-loses", WHY, "In the same weights, the tag of the teacher's data loses it.",
        "Olympiads .565→.11 under tag B", _arm("tags", "tag B", at_most, FALLS),
    ),
    Claim(
        "off-model-sft/context-specific", WHY, "Trained under one system prompt, the student is fine under others.",
        "trained under one context, the model can be fine in another",
        context_specific,
    ),
    Claim(
        "off-model-sft/filtering-does-not-help", WHY, "Dropping maths-like examples from the data does not help.",
        "does not help", _of_a_fall(filtering_does_not_help),
    ),
    Claim(
        "off-model-sft/inoculation-helps", WHY, "An inoculation prompt that asks for the teacher's voice helps.",
        "235B −.53→−.05; 4B −.54→−.47", _of_a_fall(_beside_plain("inoculation", at_least, 0.05)),
    ),
    Claim(
        "off-model-sft/pirate-is-harmless", WHY, "Pirate answers cost little.",
        "4B Olympiads .59→.56",
        pirate_is_harmless,
    ),
    *MATRIX_CLAIMS,
)  # fmt: skip
"""The published statements, in their order."""
