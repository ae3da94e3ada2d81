"""The arithmetic of losses over a vocabulary, block by block in fp32.

The fp32 logits and probabilities of a whole batch never exist at once. Shape suffixes: see `cavesson.training.objectives`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_ROWS_AT_ONCE = 256
"""Positions per block: 256 rows of a small vocabulary in fp32 stay in a core's second-level cache."""


def weighted_nll(logits_KV: Tensor, targets_K: Tensor, weights_K: Tensor) -> Tensor:
    """The weighted sum of the targets' negative log-likelihoods, in nats: a scalar."""
    return _WeightedNLL.apply(logits_KV, targets_K, weights_K)  # type: ignore[no-any-return, no-untyped-call]


def anchored_nll(logits_KV: Tensor, targets_K: Tensor, weights_K: Tensor, base_KV: Tensor, kl: float) -> Tensor:
    """`weighted_nll` plus `kl` times the weighted sum of KL(base || policy) over the whole vocabulary, in nats: a scalar.

    A position's gradient is `(1 + kl) policy - kl base - target`: the gradient of cross-entropy with a mixture of the target
    and the base's distribution. The gradient is zero where the policy equals the base and the base is sure of the target.

    Args:
        base_KV: logits of the model before training, at the same positions.
    """
    return _AnchoredNLL.apply(logits_KV, targets_K, weights_K, base_KV, kl)  # type: ignore[no-any-return, no-untyped-call]


def supported(base_KV: Tensor, targets_K: Tensor, least: float) -> Tensor:
    """1 where the base gives the target a probability of at least `least`, else 0: a factor for the weights, `[K]`."""
    blocks = zip(torch.split(base_KV, _ROWS_AT_ONCE), torch.split(targets_K, _ROWS_AT_ONCE), strict=True)
    chosen = [block.float().log_softmax(-1).gather(1, targets[:, None])[:, 0] for block, targets in blocks]
    return (torch.cat(chosen) >= math.log(least)).float()


def log_likelihoods(logits_KV: Tensor, targets_K: Tensor) -> Tensor:
    """The log-probability of every target, `[K]`, in nats."""

    def of_block(logits: Tensor, targets: Tensor) -> Tensor:
        return -torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")

    return torch.cat(_by_blocks(of_block, logits_KV, targets_K))


def divergence(
    student_KV: Tensor,
    teacher_KV: Tensor,
    weights_K: Tensor,
    *,
    reverse: float = 0.0,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> Tensor:
    """The weighted sum of the divergences of two models' next-token distributions, in nats: a scalar.

    Models with the same tokenizer may pad their vocabularies with different numbers of unused tokens; these are left out.

    Args:
        reverse: share of KL(student || teacher); the rest is KL(teacher || student).
        temperature: divides both models' logits.
        top_k: distinguish only the teacher's `top_k` likeliest tokens and treat all others as one outcome; None: distinguish
            all tokens.
    """
    known = min(student_KV.shape[1], teacher_KV.shape[1])

    def of_block(student: Tensor, teacher: Tensor, weights: Tensor) -> Tensor:
        student, teacher = ((part.float() / temperature).log_softmax(-1) for part in (student, teacher))
        if top_k is not None and top_k < known:
            likeliest = teacher.topk(top_k).indices
            student, teacher = (_with_rest(part.gather(1, likeliest)) for part in (student, teacher))
        forward_K = (teacher.exp() * (teacher - student)).sum(-1)
        reverse_K = (student.exp() * (student - teacher)).sum(-1)
        return (weights * ((1 - reverse) * forward_K + reverse * reverse_K)).sum()

    return torch.stack(_by_blocks(of_block, student_KV[:, :known], teacher_KV[:, :known], weights_K)).sum()


def _with_rest(logp_KV: Tensor) -> Tensor:
    """The given log-probabilities and, as a last column, the log-probability of all other outcomes together."""
    rest = 1 - logp_KV.exp().sum(-1, keepdim=True)
    return torch.cat([logp_KV, rest.clamp(min=1e-8).log()], dim=1)


def _by_blocks(function: Callable[..., Tensor], *parts: Tensor) -> list[Tensor]:
    """The function of every block of rows; intermediate values are not kept but computed again for the gradient."""
    blocks = zip(*(torch.split(part, _ROWS_AT_ONCE) for part in parts), strict=True)
    return [checkpoint(function, *block, use_reentrant=False, preserve_rng_state=False) for block in blocks]


class _WeightedNLL(torch.autograd.Function):
    """Weighted cross-entropy that computes its gradient in the forward pass, block by block in fp32.

    On a CPU this halves the time of the loss, which for a small model with bf16 logits is a tenth of the step.
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
            # log-sum-exp of a row is `logit - log(probability)` of any token; the largest probability never underflows
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
    """`_WeightedNLL` plus a KL divergence from another model's distribution, computed in the same way."""

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
