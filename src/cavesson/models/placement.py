"""Where a model's weights lie that only answers: on a device by name, or spread over several GPUs (accelerate's `device_map`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from cavesson.errors import ConfigError
from cavesson.lab.documents import path_named
from cavesson.models.weights import read_json

SPREAD = ("auto", "balanced", "sequential")
"""Ways to spread weights: evenly over all GPUs (the first two), or one GPU filled after the other."""

DeviceMap = dict[str, int | str]
"""Part of the network, such as `model.layers.3` ("": all of it) → device."""


def placement(
    net: PreTrainedModel, wanted: str, dtype: torch.dtype, name: str, memory: dict[int | str, int] | None = None
) -> DeviceMap:
    """Which part of a network goes to which device.

    Args:
        net: the network; it may be without weights.
        wanted: one of `SPREAD`, torch's name of a device, or a JSON file that maps every part to a device.
        dtype: type of the weights in memory.
        name: of the model, for messages.
        memory: free bytes by GPU number and "cpu"; None: as they are on this machine.

    Raises:
        ConfigError: there is no such device or file, the file leaves a part out, or the weights do not fit on the GPUs: parts on the
            CPU or on disk would be moved to a GPU for every token.
    """
    if wanted in SPREAD:
        found = _spread(net, wanted, dtype, memory)
    elif wanted.endswith(".json"):
        found = _from_file(net, path_named(wanted))
    else:
        found = {"": _device(wanted)}
    away = [part for part, device in found.items() if str(device) in ("cpu", "disk")]
    if "disk" in found.values() or 0 < len(away) < len(found):
        raise ConfigError(
            f"The model {name!r} does not fit on the GPUs by device_map={wanted}: {len(away)} of {len(found)} parts, such as {away[0]!r}, "
            "would lie on the CPU or on disk, and move to a GPU for every token.",
            "Use dtype=bfloat16, more GPUs or a smaller model; or device_map=cpu.",
        )
    return found


def _spread(net: PreTrainedModel, wanted: str, dtype: torch.dtype, memory: dict[int | str, int] | None) -> DeviceMap:
    from accelerate import infer_auto_device_map
    from accelerate.utils import get_balanced_memory, get_max_memory

    whole: Any = net._no_split_modules or []
    options: dict[str, Any] = {"no_split_module_classes": list(whole), "dtype": dtype}
    room = get_max_memory(memory)
    if wanted != "sequential":
        room = get_balanced_memory(net, max_memory=room, **options)
    found: DeviceMap = infer_auto_device_map(net, max_memory=room, **options)
    return found


def _from_file(net: PreTrainedModel, file: Path) -> DeviceMap:
    from accelerate.utils import check_device_map

    if not file.is_file():
        raise ConfigError(
            f"There is no file {str(file)!r} for device_map.",
            f"Give one of {', '.join(SPREAD)}, cpu or the number of a GPU.",
        )
    found = {part: _device(str(device)) for part, device in read_json(file).items()}
    try:
        check_device_map(net, dict(found))
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{str(file)!r} is no device map of this model: {reason}", 'Map every part; "" means all.'
        ) from error
    return found


def _device(name: str) -> int | str:
    """A device as accelerate names it: a GPU's number, or a word."""
    if name.isdecimal():
        name = f"cuda:{name}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device_map names {name!r}, which cannot be used: {reason}",
            f"Use {', '.join(SPREAD)}, cpu or the number of a GPU.",
        ) from error
    return (device.index or 0) if device.type == "cuda" else name
