"""How far the trainer's log-probabilities of sampled tokens lie from the sampler's: two programs compute one policy.

Where they differ, importance weights are wrong, and so are gradients ("Vocabulary for RL parity", and TRL's metric
`sampling_logp_difference`). In float32 they differ by some 1e-6 nats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from cavesson.models.notes import note

if TYPE_CHECKING:
    from cavesson.training.forward import Forward

LARGE_MEAN, LARGE_TOKEN = 0.02, 1.0
"""Nats from which a difference is large: on average, and of one token."""


@dataclass(slots=True)
class Drift:
    """Absolute differences over the trained tokens of one iteration, before its first step.

    Attributes:
        total, tokens: their sum in nats, and how many there are.
        largest: the largest one.
    """

    total: float = 0.0
    tokens: int = 0
    largest: float = 0.0

    def add(self, said: Forward) -> None:
        """Count the tokens of a batch."""
        batch = said.batch
        assert batch.sampled_K is not None, "rollouts keep their sampler's log-probabilities"
        with torch.no_grad():
            apart = (said.log_likelihoods_K - batch.sampled_K)[batch.weights_K != 0].abs()
        self.total += float(apart.double().sum())
        self.tokens += len(apart)
        self.largest = max(self.largest, float(apart.max()) if len(apart) else 0.0)

    @property
    def mean(self) -> float:
        return self.total / max(self.tokens, 1)

    @property
    def is_large(self) -> bool:
        return self.mean > LARGE_MEAN or self.largest > LARGE_TOKEN

    def figures(self) -> dict[str, float | None]:
        """Mean and largest difference for `rollouts.jsonl`; None before anything is compared."""
        if not self.tokens:
            return {"drift_mean": None, "drift_largest": None}
        return {"drift_mean": float(f"{self.mean:.3g}"), "drift_largest": float(f"{self.largest:.3g}")}

    def warn(self, precision: str) -> None:
        """Tell the user of a large difference, and what helps."""
        remedy = (
            "Train in float32 (precision: fp32), or lower the number of steps for each batch of answers"
            if precision.startswith("bf16")
            else "Leave dropout out, and look whether the model's own code samples otherwise than it trains"
        )
        note(
            f"RL: trainer and sampler differ by {self.mean:.2g} nats a token on the policy's own answers (largest "
            f"{self.largest:.2g}), so gradients are off. {remedy}; rollouts.jsonl has every iteration's drift."
        )
