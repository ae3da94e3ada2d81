"""A training that several processes share: torch's FSDP2 divides weights, gradients and optimizer states among them.

Each process runs the same loop on its share of every batch's examples. Gradients are summed, so the losses are those of one process
up to rounding. The processes are the ranks of a process group that `cavesson.lab.rank` opens; without one a training is not shared,
and every function here does what one process needs.

FSDP2: Zhao et al. 2023, "PyTorch FSDP", and https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from cavesson.errors import ConfigError, Stopped
from cavesson.training.batches import Batch, Row

Net = TypeVar("Net", bound=nn.Module)

Part = tuple[Batch, float]
"""A batch, and a factor on its loss: 0 where a process has less to do than another, and keeps it company."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of how many processes this one is.

    Attributes:
        rank: from 0; rank 0 alone writes, scores and reports.
        count: number of processes; 1: the training is not shared.
    """

    rank: int = 0
    count: int = 1

    def divide(self, net: Net) -> Net | None:
        """Divide the weights of a network among the processes, block by block; they move to this process's device.

        Returns:
            on rank 0 a whole copy of the network, for `gather`; else None.
        """
        if self.count == 1:
            return net
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        whole_net = copy.deepcopy(net) if self.rank == 0 else None
        device = "cuda" if torch.cuda.is_available() else "cpu"
        mesh = init_device_mesh(device, (self.count,))
        for block in _blocks(net):
            fully_shard(block, mesh=mesh)
        fully_shard(net, mesh=mesh, reshard_after_forward=True)
        return whole_net

    def gather(self, net: nn.Module, whole_net: Net | None) -> Net | None:
        """Put the divided weights together, into the whole copy on rank 0; all ranks have to call this at the same time."""
        if self.count == 1:
            return whole_net
        goals = {} if whole_net is None else dict(whole_net.named_parameters())
        with torch.no_grad():
            for name, weight in net.named_parameters():
                if weight.requires_grad:
                    full = whole(weight.detach())
                    if name in goals:
                        goals[name].copy_(full)
        return whole_net

    def rows(self, rows: Sequence[Row], pairs: bool) -> tuple[list[Row], float]:
        """This process's share of the rows of a batch, and the factor on its loss: 0 for rows that are there for company alone.

        Args:
            pairs: two rows each belong together.
        """
        size = 2 if pairs else 1
        units = [rows[start : start + size] for start in range(0, len(rows), size)]
        mine = units[self.rank :: self.count]
        return [row for unit in mine or units[:1] for row in unit], float(bool(mine))

    def parts(self, pieces: Iterable[Batch], factor: float, spare: Batch) -> list[Part]:
        """The pieces of a batch with a factor each; as many on every rank, for a network is put together for each.

        Args:
            spare: runs with the factor 0 where there are too few pieces.
        """
        found = [(piece, factor) for piece in pieces]
        if self.count == 1:
            return found
        most = torch.tensor(len(found))
        distributed.all_reduce(most, distributed.ReduceOp.MAX, group=_on_cpu())
        return found + [(spare, 0.0)] * (int(most) - len(found))

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of this process's share of a loss; FSDP2 averages over processes, and the loss is a sum."""
        (loss * self.count if self.count > 1 else loss).backward()  # type: ignore[no-untyped-call]

    def total(self, share: Tensor) -> float:
        """The sum of a scalar on the CPU over all processes."""
        if self.count > 1:
            distributed.all_reduce(share, group=_on_cpu())
        return share.item()

    def first(self, act: Callable[[], None]) -> None:
        """Let rank 0 do something while the others wait.

        Raises:
            Stopped: on every rank, if `act` raised it on rank 0.
        """
        if self.count == 1:
            act()
            return
        stopped = torch.zeros((), dtype=torch.int64)
        if self.rank == 0:
            try:
                act()
            except Stopped:
                stopped += 1
        distributed.broadcast(stopped, 0, group=_on_cpu())
        if stopped:
            raise Stopped


def ranks_of(processes: int, what: str) -> Ranks:
    """The processes that share the training in this one.

    Raises:
        ConfigError: they are not as many as the training says.
    """
    grouped = distributed.is_available() and distributed.is_initialized()
    found = Ranks(distributed.get_rank(), distributed.get_world_size()) if grouped else Ranks()
    if found.count != processes:
        raise ConfigError(
            f"{what} is to be shared by {processes} processes, and {found.count} of them run.",
            "Make the recipe through a lab or `cavesson run`, which start the processes, or set `processes: 1`.",
        )
    return found


def whole(tensor: Tensor) -> Tensor:
    """A tensor with all its parts; all ranks have to call this at the same time. A tensor that is not divided is given back."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def own_part(tensor: Tensor) -> Tensor:
    """This process's part of a divided tensor, in place; a tensor that is not divided is given back."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def part_of(tensor: Tensor, weight: Tensor) -> Tensor:
    """This process's part of a whole tensor, divided like a weight of its shape; tensors of other shapes are not divided."""
    if not isinstance(weight, DTensor) or tensor.shape != weight.shape:
        return tensor
    return distribute_tensor(tensor, weight.device_mesh, weight.placements)


def _blocks(net: nn.Module) -> list[nn.Module]:
    """The blocks of a network that transformers keeps together (a layer with its residual stream), in the order of its modules.

    Raises:
        ConfigError: the architecture does not say which they are.
    """
    names: Any = getattr(net, "_no_split_modules", None) or getattr(
        getattr(net, "base_model", None), "_no_split_modules", None
    )
    found = [module for module in net.modules() if type(module).__name__ in set(names or ())]
    if not found:
        raise ConfigError(
            f"{type(net).__name__} does not say which blocks it has, so several processes cannot share its training.",
            "Set `processes: 1`.",
        )
    return found


_GROUPS: list[Any] = []


def _on_cpu() -> Any:
    """The process group that sums numbers on the CPU."""
    if distributed.get_backend() == "gloo":
        return None
    if not _GROUPS:
        _GROUPS.append(distributed.new_group(backend="gloo"))
    return _GROUPS[0]
