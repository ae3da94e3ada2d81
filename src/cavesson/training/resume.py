"""The state of a training run on disk: written now and then, restored after a kill, exact to the last bit.

One safetensors file holds every tensor; the file's metadata holds all other state as JSON. The file is replaced atomically.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from cavesson.errors import StoreError
from cavesson.training.sharing import part_of, whole

STATE = "training.safetensors"

SAVE_EVERY_SECONDS = 30.0
SAVING_SHARE = 0.05
"""Share of the time that saving may take, so that large models are saved less often."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        step: optimizer steps done.
        cursor: number of examples taken from the training order.
        losses: one row per step: step, loss, learning rate, tokens.
    """

    step: int = 0
    cursor: int = 0
    losses: list[list[float]] = field(default_factory=list)


class Keeps(Protocol):
    """What keeps the state of a run."""

    def is_due(self) -> bool: ...
    def save(self, progress: Progress) -> None: ...
    def forget(self) -> None: ...


class Saver:
    """Keeps the state of one run in a folder.

    Args:
        folder: the folder of the state.
        run: name of the run; the state of another run is not restored.
        weights: the trained weights.
        optimizer: the optimizer of these weights.
        writes: whether this process writes the state; of several that share a training one does, and all of them call `save`.
    """

    def __init__(
        self,
        folder: Path,
        run: str,
        weights: dict[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
        writes: bool = True,
    ) -> None:
        self.folder, self.run, self.weights, self.optimizer, self.writes = folder, run, weights, optimizer, writes
        self.saved_at, self.seconds = time.monotonic(), 0.0

    def restore(self) -> Progress:
        """Restore the saved state of this run; returns its progress, or `Progress()` if there is no such state."""
        return load_state(self.folder, self.run, self.weights, self.optimizer) or Progress()

    def is_due(self) -> bool:
        """Whether it is time to save the state again."""
        return time.monotonic() - self.saved_at > max(SAVE_EVERY_SECONDS, self.seconds / SAVING_SHARE)

    def save(self, progress: Progress) -> None:
        """Write the state.

        Raises:
            StoreError: the disk is full, or the folder cannot be written.
        """
        start = time.monotonic()
        save_state(self.folder, self.run, progress, self.weights, self.optimizer, self.writes)
        self.saved_at = time.monotonic()
        self.seconds = self.saved_at - start

    def forget(self) -> None:
        """Remove the state, so that the run starts anew next time."""
        (self.folder / STATE).unlink(missing_ok=True)


def save_state(
    folder: Path,
    run: str,
    progress: Progress,
    weights: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    writes: bool = True,
) -> None:
    """Write weights, optimizer and progress of the run with fingerprint `run`.

    Raises:
        StoreError: the disk is full, or the folder cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    tree = {
        "run": run,
        "progress": {"step": progress.step, "cursor": progress.cursor, "losses": progress.losses},
        "weights": {name: _flatten(weight.detach(), tensors) for name, weight in weights.items()},
        "state": [_flatten(optimizer.state.get(weight), tensors) for weight in _parameters(optimizer)],
        "groups": [_flatten(_settings(group), tensors) for group in optimizer.param_groups],
    }
    if not writes:
        return
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"{STATE}.new"
    try:
        save_file(tensors, aside, metadata={"tree": json.dumps(tree)})
        aside.replace(folder / STATE)
    except (SafetensorError, OSError) as error:
        aside.unlink(missing_ok=True)
        raise StoreError(
            f"The state of a training run cannot be written to {str(folder)!r}: {error}", "Free some disk space."
        ) from error


def load_state(
    folder: Path, run: str, weights: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> Progress | None:
    """Put a saved state back into `weights` and `optimizer`; None if there is no readable state of this run."""
    if not (folder / STATE).is_file():
        return None
    try:
        with safe_open(folder / STATE, framework="pt") as file:
            tree = json.loads(file.metadata()["tree"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
    except SafetensorError:  # cut short by a power failure, for example: starting anew gives the same weights
        return None
    if tree["run"] != run:
        return None
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(_restore(tree["weights"][name], tensors, weight))
    for weight, state in zip(_parameters(optimizer), tree["state"], strict=True):
        restored = _restore(state, tensors, weight)
        if restored is not None:
            optimizer.state[weight] = restored
    for group, settings in zip(optimizer.param_groups, tree["groups"], strict=True):
        group.update(_restore(settings, tensors, group["params"][0]))
    return Progress(**tree["progress"])


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


def _flatten(value: Any, tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON values; its tensors are moved into `tensors`.

    The order of a tensor's dimensions in memory is kept too, because a sum in another order rounds differently.
    """
    if isinstance(value, Tensor):
        value = whole(value)
        strides = value.stride()
        order = sorted(range(value.dim()), key=lambda dim: -strides[dim])
        name = str(len(tensors))
        tensors[name] = value.detach().permute(order).to("cpu", copy=True).contiguous()
        return {"tensor": name, "order": order, "cpu": value.device.type == "cpu"}
    if isinstance(value, dict):
        return {"dict": [[key, _flatten(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_flatten(item, tensors) for item in value]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"An optimizer keeps a {type(value).__name__}, which cannot be written to a training state.")


def _restore(value: Any, tensors: dict[str, Tensor], weight: Tensor) -> Any:
    """The value that `_flatten` turned into JSON values; tensors where the weight is, and divided as it is."""
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        inverse = sorted(range(len(value["order"])), key=value["order"].__getitem__)
        tensor = tensors[value["tensor"]].to("cpu" if value["cpu"] else weight.device).permute(inverse)
        return part_of(tensor, weight)
    if "dict" in value:
        return {key: _restore(item, tensors, weight) for key, item in value["dict"]}
    ((kind, items),) = value.items()
    restored = [_restore(item, tensors, weight) for item in items]
    return tuple(restored) if kind == "tuple" else restored
