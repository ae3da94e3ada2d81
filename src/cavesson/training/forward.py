"""What models say about a batch: the one that is trained, the one it was before, and a teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from cavesson.training.batches import Batch
from cavesson.training.flat import LogitsOf, logits_of
from cavesson.training.reference import Reference


@dataclass(frozen=True)
class Forward:
    """Logits at the trained positions of one batch, `[K, V]` of each model, computed when first asked for, once.

    Args:
        policy: runs the network that is trained.
        base: runs the network as it was before this training; None: no objective asks for it.
        teacher: runs the teacher; None: there is none.
    """

    batch: Batch
    policy: LogitsOf
    base: LogitsOf | None = None
    teacher: LogitsOf | None = None

    @cached_property
    def policy_KV(self) -> Tensor:
        """With gradients."""
        return self.policy(self.batch)

    @cached_property
    def base_KV(self) -> Tensor:
        """Without gradients and without dropout.

        Raises:
            TypeError: the objective did not say that it needs the base.
        """
        if self.base is None:
            raise TypeError("An objective that asks for the base's logits says so: `needs_base`.")
        return self.base(self.batch)

    @cached_property
    def teacher_KV(self) -> Tensor:
        """Without gradients and without dropout.

        Raises:
            TypeError: the objective names no teacher.
        """
        if self.teacher is None:
            raise TypeError("An objective that asks for a teacher's logits names the model: `teacher`.")
        return self.teacher(self.batch)


@contextmanager
def forwards(
    net: nn.Module, base: Reference | None, teacher: nn.Module | None, dtype: torch.dtype | None
) -> Iterator[tuple[Callable[[Batch], Forward], bool]]:
    """Gives what makes a batch's `Forward`, and whether the network takes batches flat.

    Args:
        net: the network that is trained.
        base: the same before training.
        teacher: another network.
        dtype: that of products (autocast); None for the weights' own.
    """
    device = next(net.parameters()).device

    def cast(run: LogitsOf) -> LogitsOf:
        def casting(batch: Batch) -> Tensor:  # a context for each run: autocast keeps the weights that it has cast
            with torch.autocast(device.type, dtype, enabled=dtype is not None):
                return run(batch)

        return casting

    with ExitStack() as open_:
        logits, flat = open_.enter_context(logits_of(net))
        policy = cast(logits)
        before = None if base is None else cast(partial(base.logits, logits))
        taught = None
        if teacher is not None:
            taught = cast(torch.no_grad()(open_.enter_context(logits_of(teacher))[0]))
        yield lambda batch: Forward(batch, policy, before, taught), flat
