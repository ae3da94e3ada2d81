"""The seeds of random prompts: every purpose draws from a stream of its own, so that two purposes of a study share no prompt."""

from __future__ import annotations

STREAMS = {
    "red": 1000,
    "blue": 2000,
    "other domain": 2500,
    "reversal": 3000,
    "memory": 4000,
    "sft": 5000,
    "recovery": 6000,
    "mitigation": 7000,
    "poison": 7000,
    "rl": 8000,
    "problems": 9000,
    "foretold": 10_000,
    "distil": 11_000,
}
"""What random prompts are drawn for, and where the seeds of the draws begin."""


def draw(purpose: str, seed: int) -> int:
    """The seed of the prompts that one repetition (its seed below 500) draws for a purpose."""
    return STREAMS[purpose] + seed
