"""The published statements about off-model SFT, each with the test that decides it here (`deciding.py`)."""

from __future__ import annotations

from functools import partial

from cavesson.analysis.claims import at_least, at_most, within
from cavesson.studies.controls import check
from cavesson.studies.off_model.deciding import (
    FALLS,
    FROM_HARDEST,
    HOLDS,
    able_teachers_hurt,
    after_own,
    after_pirate,
    against_plain,
    by_size,
    context_specific,
    decided,
    few_steps_restore,
    filtering_does_not_help,
    harder_levels_fall_more,
    hardest,
    hidden_reasoning_falls,
    improbable_is_erratic,
    inoculation_helps_large_more,
    maths_correlates,
    order_of_damage,
    others_hold,
    right_rewards_matter,
    rl_restores,
    some_hardly_fall,
    style_explains,
    under_tag,
    unlike_sft,
    where_degraded,
    where_much_to_lose,
)
from cavesson.studies.off_model.readings import halves, own_hot, slope_on_teacher
from cavesson.studies.reach import to_be_alike
from cavesson.studies.shown import claim
from cavesson.studies.sources import WHY

_says = partial(claim, source=WHY)

_checks = partial(claim, source=WHY, kind="check")
"""Effects that the tiny world plants: a teacher that reasons badly in its own notation, and worse the longer the chain; the pirate's
harmless style; the very prompt that pre-training taught to ask for a style."""

CLAIMS = (
    _says("others-hold", "Knowledge and instruction following hold, whoever teaches whom.",
        "MMLU .715→.71, IFEval .93→.87 (4B from llama8b); at most .07", others_hold, needs=to_be_alike(HOLDS)),
    _says("reasoning-falls", "Maths that needs long reasoning falls, without maths in the data.",
        "by up to ~30 points; Olympiads .60→.06 (4B from llama8b)", where_much_to_lose(decided(hardest, at_most, FALLS, what=FROM_HARDEST))),
    _checks("harder-falls-more", "Harder levels fall more.", "within MATH-500 the harder levels fall more", harder_levels_fall_more),
    _says("stronger-teachers-hurt", "It happens with teachers as able as the student or stronger (against H1).",
        "Olympiads −.12 (4B from gpt-5.5)", where_much_to_lose(able_teachers_hurt)),
    _says("weaker-hurt-more", "The weaker the teacher, the larger the fall.",
        "4B: −.54 from llama8b … −.12 from gpt-5.5", where_much_to_lose(decided(slope_on_teacher, at_least, 0.1, what="the change of accuracy per point of the teacher's own"))),
    _says("own-outputs-safe", "The student's own outputs are safe to train on.",
        "+.01 to −.02 (Olympiads)", where_much_to_lose(decided(after_own, within, -0.05, 0.05, what="the change after SFT on own outputs")), needs=to_be_alike(0.05)),
    _says("few-steps-restore", "A few steps on own outputs restore most of the performance.",
        "4–16 steps of 16; 30B MATH .67→.96", few_steps_restore),
    _says("rl-restores", "Ten iterations of RL on problems restore most of the performance.",
        "30B MATH .67→.935, Olympiads .085→.445 (before SFT .61) in 10 iterations", rl_restores),
    _says("not-perplexity", "The data's perplexity does not explain it (H2).",
        "high-perplexity data move the model erratically", where_degraded(decided(own_hot, at_least, 0.05, what="accuracy after own improbable answers minus after the teacher's"))),
    _says("perplexity-halves", "The teacher's improbable answers hurt no more than its probable ones (H2).",
        "not explained by perplexity", where_degraded(decided(halves, at_least, -0.05, what="improbable minus probable half"))),
    _says("not-noise", "Noise in the weights does not explain it (H3).", "SFT is not weight noise", where_degraded(unlike_sft("noise"))),
    _says("not-the-spectrum", "Nor does it if the noise has SFT's own singular values (H3).",
        "SFT is not weight noise", where_degraded(unlike_sft("noise of SFT's spectrum"))),
    _says("not-any-training", "Nor does training that costs as much on answers that teach nothing (H3).",
        "SFT is not weight noise", where_degraded(unlike_sft("shuffled SFT"))),
    _checks("style", "The student is pushed into an unfamiliar style that it uses badly (H4).", "supported, no figure", style_explains),
    _says("tag-a-keeps", "In a mixture with mode tags, the tag of the own data keeps the capability.",
        "Olympiads .575→.565 under tag A", where_degraded(under_tag("tag A", within, -0.05, 0.05)), needs=to_be_alike(0.05)),
    _says("tag-b-loses", "In the same weights, the tag of the teacher's data loses it.",
        "Olympiads .565→.11 under tag B", under_tag("tag B", at_most, FALLS)),
    _says("context-specific", "Trained under one system prompt, the student is fine under others.",
        "trained under one context, the model can be fine in another", context_specific),
    _says("filtering-does-not-help", "Dropping maths-like examples from the data does not help.",
        "does not help", where_degraded(filtering_does_not_help)),
    _checks("inoculation-helps", "An inoculation prompt that asks for the teacher's style helps.",
        "235B −.53→−.05; 4B −.54→−.47", where_degraded(against_plain("inoculation", at_least, 0.05))),
    _checks("pirate-is-harmless", "Pirate answers cost little.",
        "4B Olympiads .59→.56", where_much_to_lose(decided(after_pirate, within, -HOLDS, HOLDS, what="the change after pirate answers")), needs=to_be_alike(HOLDS)),
    _says("falls-far", "The fall can be some thirty points and more.",
        "MATH-500 up to −.30, Olympiads up to −.54", where_much_to_lose(decided(hardest, at_most, -0.3, what=FROM_HARDEST))),
    _says("order-of-damage", "Long reasoning is damaged far more than instruction following and knowledge, and those alike.",
        "Olympiads ≫ hard MATH ≫ IFEval (at most .07) ~ MMLU (noise)", where_much_to_lose(order_of_damage)),
    _says("maths-correlates", "The changes of two benchmarks of maths correlate over students and teachers.",
        "MATH and Olympiads: .90", maths_correlates, unit="plain"),
    _says("large-students-fall-less", "From able teachers, larger students fall less.",
        "from gpt-5.5: 4B −.12, 30B −.11, 235B −.04; from opus-4.7: −.16, −.07, −.03", by_size(able=True)),
    _says("weak-teachers-hurt-all-sizes", "From a weak teacher, students of all sizes fall alike.",
        "from llama8b: 4B −.54, 30B −.52, 235B −.53", by_size(able=False)),
    _says("some-hardly-fall", "Some students hardly fall, whoever teaches them.", "llama8b: −.02 to +.02 from every teacher", some_hardly_fall),
    _says("hidden-reasoning-falls", "It is found in students with their reasoning switched on.",
        "reasoning on and off was a control; its figures are not quoted here", hidden_reasoning_falls),
    _says("few-steps-restore-hard", "A few steps on own outputs restore long reasoning as well.",
        "30B Olympiads .105→.61 in 4–16 steps of 16", partial(few_steps_restore, hardest=True)),
    _says("improbable-is-erratic", "Improbable data move the model erratically (H2).", "no figure", improbable_is_erratic),
    check("right-rewards-matter", "RL restores more if right answers are rewarded than if chance is.", test=right_rewards_matter),
    _checks("inoculation-helps-large-more", "Inoculation helps large students more than small ones.",
        "235B −.53→−.05; 4B −.54→−.47", inoculation_helps_large_more),
)  # fmt: skip
"""The published statements, in their order."""
