"""Low-rank adapters: attach, save, load. All adapters are peft's own, so other tools read them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from cavesson.errors import ConfigError
from cavesson.models.model import Model, merged
from cavesson.models.recipes import LoRA


def attach(model: Model, lora: LoRA, seed: int) -> Model:
    """The model with a fresh trainable adapter: the weights below are frozen, and the output is unchanged at first.

    An earlier adapter of the model is merged into a copy of the weights first. A model without an adapter is changed in place.

    Args:
        seed: seed of the adapter's random factor; the global random state is not touched.

    Raises:
        ConfigError: a target is no module of this model.
    """
    base = merged(model)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.scale,
        lora_dropout=lora.dropout,
        target_modules=lora.targets if isinstance(lora.targets, str) else list(lora.targets),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=_cuda_devices(model)), _quiet():
        torch.manual_seed(seed)
        try:
            net = get_peft_model(base.net, config)
        except ValueError as error:
            raise ConfigError(
                f"The adapter's targets {lora.targets!r} do not fit this model: {str(error).splitlines()[0]}",
                'Use "all-linear", or names of its linear layers.',
            ) from error
    return replace(base, net=net, key=f"{base.key}+adapter")


def continued(model: Model) -> Model:
    """The model with its own adapter made trainable again; the weights below the adapter stay frozen.

    Raises:
        ConfigError: the model has no adapter.
    """
    if not isinstance(model.net, PeftModel):
        raise ConfigError(
            "The model to be trained has no adapter to continue.",
            "Start from a model that was trained with an adapter and is not merged, or train a fresh one (adapter.rank).",
        )
    for name, weight in model.net.named_parameters():
        weight.requires_grad_(name.rpartition("lora_")[1] != "")
    return model


def without_adapter(model: Model) -> Model:
    """The model as it was before its adapter; the given network is changed. A model without an adapter is returned as it is."""
    if not isinstance(model.net, PeftModel):
        return model
    return replace(model, net=model.net.unload())


def save_adapter(model: Model, folder: str | Path) -> None:
    """Write the adapter alone (safetensors and config), as peft does, but without paths of this machine."""
    if not isinstance(model.net, PeftModel):
        raise TypeError("This model has no adapter to save.")
    place = Path(folder)
    model.net.save_pretrained(str(place), save_embedding_layers=False)
    (place / "README.md").unlink(missing_ok=True)  # peft's empty model card holds the base model's path
    config = json.loads((place / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = None
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # peft keeps a set: its order changes from process to process
    (place / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_adapter(model: Model, folder: str | Path, trainable: bool = False) -> Model:
    """The model with an adapter from a folder; an earlier adapter of the model is merged first.

    Raises:
        ConfigError: the folder holds no adapter, or only a pickled adapter.
    """
    place = Path(folder)
    if not (place / "adapter_config.json").is_file() or not (place / "adapter_model.safetensors").is_file():
        raise ConfigError(
            f"The folder {str(place)!r} holds no adapter in safetensors.",
            "Give a folder that peft's save_pretrained wrote.",
        )
    base = merged(model)
    with _quiet():
        net = PeftModel.from_pretrained(base.net, str(place), is_trainable=trainable)
    return replace(base, net=net if trainable else net.eval(), key=f"{base.key}+adapter")


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide those warnings of peft that a user can do nothing about."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fan_in_fan_out.*")  # peft corrects the setting for GPT-2 by itself
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # peft's calls, not ours
        yield


def _cuda_devices(model: Model) -> list[int]:
    device = model.device
    return [device.index or 0] if device.type == "cuda" else []
