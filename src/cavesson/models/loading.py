"""Models loaded from folders, saved to folders, and changed in simple ways."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from cavesson.errors import ConfigError, nearest
from cavesson.models.attention import prefer_fast_attention
from cavesson.models.folders import as_folder, check_config, check_folder
from cavesson.models.model import Model, merged
from cavesson.models.rendering import Renderer

DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def open_folder(
    folder: str | Path, *, key: str, dtype: str = "auto", device: str = "auto", revision: str | None = None
) -> Model:
    """Open a Hugging Face model from a folder, or from the hub by its id.

    Args:
        folder: a local folder, or `owner/name` on the hub.
        key: name of the weights; see `Model.key`.
        dtype: "auto" (the stored dtype on a GPU; float32 on a CPU, where training uses autocast), or a name of `DTYPES`.
        device: "auto" (the first GPU if there is one), or torch's name of a device.
        revision: branch, tag or commit on the hub.

    Raises:
        ConfigError: there is no such model, or it has no safetensors weights or no chat template, or comes with its own code.
    """
    place, local = device_of(device), as_folder(folder)
    wanted = _dtype(dtype, place)
    name = str(folder if local is None else local)
    options = _options(local, revision)
    with _quiet(), _as_config_error(name):
        config = AutoConfig.from_pretrained(name, **options)
        check_config(config.to_dict(), name)
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
        renderer = Renderer(tokenizer)
        net = AutoModelForCausalLM.from_pretrained(name, config=config, dtype=wanted, use_safetensors=True, **options)
    net.to(place).eval()
    net.warn_if_padding_and_no_attention_mask = _no_warning  # a row may end in a token that is also the padding token
    prefer_fast_attention(net)
    return Model(net=net, tokenizer=tokenizer, renderer=renderer, key=key)


def _no_warning(*_: object) -> None:
    """Do nothing, in place of a warning of transformers."""


def open_renderer(folder: str | Path, revision: str | None = None) -> Renderer:
    """The renderer of a model, without loading the weights; arguments and errors are those of `open_folder`."""
    local = as_folder(folder)
    name = str(folder if local is None else local)
    with _quiet(), _as_config_error(name):
        return Renderer(AutoTokenizer.from_pretrained(name, **_options(local, revision)))


def save_folder(model: Model, folder: str | Path) -> None:
    """Write a model as an ordinary Hugging Face folder: weights (safetensors), config, tokenizer and chat template.

    An adapter is merged into a copy of the weights first. Weights keep their dtype.
    """
    whole = merged(model)
    with _quiet():
        whole.net.save_pretrained(str(folder))
        whole.tokenizer.save_pretrained(str(folder))


def noised(model: Model, sigma: float, seed: int) -> Model:
    """A copy of the model with Gaussian noise of standard deviation `sigma` on every weight. An adapter is merged first."""
    changed = _copied(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in changed.net.parameters():  # shared (tied) weights come once
            noise = torch.randn(weight.shape, generator=generator) * sigma
            weight += noise.to(weight.device, weight.dtype)
    return changed.with_key(f"{model.key}+noise")


def pruned(model: Model, share: float) -> Model:
    """A copy of the model with the smallest `share` of each matrix's weights set to zero. An adapter is merged first."""
    changed = _copied(model)
    with torch.no_grad():
        for weight in changed.net.parameters():
            if weight.ndim == 2 and (count := int(share * weight.numel())):
                smallest = weight.abs().flatten().float().kthvalue(count).values
                weight[weight.abs() <= smallest] = 0
    return changed.with_key(f"{model.key}+pruned")


def interpolated(model: Model, toward: Model, share: float) -> Model:
    """A copy of the model with every weight moved by `share` of the way to the weight of another model.

    Adapters are merged first.

    Raises:
        ConfigError: the two models do not have the same weights in the same shapes.
    """
    changed, toward = _copied(model), merged(toward)
    starts, ends = _shapes(changed), _shapes(toward)
    if starts != ends:
        odd = sorted(name for name in starts.keys() | ends.keys() if starts.get(name) != ends.get(name))
        raise ConfigError(
            f"Two models cannot be interpolated: {odd[0]!r} is {_size(starts.get(odd[0]))} in one model and "
            f"{_size(ends.get(odd[0]))} in the other model.",
            "Interpolate between a model and a model that was trained from it.",
        )
    goals = dict(toward.net.named_parameters())
    with torch.no_grad():
        for name, weight in changed.net.named_parameters():  # shared (tied) weights come once
            weight.lerp_(goals[name].to(weight.device, weight.dtype), share)
    return changed.with_key(f"{model.key}+{share:g}({toward.key})")


def _shapes(model: Model) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in model.net.named_parameters()}


def _size(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape))


def _copied(model: Model) -> Model:
    """A copy of the model whose weights may be changed; an adapter is merged."""
    net = merged(model).net
    return replace(model, net=copy.deepcopy(net) if net is model.net else net)


def device_of(name: str) -> torch.device:
    """The device of that name; "auto" is the first GPU, or the CPU if there is no GPU.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"The device {name!r} cannot be used: {reason}", 'Use "auto", "cpu" or "cuda".') from error
    return device


def _options(local: Path | None, revision: str | None) -> dict[str, Any]:
    """The options of `from_pretrained` for a local folder, which is checked first, or for the hub."""
    if local is not None:
        check_folder(local)
    return {"revision": revision, "trust_remote_code": False, "local_files_only": local is not None}


def _dtype(name: str, device: torch.device) -> torch.dtype | str:
    if name == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    if name not in DTYPES:
        raise ConfigError(f"There is no dtype {name!r} for weights.", nearest(name, [*DTYPES, "auto"]))
    return DTYPES[name]


@contextmanager
def _as_config_error(name: str) -> Iterator[None]:
    """Turn an exception of transformers into a `ConfigError` of one sentence."""
    try:
        yield
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"The model {name!r} cannot be opened: {reason}",
            "Check that the folder is complete (weights, config.json, tokenizer.json), or for a hub model the name, "
            "the network and HF_TOKEN.",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the progress bars of transformers: the lab has its own display."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
