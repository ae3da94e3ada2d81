"""Products of matrices on a CPU through oneDNN, which on AMD processors is twice as fast as the library behind `torch.mm`.

One thread of an EPYC with AVX-512, 32 rows times a matrix of 576 x 3072, in billions of operations a second:

| | `torch.mm` | oneDNN | oneDNN, matrix packed |
| --- | --- | --- | --- |
| float32 | 69 | 146 | 234 |
| bfloat16 | 249 | 249 | 439 |

On an Intel Xeon MKL is 1.1 to 1.8 times as fast as oneDNN, but oneDNN gives both processors the same numbers (docs/statistics.md).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_USUAL_ROWS = 32
"""Number of rows for which a matrix is packed; the pack serves any number."""


def _operator(name: str) -> Any:
    """An operator of oneDNN, if this build of torch has it."""
    return getattr(torch.ops.mkldnn, name, None) if torch._C._has_mkldnn else None


_product, _pack = _operator("_linear_pointwise"), _operator("_reorder_linear_weight")


def times(x: Tensor, w: Tensor) -> Tensor:
    """`x` times the transpose of `w`: `[N, D]`, `[O, D]` to `[N, O]`."""
    if _product is not None and x.dtype == torch.float32 and x.numel() and w.numel():
        return _product(x, w, None, "none", [], "")  # type: ignore[no-any-return]
    return torch.mm(x, w.t())


class Packed:
    """A matrix `[O, D]` that many inputs are multiplied with: a copy in the order in which oneDNN reads it."""

    def __init__(self, w: Tensor) -> None:
        able = _product is not None and _pack is not None and w.dtype in (torch.float32, torch.bfloat16)
        self.packed = _pack(w.detach(), _USUAL_ROWS) if able else None
        self.plain = None if able else w.detach()

    def __call__(self, x: Tensor) -> Tensor:
        """`x` times the transpose of the matrix: `[N, D]` to `[N, O]`."""
        if self.plain is not None:
            return torch.mm(x, self.plain.t())
        return _product(x, self.packed, None, "none", [], "")  # type: ignore[no-any-return]


class Beside:
    """A packed matrix `[O, D]` with a low-rank part beside it, which is added to the product and never to the matrix: in 16 bits most
    small changes would be rounded away there."""

    def __init__(self, matrix: Packed, a: Tensor, b: Tensor) -> None:
        """`a`: `[R, D]`; `b`: `[O, R]`."""
        self.matrix, self.a, self.b = matrix, a.detach().t().contiguous(), b.detach().t().contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """`[N, D]` to `[N, O]`."""
        return self.matrix(x).addmm_(x @ self.a, self.b)
