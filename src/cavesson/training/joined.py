"""Linear layers with the same input as one matrix: fewer, larger products, with an adapter's factors as further rows.

The written-out Llama (`cavesson.training.llama`) is made of such groups; its legend of shape suffixes holds here too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cavesson.models.linear import weights_of
from cavesson.models.products import times


@dataclass(frozen=True, slots=True)
class Part:
    """Where a linear layer's weights stand among all weights: its matrix, and an adapter's two factors and scale."""

    weight: int
    a: int = -1
    b: int = -1
    scale: float = 0.0


def _part(layer: Any, number: Callable[[Tensor], int]) -> Part:
    weight, adapter = weights_of(layer)
    if adapter is None:
        return Part(number(weight))
    return Part(number(weight), number(adapter.a), number(adapter.b), adapter.scale)


class Group:
    """Linear layers with the same input, whose weights stand in one matrix, after a norm or without.

    Args:
        parts: the layers.
        norm: number of the norm's weight.
        sizes: number of outputs of each layer.
    """

    def __init__(self, parts: list[Part], norm: int | None, sizes: list[int]) -> None:
        self.parts, self.norm = parts, norm
        self.outputs = sum(sizes)
        starts = [sum(sizes[:k]) for k in range(len(sizes))]
        self.order: list[_Rows] = [_Rows(start, size) for start, size in zip(starts, sizes, strict=True)]
        self.frozen: dict[torch.dtype, Tensor] = {}  # the matrix of weights that are not trained, prepared once

    @classmethod
    def of(cls, norm: int | None, layers: Sequence[Any], number: Callable[[Tensor], int]) -> Group:
        """The group of some layers of a network, with their adapters; `number` takes a weight in and gives its number."""
        return cls([_part(layer, number) for layer in layers], norm, [int(layer.out_features) for layer in layers])

    def of_heads(self, heads: int, key_heads: int, width: int) -> Group:
        """The same group of query, key and value, with rows in the order that `_attend` expects."""
        shared = heads // key_heads
        self.order = [
            _HeadRows(key_heads, shared + 2, width, 0, shared, True),
            _HeadRows(key_heads, shared + 2, width, shared, shared + 1, True),
            _HeadRows(key_heads, shared + 2, width, shared + 1, shared + 2, False),
        ]
        return self

    def numbers(self) -> list[int]:
        """The numbers of all weights of the group."""
        own = [k for part in self.parts for k in (part.weight, part.a, part.b) if k >= 0]
        return own if self.norm is None else [*own, self.norm]

    def ready(self, weights: Sequence[Tensor], trained: Sequence[bool], dtype: torch.dtype) -> Ready:
        """The matrices for one pass."""
        return Ready(self, weights, trained, dtype)


class _Rows:
    """The rows of a group's matrix that belong to one layer: consecutive ones."""

    def __init__(self, start: int, size: int) -> None:
        self.start, self.size = start, size

    def of(self, matrix: Tensor) -> Tensor:
        """These rows of a group's matrix, as a view that is shaped like `shaped`."""
        return matrix[self.start : self.start + self.size]

    def shaped(self, weight: Tensor) -> Tensor:
        """The layer's own matrix as a view with rows in the group's order."""
        return weight


class _HeadRows(_Rows):
    """The rows of query, key or value: for each key head its queries, its key and its value follow each other.

    Inside a turned head, the two numbers that a rotary position turns together stand beside each other.
    """

    def __init__(self, key_heads: int, slots: int, width: int, first: int, end: int, turned: bool) -> None:
        self.key_heads, self.slots, self.width, self.first, self.end = key_heads, slots, width, first, end
        self.turned = turned

    def of(self, matrix: Tensor) -> Tensor:
        rows = self.key_heads * self.slots * self.width
        by_head = matrix[:rows].view(self.key_heads, self.slots, self.width // 2, 2, matrix.shape[1])
        return by_head[:, self.first : self.end]

    def shaped(self, weight: Tensor) -> Tensor:
        each = self.end - self.first
        if self.turned:
            return weight.view(self.key_heads, each, 2, self.width // 2, weight.shape[1]).transpose(2, 3)
        return weight.view(self.key_heads, each, self.width // 2, 2, weight.shape[1])


class Ready:
    """A group's matrices for one pass.

    With an adapter in fp32 the matrix is `W + scale B A`. In bf16 an adapter's small change of W would be lost in rounding,
    so its product is added instead.
    """

    def __init__(self, group: Group, weights: Sequence[Tensor], trained: Sequence[bool], dtype: torch.dtype) -> None:
        self.group, self.weights, self.trained = group, weights, trained
        first = weights[group.parts[0].weight]
        self.columns = first.shape[1]
        self.adapted = [n for n, part in enumerate(group.parts) if part.a >= 0]
        self.merged = dtype == torch.float32
        ranks = [weights[group.parts[n].a].shape[0] for n in self.adapted]
        self.ranks = [slice(sum(ranks[:k]), sum(ranks[: k + 1])) for k in range(len(ranks))]
        outputs = group.outputs
        rows = outputs + -(-sum(ranks) // 8) * 8
        norm = None if group.norm is None else weights[group.norm]
        if self.adapted:
            self.up_OR = torch.zeros(outputs, rows - outputs)
            for n, ranks_ in zip(self.adapted, self.ranks, strict=True):
                part, order = group.parts[n], group.order[n]
                torch.mul(order.shaped(weights[part.b]), part.scale, out=order.of(self.up_OR)[..., ranks_])
        own = [part.weight for part in group.parts] + ([] if group.norm is None else [group.norm])
        kept = not any(weights[k].requires_grad for k in own) and not (self.adapted and self.merged)
        matrix = group.frozen.get(dtype) if kept else None
        if matrix is None:
            matrix = self._matrix(rows, norm)
            matrix = matrix if self.adapted and self.merged else matrix.to(dtype)
            if kept:
                group.frozen[dtype] = matrix
        if self.adapted:
            down_RD = torch.zeros(rows - outputs, self.columns)
            for n, ranks_ in zip(self.adapted, self.ranks, strict=True):
                a = weights[group.parts[n].a]
                torch.mul(a, 1.0 if norm is None else norm, out=down_RD[ranks_])
            self.down_RD = down_RD.to(
                dtype
            )  # the rows in `matrix` change when the same network runs with other weights
            matrix[outputs:] = self.down_RD
            if self.merged:
                matrix[:outputs].addmm_(self.up_OR, down_RD)
            else:
                self.up_OR = self.up_OR.to(dtype)
        self.matrix = matrix

    def _matrix(self, rows: int, norm: Tensor | None) -> Tensor:
        """The layers' matrices, times the norm's weight, below each other; room for an adapter's rows follows."""
        group, weights = self.group, self.weights
        if len(group.parts) == 1 and norm is None and not self.adapted:
            return weights[group.parts[0].weight].detach()
        matrix = torch.empty(rows, self.columns)
        for part, order in zip(group.parts, group.order, strict=True):
            weight, goal = order.shaped(weights[part.weight]), order.of(matrix)
            if norm is None:
                goal.copy_(weight)
            else:
                torch.mul(weight, norm, out=goal)
        return matrix

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The outputs `[N, O]`, and the adapter's inner values `[N, R]`."""
        y = times(x, self.matrix)
        if not self.adapted:
            return y, None
        y, h = y[:, : self.group.outputs], y[:, self.group.outputs :]
        return (y if self.merged else y.addmm_(h, self.up_OR.t())), h

    def backward(
        self, g: Tensor, x: Tensor, h: Tensor | None, found: list[Tensor | None], further: bool = True
    ) -> Tensor:
        """The input's gradient (if `further`, else something without meaning); weights' gradients are put into `found`."""
        outputs = self.group.outputs
        if self.adapted:
            assert h is not None
            u = times(g, self.up_OR.t())
            self._adapter_gradients(g, x, h, u, found)
            if not further:
                return g
            dx = times(g, self.matrix[:outputs].t())
            return dx if self.merged else dx.addmm_(u, self.down_RD)
        self._weight_gradients(g, x, found)
        return times(g, self.matrix.t()) if further else g

    def _weight_gradients(self, g: Tensor, x: Tensor, found: list[Tensor | None]) -> None:
        group = self.group
        norm = None if group.norm is None else group.norm
        if not any(self.trained[k] for k in group.numbers()):
            return
        d_matrix = _outer(g, x).float()
        plain = norm is None and len(group.parts) == 1
        for part, order in zip(group.parts, group.order, strict=True):
            weight = self.weights[part.weight]
            if plain:
                found[part.weight] = d_matrix
                continue
            d_weight = order.of(d_matrix)
            if norm is not None and self.trained[norm]:
                of_part = (d_weight * order.shaped(weight)).flatten(0, -2).sum(0)
                known = found[norm]
                found[norm] = of_part if known is None else known.add_(of_part)
            if self.trained[part.weight]:
                result = torch.empty_like(weight)
                if norm is None:
                    order.shaped(result).copy_(d_weight)
                else:
                    torch.mul(d_weight, self.weights[norm], out=order.shaped(result))
                found[part.weight] = result

    def _adapter_gradients(self, g: Tensor, x: Tensor, h: Tensor, u: Tensor, found: list[Tensor | None]) -> None:
        group = self.group
        d_down = _outer(u, x).float()
        d_up = _outer(g, h).float()
        for n, ranks in zip(self.adapted, self.ranks, strict=True):
            part, order = group.parts[n], group.order[n]
            if self.trained[part.a]:
                d_a = d_down[ranks]
                found[part.a] = d_a.contiguous() if group.norm is None else d_a * self.weights[group.norm]
            if self.trained[part.b]:
                d_b = torch.empty_like(self.weights[part.b])
                torch.mul(order.of(d_up)[..., ranks], part.scale, out=order.shaped(d_b))
                found[part.b] = d_b


def _outer(g: Tensor, x: Tensor) -> Tensor:
    """The gradient of a matrix: the sum over rows of `g` times `x`: `[N, O]`, `[N, D]` to `[O, D]`."""
    if g.shape[1] > x.shape[1]:
        return times(x.t(), g.t()).t().contiguous()
    return times(
        g.t(), x.contiguous().t()
    )  # a strided `x` would take oneDNN's reference kernel, hundreds of times slower
