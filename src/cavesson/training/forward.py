"""Logits of a batch under three models: the policy in training, the base before training, and a teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from cavesson.training.batches import Batch
from cavesson.training.flat import LogitsOf, logits_of
from cavesson.training.losses import log_likelihoods
from cavesson.training.reference import Reference


@dataclass(frozen=True)
class Forward:
    """Logits at the trained positions of one batch, `[K, V]` for each model; computed once, at first use.

    Args:
        policy: runs the network that is trained.
        base: runs the network as it was before this training; None: the objective does not need the base.
        teacher: runs the teacher; None: the objective has no teacher.
    """

    batch: Batch
    policy: LogitsOf
    base: LogitsOf | None = None
    teacher: LogitsOf | None = None

    @cached_property
    def policy_KV(self) -> Tensor:
        """The policy's logits, with gradients."""
        return self.policy(self.batch)

    @cached_property
    def log_likelihoods_K(self) -> Tensor:
        """The policy's log-probability of every target, `[K]`, in nats, with gradients."""
        return log_likelihoods(self.policy_KV, self.batch.targets_K)

    @cached_property
    def ratios_K(self) -> Tensor:
        """The policy's probability of every target, divided by the probability under which it was sampled, `[K]`.

        Raises:
            TypeError: the rows do not say how likely their tokens were.
        """
        if self.batch.sampled_K is None:
            raise TypeError(
                "An objective with importance weights needs rows with the log-probabilities of their sampler."
            )
        return (self.log_likelihoods_K - self.batch.sampled_K).exp()

    @cached_property
    def base_KV(self) -> Tensor:
        """The base's logits, without gradients and without dropout.

        Raises:
            TypeError: the objective's `needs_base` is not set.
        """
        if self.base is None:
            raise TypeError("An objective that uses the base's logits must set `needs_base`.")
        return self.base(self.batch)

    @cached_property
    def teacher_KV(self) -> Tensor:
        """The teacher's logits, without gradients and without dropout.

        Raises:
            TypeError: the objective's `teacher` is None.
        """
        if self.teacher is None:
            raise TypeError("An objective that uses a teacher's logits must set `teacher`.")
        return self.teacher(self.batch)


@contextmanager
def forwards(
    net: nn.Module, base: Reference | None, teacher: nn.Module | None, dtype: torch.dtype | None
) -> Iterator[tuple[Callable[[Batch], Forward], bool]]:
    """Gives the function that makes the `Forward` of a batch, and whether `net` can run flat batches.

    Args:
        net: the network that is trained.
        base: the same network before training, if the objective needs it.
        teacher: the teacher's network, if the objective has a teacher.
        dtype: dtype of matrix products (autocast); None: the dtype of the weights.
    """
    device = next(net.parameters()).device

    def cast(run: LogitsOf) -> LogitsOf:
        def casting(
            batch: Batch,
        ) -> Tensor:  # a context for each run, as an open autocast keeps its casts of the weights
            with torch.autocast(device.type, dtype, enabled=dtype is not None):
                return run(batch)

        return casting

    with ExitStack() as open_:
        logits, flat = open_.enter_context(logits_of(net))
        policy = cast(logits)
        base_logits = None if base is None else cast(partial(base.logits, logits))
        teacher_logits = None
        if teacher is not None:
            teacher_logits = cast(torch.no_grad()(open_.enter_context(logits_of(teacher))[0]))
        yield lambda batch: Forward(batch, policy, base_logits, teacher_logits), flat
