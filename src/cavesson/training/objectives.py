"""Objectives: what a training step minimises, one function each.

Legend of shape suffixes: K = trained positions of a batch (those whose next token has a weight), V = vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`(logits_KV, targets_K, weights_K) -> loss`: a scalar, the *sum* over the positions. The engine divides the weights by
their total over the whole step beforehand, so micro-batches add up and no objective needs to know how a step was cut."""


def sft(logits_KV: Tensor, targets_K: Tensor, weights_K: Tensor) -> Tensor:
    """Supervised fine-tuning: the weighted negative log-likelihood of the next token, in nats."""
    return _WeightedNLL.apply(logits_KV, targets_K, weights_K)  # type: ignore[no-any-return, no-untyped-call]


@dataclass(frozen=True, slots=True)
class Anchor:
    """What holds a run to the model that it starts from (`cavesson.training.recipes.Trained` explains the two)."""

    kl: float = 0.0
    min_probability: float | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to ask the base."""
        return self.kl > 0 or self.min_probability is not None


def policy_gradient(logits_KV: Tensor, targets_K: Tensor, weights_K: Tensor) -> Tensor:
    """REINFORCE on the policy's own samples: `sft` whose weights are advantages, of either sign (Williams 1992)."""
    return sft(logits_KV, targets_K, weights_K)


def anchored(logits_KV: Tensor, targets_K: Tensor, weights_K: Tensor, base_KV: Tensor, kl: float) -> Tensor:
    """`sft` plus `kl` times KL(base || policy) over the whole vocabulary, each position with its weight, in nats.

    A position's gradient is `(1 + kl) policy - kl base - target`: that of cross-entropy with the target mixed with what the
    base says. It is zero where the policy is the base and the base is sure of the target.

    Args:
        base_KV: logits of the model before training, at the same positions.
    """
    return _AnchoredNLL.apply(logits_KV, targets_K, weights_K, base_KV, kl)  # type: ignore[no-any-return, no-untyped-call]


def supported(base_KV: Tensor, targets_K: Tensor, least: float) -> Tensor:
    """1 where the base gives the target at least this probability, else 0: a factor for the weights, `[K]`."""
    blocks = zip(torch.split(base_KV, _ROWS_AT_ONCE), torch.split(targets_K, _ROWS_AT_ONCE), strict=True)
    chosen = [block.float().log_softmax(-1).gather(1, targets[:, None])[:, 0] for block, targets in blocks]
    return (torch.cat(chosen) >= math.log(least)).float()


OBJECTIVES: dict[str, Objective] = {"sft": sft, "policy_gradient": policy_gradient}
"""Every objective by the name that a recipe gives it."""

_ROWS_AT_ONCE = 256
"""Positions per block in `_WeightedNLL`: 256 rows of a small vocabulary in fp32 stay in a core's second-level cache."""


class _WeightedNLL(torch.autograd.Function):
    """Weighted cross-entropy that computes its gradient on the way forward.

    Block by block in fp32, so that neither fp32 logits nor probabilities of the whole batch ever exist. On CPU this halves
    the time of the loss, which for a small model with bf16 logits is a tenth of the step.
    """

    @staticmethod
    def forward(ctx: Any, logits_KV: Tensor, targets_K: Tensor, weights_K: Tensor) -> Tensor:
        gradient_KV = torch.empty_like(logits_KV)
        loss = torch.zeros((), dtype=torch.float32, device=logits_KV.device)
        for start in range(0, logits_KV.shape[0], _ROWS_AT_ONCE):
            block = slice(start, start + _ROWS_AT_ONCE)
            targets, weights = targets_K[block, None], weights_K[block, None]
            logits = logits_KV[block].float()
            probabilities = logits.softmax(-1)
            # log-sum-exp of a row is `logit - log(probability)` of any token; the likeliest one's probability never underflows
            log_total = logits.amax(-1, keepdim=True) - probabilities.amax(-1, keepdim=True).log_()
            loss += ((log_total - logits.gather(1, targets)) * weights).sum()
            gradient_KV[block] = probabilities.mul_(weights).scatter_add_(1, targets, -weights)
        ctx.save_for_backward(gradient_KV)
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient_KV,) = ctx.saved_tensors
        scale = float(upstream[0])
        return (gradient_KV if scale == 1.0 else gradient_KV * scale), None, None


class _AnchoredNLL(torch.autograd.Function):
    """`_WeightedNLL` with a KL to another model's distribution, in the same manner."""

    @staticmethod
    def forward(
        ctx: Any, logits_KV: Tensor, targets_K: Tensor, weights_K: Tensor, base_KV: Tensor, kl: float
    ) -> Tensor:
        gradient_KV = torch.empty_like(logits_KV)
        loss = torch.zeros((), dtype=torch.float32, device=logits_KV.device)
        for start in range(0, logits_KV.shape[0], _ROWS_AT_ONCE):
            block = slice(start, start + _ROWS_AT_ONCE)
            targets, weights = targets_K[block, None], weights_K[block, None]
            policy, base = logits_KV[block].float().log_softmax(-1), base_KV[block].float().log_softmax(-1)
            base_p = base.exp()
            divergence = base.sub_(policy).mul_(base_p).sum(-1, keepdim=True)
            loss += ((kl * divergence - policy.gather(1, targets)) * weights).sum()
            gradient = policy.exp_().mul_(1 + kl).sub_(base_p, alpha=kl).mul_(weights)
            gradient_KV[block] = gradient.scatter_add_(1, targets, -weights)
        ctx.save_for_backward(gradient_KV)
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient_KV,) = ctx.saved_tensors
        return gradient_KV * upstream[0], None, None, None, None
