"""Optimizers by their published names, and learning-rate schedules.

AdamW, Adam and SGD are torch's own; every other name is looked up in pytorch-optimizer (SOAP, Muon, Lion …).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cavesson.errors import ConfigError, nearest

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

TORCH = ("adamw", "adam", "sgd")
"""Names of torch's own optimizers."""

COMMON = (*TORCH, "soap", "muon", "lion")
"""Names that are accepted without loading pytorch-optimizer, so that a study file is read quickly."""

UNUSABLE = {
    "adahessian": "needs second derivatives",
    "sophiah": "needs second derivatives",
    "alig": "needs to evaluate the loss several times a step",
    "bsam": "needs to evaluate the loss several times a step",
    "lbfgs": "needs to evaluate the loss several times a step",
    "lomo": "updates weights during the backward pass",
    "adalomo": "updates weights during the backward pass",
    "adammini": "needs the model's layout",
    "lorarite": "needs pairs of adapter factors",
    "spectralsphere": "takes matrices only",
    "ranger21": "brings its own schedule",
    "demo": "needs several machines",
    "distributedmuon": "needs several machines",
}
"""Optimizers of pytorch-optimizer that a plain training loop cannot use, each with the reason."""


def check_name(name: str) -> None:
    """Refuse an optimizer that does not exist or cannot be used here.

    Raises:
        ConfigError: there is no such optimizer, or a plain training loop cannot use it.
    """
    if name in COMMON:
        return
    from pytorch_optimizer import get_supported_optimizers

    if name in UNUSABLE:
        raise ConfigError(f"The optimizer {name!r} {UNUSABLE[name]}.", "Use adamw, sgd, soap, muon or lion.")
    fit = {*TORCH, *get_supported_optimizers()} - set(UNUSABLE)
    if name not in fit:
        raise ConfigError(f"There is no optimizer {name!r}.", nearest(name, fit))


def optimizer_for(
    net: nn.Module, name: str, *, lr: float, weight_decay: float = 0.0, betas: tuple[float, float] | None = None
) -> Optimizer:
    """An optimizer over the trainable weights of `net`.

    Vectors (biases, norms) have no weight decay, as is usual. Optimizers like Muon orthogonalise the updates of hidden
    matrices only. They use AdamW at the same `lr` for embeddings, output head and vectors, and the updates of matrices are
    scaled to AdamW's size (Liu et al. 2025, "Muon is scalable for LLM training", section 2.2), so that one `lr` fits both.

    Optimizers like SOAP do not precondition the vocabulary's side of embeddings. In models with an ordinary vocabulary their
    own size limit has this effect; with a small vocabulary that side would cost more than all other weights.

    Args:
        net: the model.
        name: as in `check_name`.
        lr: learning rate at the schedule's peak.
        weight_decay: weight decay of matrices; decoupled if the optimizer decouples weight decay.
        betas: decay of the moments; None: the optimizer's defaults.

    Raises:
        ConfigError: the name is unknown, or the optimizer takes no betas.
    """
    import torch

    check_name(name)
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    if name in TORCH:
        kind: Any = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}[name]
        options: dict[str, Any] = {"lr": lr, "fused": True}  # one kernel for all weights: faster for small models
    else:
        from pytorch_optimizer import load_optimizer

        kind, options = load_optimizer(name), {"lr": lr}
    accepted = inspect.signature(kind.__init__).parameters
    if betas is not None and "betas" not in accepted:
        raise ConfigError(f"The optimizer {name!r} takes no betas.", "Leave `betas` out.")
    if betas is not None:
        options["betas"] = betas
    if "adamw_lr" in accepted:
        return kind(_muon_groups(net, weights, lr, weight_decay), **options, use_adjusted_lr=True)  # type: ignore[no-any-return]
    vocabulary = _vocabulary_weights(net)
    groups: list[dict[str, Any]] = [
        {"params": [w for w in weights if w.ndim >= 2 and id(w) not in vocabulary], "weight_decay": weight_decay},
        {"params": [w for w in weights if w.ndim >= 2 and id(w) in vocabulary], "weight_decay": weight_decay},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    if "max_precondition_dim" in accepted and groups[1]["params"]:
        largest = accepted["max_precondition_dim"].default
        groups[1]["max_precondition_dim"] = min([largest, *(w.shape[0] - 1 for w in groups[1]["params"])])
    return kind([group for group in groups if group["params"]], **options)  # type: ignore[no-any-return]


def _vocabulary_weights(net: Any) -> set[int]:
    """Python ids of the weights of the embedding and the output head."""
    layers = (net.get_input_embeddings(), net.get_output_embeddings())
    return {id(layer.weight) for layer in layers if layer is not None}


def _muon_groups(net: Any, weights: list[nn.Parameter], lr: float, weight_decay: float) -> list[dict[str, Any]]:
    vocabulary = _vocabulary_weights(net)
    hidden = [weight for weight in weights if weight.ndim >= 2 and id(weight) not in vocabulary]
    rest = [weight for weight in weights if weight.ndim < 2 or id(weight) in vocabulary]
    groups = [
        {"params": hidden, "lr": lr, "weight_decay": weight_decay, "use_muon": True},
        {"params": rest, "lr": lr, "weight_decay": 0.0, "use_muon": False},
    ]
    return [group for group in groups if group["params"]]


Schedule = Callable[[float], float]
"""A function from the share of the run done after warm-up, in [0, 1), to a factor on the learning rate."""

DECAY_SHARE = 0.3
"""Share of the run, at its end, over which "wsd" (warm-up, stable, decay) lowers the learning rate to zero."""

RAMP = 1e-5
"""Where "ramp" begins, as a share of the learning rate that it rises to."""

SCHEDULES: dict[str, Schedule] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
    "wsd": lambda done: min(1.0, (1.0 - done) / DECAY_SHARE),
    "ramp": lambda done: RAMP ** (1.0 - done),
}
"""Every schedule by its name in recipes."""


def factor_at(schedule: str, step: int, steps: int, warmup: int) -> float:
    """Factor on the learning rate at step number `step`, counted from 0."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return SCHEDULES[schedule]((step - warmup) / max(1, steps - warmup))
