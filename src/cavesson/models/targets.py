"""Which matrices of a network an adapter changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from cavesson.errors import ConfigError, nearest

ALL_LINEAR = "all-linear"


@dataclass(frozen=True, slots=True)
class Targets:
    """Names of what an adapter changes.

    Attributes:
        modules: linear layers (or embeddings) that are modules of their own.
        parameters: matrices that a larger module holds as parameters: the stacked experts of a mixture [experts, …, …], and
            its router [experts, width].
    """

    modules: tuple[str, ...]
    parameters: tuple[str, ...]


def targets_in(net: PreTrainedModel, wanted: str | tuple[str, ...]) -> Targets:
    """What an adapter with these targets changes in a network.

    Args:
        wanted: "all-linear", or names, or ends of names after a dot, of linear layers and experts' matrices.

    Raises:
        ConfigError: a name fits nothing in this network that an adapter can change; or a target is tied to another weight.
    """
    if wanted == ALL_LINEAR:
        return Targets(tuple(_linear(net)), tuple(_bare_matrices(net)))
    names = (wanted,) if isinstance(wanted, str) else wanted
    known, bare = [*_linear(net, every=True), *_embeddings(net)], list(_bare_matrices(net))
    found = Targets(*(tuple(one for one in some if any(_fits(one, name) for name in names)) for some in (known, bare)))
    for name in names:
        if not any(_fits(one, name) for one in (*found.modules, *found.parameters)):
            raise ConfigError(
                f"The adapter's target {name!r} is no linear layer of this model.",
                _hint(name, {_last(one) for one in (*known, *bare)}),
            )
    _refuse_half_of_the_experts(names, found, bare)
    refuse_tied(net, found.modules)
    return found


def left_out(net: PreTrainedModel) -> tuple[str, ...]:
    """Last names of the matrices and convolutions that "all-linear" does not change, embeddings and output head apart."""
    changed = targets_in(net, ALL_LINEAR)
    head = net.get_output_embeddings()
    spared = {f"{name}.weight" for name in (*changed.modules, *_embeddings(net))} | set(changed.parameters)
    spared |= {f"{name}.weight" for name, module in net.named_modules() if module is head}
    names = (name for name, weight in net.named_parameters() if weight.ndim > 1 and name not in spared)
    return tuple(sorted({_last(name) for name in names if not name.endswith("bias")}))


def _linear(net: PreTrainedModel, every: bool = False) -> Iterator[str]:
    """Linear layers; without `every` those that "all-linear" means, which leaves the output head out."""
    head, past = net.get_output_embeddings(), set(_taken_by_kernels(net))
    for name, module in net.named_modules():
        if _is_linear(module) and name not in past and (every or module is not head):
            yield name


def _is_linear(module: nn.Module) -> bool:
    """Whether a module is a linear layer and nothing more; some routers are linear layers with a forward pass of their own."""
    return isinstance(module, Conv1D) or (isinstance(module, nn.Linear) and type(module).forward is nn.Linear.forward)


def _taken_by_kernels(net: PreTrainedModel) -> Iterator[str]:
    """Projections whose weight a Mamba layer, or its fused kernel, takes for itself: an adapter would have no effect."""
    for name, module in net.named_modules():
        if hasattr(module, "A_log") and hasattr(module, "D"):
            yield from (f"{name}.out_proj", f"{name}.dt_proj")


def _bare_matrices(net: PreTrainedModel) -> Iterator[str]:
    """Experts' stacked matrices, and routers that are no plain linear layers."""
    for name, module in net.named_modules():
        if type(module).__module__.startswith("torch.") or isinstance(module, nn.Embedding) or _is_linear(module):
            continue
        for own, weight in module.named_parameters(recurse=False):
            if _is_stack(own, weight) or (own == "weight" and weight.ndim == 2):
                yield f"{name}.{own}"


def _is_stack(name: str, weight: Tensor) -> bool:
    return weight.ndim == 3 and min(weight.shape[1:]) > 1 and not name.endswith("bias")


def _embeddings(net: PreTrainedModel) -> Iterator[str]:
    return (name for name, module in net.named_modules() if isinstance(module, nn.Embedding))


def _fits(full: str, name: str) -> bool:
    """Whether a name, or the end of a name, means this layer or parameter; a parameter `weight` goes by its module's name."""
    return any(one == name or one.endswith(f".{name}") for one in (full, full.removesuffix(".weight")))


def _last(name: str) -> str:
    return name.removesuffix(".weight").rpartition(".")[2]


def _hint(name: str, known: set[str]) -> str:
    named = {one for one in known if not one.isdigit()} | {ALL_LINEAR}
    return nearest(name.lower(), named)


def _refuse_half_of_the_experts(names: tuple[str, ...], found: Targets, bare: list[str]) -> None:
    """Refuse `gate_proj` or `up_proj` alone where the experts hold both as one matrix: the experts would be left out."""
    fused = [one for one in bare if one.endswith(".gate_up_proj")]
    if fused and fused[0] not in found.parameters and (half := {"gate_proj", "up_proj"} & set(names)):
        raise ConfigError(
            f"The adapter's target {min(half)!r} leaves out the experts, whose gate and up projections are one matrix.",
            "Name gate_up_proj as well; or, without the experts, the end of the layers' full names (shared_expert.up_proj).",
        )


def refuse_tied(net: PreTrainedModel, modules: tuple[str, ...]) -> None:
    """Refuse targets that share their weight with another module: merging would change both.

    Raises:
        ConfigError: a target is tied.
    """
    holders: dict[int, list[str]] = {}
    for name, module in net.named_modules(remove_duplicate=False):
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter):
            holders.setdefault(id(weight), []).append(name)
    for names in holders.values():
        for name in names:
            if len(names) > 1 and name in modules:
                other = next(one for one in names if one != name)
                raise ConfigError(
                    f"The adapter's target {name!r} shares its weight with {other!r}: merging would change both.",
                    "Leave it out, or untie the model first (tie_word_embeddings=False, the head a copy) and save it.",
                )


@torch.no_grad()
def without_effect(net: PreTrainedModel, targets: Targets) -> set[str]:
    """The targets whose weight the network reads past the module that holds it, so that an adapter would have no effect.

    A pass over two tokens shows them: an adapter changes what a module gives back, not the weight itself.
    """
    holders = {name: name for name in targets.modules} | {name: name.rpartition(".")[0] for name in targets.parameters}
    weights = {id(net.get_parameter(f"{name}.weight")): name for name in targets.modules}
    weights |= {id(net.get_parameter(name)): name for name in targets.parameters}
    running: list[str] = []

    def enter(name: str) -> Callable[..., None]:
        return lambda *_: running.append(name)

    def leave(*_: object) -> None:
        running.pop()

    hooks = [
        hook
        for name in set(holders.values())
        for module in [net.get_submodule(name)]
        for hook in (module.register_forward_pre_hook(enter(name)), module.register_forward_hook(leave))
    ]
    watch = _Watch(weights, lambda name: holders[name] in running)
    try:
        with watch:
            net(torch.tensor([[0, 1]], device=net.device), use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return watch.past


class _Watch(TorchFunctionMode):
    """Notes which weights torch's functions are given while the module that holds them is not running."""

    def __init__(self, weights: dict[int, str], is_running: Callable[[str], bool]) -> None:
        super().__init__()
        self.weights, self.is_running = weights, is_running
        self.past: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        looks_only = func.__name__ == "__get__" and func.__self__.__name__ not in ("T", "mT", "data")  # a shape, a type
        for value in () if looks_only else (*args, *(kwargs or {}).values()):
            name = self.weights.get(id(value))
            if name is not None and not self.is_running(name):
                self.past.add(name)
        return func(*args, **(kwargs or {}))
