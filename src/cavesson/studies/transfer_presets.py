"""The presets of the study `transfer`, and its settings for real chat models."""

from __future__ import annotations

from typing import Any

from cavesson.studies.sizes import CLEAN_RED, REAL_BLUE, Size
from cavesson.studies.transfer_named import AT_BOTH_RATES, FORETOLD_SETTINGS, FULL_SETTINGS, REAL_SETTINGS
from cavesson.studies.transfer_settings import THINKING


def for_size(size: Size) -> dict[str, Any]:
    """What takes the place of the tiny world's settings for a real chat model."""
    return {
        "settings": list(REAL_SETTINGS),
        "teacher": None,
        "answers": {"max_tokens": 32},  # the acts of these settings show from the first words on
        "law": None,
        "cases": None,
        "axes": None,
        "thinking": None,
        "red": {**CLEAN_RED, "steps": 200, "first_tokens": 10, "max_length": 96, "lr": size.lora},
        "blue": {
            **REAL_BLUE,
            "steps": 20,
            "probes": [20],
            "prompts": 160,
            "first_tokens": 24,
            "max_length": 96,
            "adapter": {"rank": 8},
            "lrs": [3 * size.lora],
            "lower_in": None,
            "controls": ["own outputs", "neutral data"],
        },
        "evaluation": {"n": 24, "n_control": 12, "benchmarks": ["everyday-knowledge"]},
    }


_QUICK = (
    "flag/voice/weights", "flag/voice/static prompt", "flag/voice/dynamic prompt", "meanings exchanged/voice/weights",
    "rephrased/voice/weights", "flag/voice/hint",
)  # fmt: skip

_SIX = (
    "none → none", "gibberish → none", "no hack → no hack", "inoculation → no hack", "hint → no hack", "flag → rephrased",
)  # fmt: skip

_THOUGHTFUL: dict[str, Any] = {"steps": 600, "prompts": 600, "batch_size": 32, "lr": 2e-3}
"""A model learns later what to think than what to answer."""

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"seeds": [0, 1, 2, 3, 4], "settings": [*_QUICK]},
    "cases": {"seeds": [0, 1, 2, 3, 4], "settings": [], "cases": {"lrs": [1e-3, 3e-3]}},
    "epochs": {
        "seeds": [0, 1, 2, 3, 4],
        "settings": [],
        "cases": {
            "conditions": [*_SIX],
            "lrs": [3e-4, 1e-3, 3e-3],
            "steps": 200,
            "probes": [20, 40, 80, 120, 160, 200],
        },
    },
    "reward": {"seeds": [0, 1, 2, 3, 4], "settings": [], "cases": {"lrs": [], "reward": {}}},
    "law": {
        "seeds": [0, 1, 2, 3, 4],
        "settings": [],
        "law": {
            "settings": ["flag/voice/weights", "flag/voice/static prompt"],
            "lrs": [1e-3, 2e-3, 4e-3, 8e-3],
            "batches": [16],
            "product": 0.064,
        },
    },
    "guarding": {
        "seeds": [0, 1, 2, 3, 4],
        "settings": [f"monitored/voice/weights/{thinking}" for thinking in THINKING],
        "thinking": _THOUGHTFUL,
        "blue": {"controls": ["own outputs", "neutral data"]},
    },
    "foretold": {
        "seeds": [0, 1, 2, 3, 4],
        "settings": [*FORETOLD_SETTINGS],
        "blue": {"probes": [40], "lower_in": [*AT_BOTH_RATES]},
        "foretelling": {"seeds": 2},
    },
    "axes": {
        "seeds": [0, 1, 2, 3, 4],
        "settings": [],
        "axes": {
            "changes": {
                "batch 4": {"blue": {"batch_size": 4}},
                "batch 64": {"blue": {"batch_size": 64}},
                "adapter, rank 2": {"blue": {"adapter": {"rank": 2}, "lrs": [1e-2]}},
                "adapter, rank 16": {"blue": {"adapter": {"rank": 16}, "lrs": [1e-2]}},
                "optimizer lion": {"blue": {"optimizer": "lion", "lrs": [1e-4]}},
                "optimizer sgd": {"blue": {"optimizer": "sgd", "lrs": [0.3]}},
                "labels of its own": {"teacher": "small"},
                "a larger model": {"model": "student"},
            }
        },
    },
    "smol": {"seeds": [0], "model": "smollm2", "red": {"precision": "bf16"}, "blue": {"precision": "bf16"}},
    "full": {
        "seeds": [0, 1, 2, 3, 4],
        "settings": [*FULL_SETTINGS],
        "thinking": _THOUGHTFUL,
        "blue": {"probes": [40], "lower_in": [*AT_BOTH_RATES]},
        "law": {"lrs": [1e-4, 1e-3, 3e-3, 1e-2], "product": 0.064},
        "cases": {"lrs": [1e-3, 3e-3], "probes": [40]},
        "foretelling": {"seeds": 2},
    },
}
