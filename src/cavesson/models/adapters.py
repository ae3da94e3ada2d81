"""Low-rank adapters: attach, save, load. All adapters are peft's own, so other tools read them."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, PeftModelForCausalLM, get_peft_model
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel

from cavesson.errors import ConfigError
from cavesson.models.far import is_far, load_far, save_far
from cavesson.models.model import Model, check_finite, merged
from cavesson.models.notes import note
from cavesson.models.recipes import LoRA
from cavesson.models.targets import ALL_LINEAR, Targets, left_out, refuse_tied, targets_in, without_effect
from cavesson.models.weights import header, read_json

ADAPTER = "adapter_model.safetensors"


def attach(model: Model, lora: LoRA, seed: int) -> Model:
    """The model with a fresh trainable adapter: the weights below are frozen, and the output is unchanged at first.

    An earlier adapter of the model is merged into a copy of the weights first. A model without an adapter is changed in place.

    Args:
        seed: seed of the adapter's random factor; the global random state is not touched.

    Raises:
        ConfigError: a target is no linear layer of this model, or is tied to another weight; or the adapter has dropout and
            changes experts, or a rank that no target can have.
    """
    base = merged(model)
    found = _effective(base.net, lora)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.scale,
        lora_dropout=lora.dropout,
        target_modules=list(found.modules),
        target_parameters=list(found.parameters) or None,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=_cuda_devices(model)), _quiet(), _own_names(base.net):
        torch.manual_seed(seed)
        try:
            net = get_peft_model(base.net, config)
        except ValueError as error:
            raise ConfigError(
                f"The adapter's targets {lora.targets!r} do not fit this model: {str(error).splitlines()[0]}",
                'Use "all-linear", or names of its linear layers.',
            ) from error
    return replace(base, net=net, key=f"{base.key}+adapter")


def adapted(net: PreTrainedModel, lora: LoRA) -> Targets:
    """What a fresh adapter changes in a network; the network may be without weights.

    Raises:
        ConfigError: see `attach`.
    """
    found = targets_in(net, lora.targets)
    if found.parameters and lora.dropout:
        raise ConfigError(
            f"The adapter has dropout {lora.dropout:g}, and changes experts' matrices ({found.parameters[0]}), "
            "which know no dropout.",
            "Set the adapter's dropout to 0, or name the other linear layers as its targets.",
        )
    matrices = (*(f"{name}.weight" for name in found.modules), *found.parameters)
    lora.check_rank(net.get_parameter(name).shape for name in matrices)
    return found


def _effective(net: PreTrainedModel, lora: LoRA) -> Targets:
    """The targets, without those of "all-linear" on which an adapter would have no effect.

    Raises:
        ConfigError: see `adapted`; or an adapter on a named target would have no effect.
    """
    found = adapted(net, lora)
    idle = without_effect(net, found)
    if idle and lora.targets != ALL_LINEAR:
        raise ConfigError(
            f"An adapter on {min(idle)!r} would have no effect: the network reads the weight past the layer.",
            "Leave this target out.",
        )
    say_left_out(net, lora, idle)
    return Targets(*(tuple(name for name in some if name not in idle) for some in (found.modules, found.parameters)))


def say_left_out(net: PreTrainedModel, lora: LoRA, idle: Collection[str] = ()) -> None:
    """Tell the user which matrices of a network "all-linear" does not change.

    Args:
        idle: targets on which an adapter has no effect.
    """
    names = (*left_out(net), *sorted(idle)) if lora.targets == ALL_LINEAR else ()
    if names:
        note(f"The adapter on all linear layers of this {type(net).__name__} leaves out: {', '.join(names)}.")


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
    model.net.requires_grad_(False)
    model.net.set_adapter("default")  # trainable again, with whole layers and tokens that the adapter may hold
    return model


def without_adapter(model: Model) -> Model:
    """The model as it was before its adapter; the given network is changed. A model without an adapter is returned as it is."""
    if not isinstance(model.net, PeftModel):
        return model
    return replace(model, net=model.net.unload())


def save_adapter(model: Model, folder: str | Path) -> None:
    """Write the adapter alone (safetensors and config), as peft does, but without paths of this machine; of an adapter at a
    service, where it lies there."""
    place = Path(folder)
    if is_far(model):
        return save_far(model, place)
    if not isinstance(model.net, PeftModel):
        raise TypeError("This model has no adapter to save.")
    model.net.save_pretrained(str(place), save_embedding_layers=False)
    (place / "README.md").unlink(missing_ok=True)  # peft's empty model card holds the base model's path
    config = json.loads((place / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = None
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # peft keeps a set: its order changes from process to process
    (place / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_adapter(model: Model, folder: str | Path) -> Model:
    """The model with an adapter from a folder; an earlier adapter of the model is merged first (at a service it is replaced).

    Raises:
        ConfigError: the folder holds no adapter, only a pickled adapter, or an adapter of another kind than LoRA; its tensors
            do not fit this model one by one; or it changes tied weights.
    """
    place = Path(folder)
    if is_far(model):
        return load_far(model, place)
    if not (place / "adapter_config.json").is_file() or not (place / ADAPTER).is_file():
        raise ConfigError(
            f"The folder {str(place)!r} holds no adapter in safetensors.",
            "Give a folder that peft's save_pretrained wrote.",
        )
    said = read_json(place / "adapter_config.json")
    if said.get("peft_type") != "LORA":
        raise ConfigError(
            f"The adapter in {str(place)!r} is of the kind {said.get('peft_type')!r}.", "Give a LoRA adapter."
        )
    base = merged(model)
    _note_other_base(base, said.get("base_model_name_or_path"), place)
    names = {_module_of(tensor) for tensor in header(place / ADAPTER)}
    refuse_tied(base.net, tuple(names))
    here = names <= {name for name, _ in base.net.named_modules()}
    try:
        with _quiet(), _own_names(base.net) if here else nullcontext():
            config = LoraConfig.from_pretrained(str(place))
            config.inference_mode = True
            net = PeftModelForCausalLM(base.net, config)
            found = net.load_adapter(str(place), "default", torch_device=str(base.device))
    except (ValueError, RuntimeError, LookupError, TypeError) as error:
        raise _misfit(place, " ".join(str(error).split())[:300]) from error
    _check_complete(net, found, place)
    check_finite(
        ((name, value) for name, value in net.named_parameters() if ".lora_" in name),
        f"The adapter's weights in {str(place)!r}",
    )
    return replace(base, net=net.eval(), key=f"{base.key}+adapter")


def _module_of(tensor: str) -> str:
    """The module of the base that a tensor of an adapter belongs to."""
    name = tensor.removeprefix("base_model.model.").replace(".base_layer", "")
    return name.partition(".lora_")[0] if ".lora_" in name else name.rpartition(".")[0]


def _check_complete(net: PeftModel, found: Any, place: Path) -> None:
    """Refuse an adapter some of whose tensors or settings were passed over, or some of whose factors stayed random.

    Args:
        found: what torch says of loading the adapter's tensors.
    """
    if found.unexpected_keys:
        raise _misfit(place, f"{found.unexpected_keys[0]!r} has no place in it")
    if found.missing_keys:
        raise _misfit(place, f"{found.missing_keys[0]!r} is missing from the adapter")
    layers = [(name, layer) for name, layer in net.get_base_model().named_modules() if isinstance(layer, LoraLayer)]
    changed = [
        f"{name.replace('.base_layer', '')}.{getattr(layer, 'parameter_name', '')}".rstrip(".")
        for name, layer in layers
    ]
    config = net.peft_config["default"]
    for pattern in (*config.rank_pattern, *config.alpha_pattern):
        if not any(re.match(rf"(.*\.)?({pattern})$", name) for name in changed):
            raise _misfit(place, f"no layer has the name {pattern!r} of its rank_pattern or alpha_pattern")


def _misfit(place: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"The adapter in {str(place)!r} does not fit this model: {reason}.",
        "Load the adapter onto the model that it was trained on, with the same version of peft or a later one.",
    )


def _note_other_base(base: Model, trained_on: str | None, place: Path) -> None:
    """Tell the user of an adapter that was trained on a model of another name; folders may have been renamed."""
    here = str(base.net.name_or_path)
    if trained_on and here and Path(trained_on).name != Path(here).name:
        note(f"The adapter in {place} was trained on {trained_on!r}, and is loaded onto {here}.")


@contextmanager
def _own_names(net: PreTrainedModel) -> Iterator[None]:
    """Let peft take names as they are in this network. By itself peft reads the names of some mixtures of experts as those of
    transformers 4: `shared_expert.up_proj` would mean the routed experts, and the shared expert would be left out."""
    net.config.model_type = ""
    try:
        yield
    finally:
        del net.config.model_type  # the class has the real one


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide those warnings of peft that a user can do nothing about."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fan_in_fan_out.*")  # peft corrects the setting for GPT-2 by itself
        warnings.filterwarnings("ignore", message=".*did not match any targeted module.*")  # refused here, where true
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # peft's calls, not ours
        yield


def _cuda_devices(model: Model) -> list[int]:
    device = model.device
    return [device.index or 0] if device.type == "cuda" else []
