"""Linear layers of a network on which sampling and training have passes of their own: a matrix, beside it a plain LoRA or none."""

from __future__ import annotations

from typing import Any, NamedTuple

from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn


class Factors(NamedTuple):
    """A low-rank adapter of a layer of D inputs and O outputs: it adds `scale` times `b` times `a` to the matrix."""

    a: Tensor  # [R, D]
    b: Tensor  # [O, R]
    scale: float


def is_plain(layer: nn.Module) -> bool:
    """Whether a layer is a product with a matrix, or such a layer with one active plain LoRA."""
    if not isinstance(layer, LoraLinear):
        return type(layer) is nn.Linear and layer.bias is None
    if len(layer.active_adapters) != 1 or layer.active_adapters[0] not in layer.lora_A:
        return False
    name = layer.active_adapters[0]
    return (
        type(layer.base_layer) is nn.Linear
        and layer.base_layer.bias is None
        and not layer.merged
        and not layer.disable_adapters
        and not layer.fan_in_fan_out
        and name not in getattr(layer, "lora_variant", {})
        and not getattr(layer, "lora_magnitude_vector", None)
        and type(layer.lora_dropout[name]) is nn.Identity
        and layer.lora_B[name].bias is None
    )


def weights_of(layer: Any) -> tuple[Tensor, Factors | None]:
    """The matrix `[O, D]` of a plain layer, and its adapter."""
    if not isinstance(layer, LoraLinear):
        return layer.weight, None
    (name,) = layer.active_adapters
    return layer.base_layer.weight, Factors(layer.lora_A[name].weight, layer.lora_B[name].weight, layer.scaling[name])
