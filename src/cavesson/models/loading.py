"""Models loaded from folders, saved to folders, and changed in simple ways."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from functools import cache, reduce
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from cavesson.errors import CavessonError, ConfigError, nearest
from cavesson.models.attention import prefer_fast_attention
from cavesson.models.folders import as_folder, check_folder, local_folder
from cavesson.models.latent import attach
from cavesson.models.model import Model, check_finite, merged
from cavesson.models.placement import placement
from cavesson.models.rendering import Renderer
from cavesson.models.weights import DTYPE_NAMES, WEIGHT_TYPES, stored

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in WEIGHT_TYPES}

_LOCAL: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}


def open_folder(
    folder: str | Path,
    *,
    key: str,
    dtype: str = "auto",
    device: str = "auto",
    revision: str | None = None,
    device_map: str = "",
) -> Model:
    """Open a Hugging Face model from a folder, or from the hub by its id.

    Args:
        folder: a local folder, or `owner/name` on the hub.
        key: name of the weights; see `Model.key`.
        dtype: "auto" (the stored dtype on a GPU; float32 on a CPU, where training uses autocast), or a name of `DTYPES`.
        device: "auto" (the first GPU if there is one), or torch's name of a device.
        revision: branch, tag or commit on the hub.
        device_map: where the weights of a model lie that only answers (`cavesson.models.placement`); "": all on `device`.

    Raises:
        ConfigError: there is no such model, or it has no safetensors weights or no chat template, or comes with its own code; or
            `device_map` names no device, or the model does not fit there.
    """
    place = device_of(device)
    with _quiet(), _as_config_error(str(folder)):
        local = local_folder(folder, revision)
        check_folder(local)
        config = AutoConfig.from_pretrained(local, **_LOCAL)
        tokenizer = _tokenizer(local, folder)
        _check_vocabulary(tokenizer, config, str(folder))
        renderer = Renderer(tokenizer)
        held = dtype_in_memory(dtype, place, local)
        where = {"device_map": placed(local, config, device_map, held)} if device_map else {}
        net = _network(local, config, dtype=held, **where)
        _check_ties(net, str(local))
        check_finite(net.named_parameters(), f"The weights of {str(local)!r}")
    if not device_map:
        net.to(torch.device("cpu") if _is_shared() else place)
    net.eval()
    net.warn_if_padding_and_no_attention_mask = _no_warning  # a row may end in a token that is also the padding token
    prefer_fast_attention(net)
    attach(net)
    return Model(net=net, tokenizer=tokenizer, renderer=renderer, key=key)


def placed(folder: Path, config: PreTrainedConfig, device_map: str, dtype: torch.dtype) -> dict[str, int | str]:
    """Which part of the network of a folder goes to which device; errors are those of `placement`."""
    return placement(_weightless(folder, config), device_map, dtype, str(folder))


def _is_shared() -> bool:
    """Whether this process is one of several that share a training: each moves its part of the weights to its device later."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def skeleton(folder: Path) -> PreTrainedModel:
    """The network of a folder without its weights (on torch's meta device), once everything about the folder is checked.

    Raises:
        ConfigError: as `open_folder`, apart from heads that are tied in the config and not in the weights.
    """
    with _quiet(), _as_config_error(str(folder)):
        check_folder(folder)
        config = AutoConfig.from_pretrained(folder, **_LOCAL)
        _check_vocabulary(_tokenizer(folder, folder), config, str(folder))
        return _weightless(folder, config)


def _network(folder: Path, config: PreTrainedConfig, **options: Any) -> PreTrainedModel:
    """The network of a folder, all of whose tensors come from the folder, and all of the folder's tensors are in the network.

    Raises:
        ConfigError: a tensor is missing, left over, or of another shape.
    """
    load = AutoModelForCausalLM.from_pretrained
    try:
        net, found = load(folder, config=config, use_safetensors=True, output_loading_info=True, **_LOCAL, **options)
    except RuntimeError:  # a tensor of another shape, which the skeleton names without the memory that it wants
        if "device_map" not in options:
            _weightless(folder, config)
        raise
    _check_complete(found, str(folder))
    made: PreTrainedModel = net
    return made


def _weightless(folder: Path, config: PreTrainedConfig) -> PreTrainedModel:
    return _network(folder, config, device_map={"": "meta"}, ignore_mismatched_sizes=True)


def _check_complete(found: dict[str, Any], name: str) -> None:
    """Refuse weights that do not fit the network, from what transformers says of loading them."""
    for odd, says in (
        (found["mismatched_keys"], "of another shape than config.json says"),
        (found["missing_keys"], "missing, and would be random"),
        (found["unexpected_keys"], "without a place in the network, and would be ignored"),
    ):
        if odd:
            first = min(odd)
            what = (
                repr(first)
                if isinstance(first, str)
                else f"{first[0]!r} ({_size(first[1])} instead of {_size(first[2])})"
            )
            count = "1 tensor is" if len(odd) == 1 else f"{len(odd)} tensors are"
            raise ConfigError(
                f"The weights of {name!r} do not fit its config.json: {count} {says}, such as {what}.",
                "Copy config.json and all weights from one and the same model.",
            )


def _check_vocabulary(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, name: str) -> None:
    """Refuse a tokenizer that writes ids for which the network has no embedding."""
    rows = config.get_text_config().vocab_size
    token, last = max(tokenizer.get_vocab().items(), key=lambda one: one[1])
    if last >= rows:
        raise ConfigError(
            f"The tokenizer of {name!r} has the token {token!r} with id {last}, and the network has {rows} embeddings.",
            "Give the model its own tokenizer, or resize the embeddings (resize_token_embeddings) and save the model.",
        )


def _check_ties(net: PreTrainedModel, name: str) -> None:
    """Refuse weights with a head of their own where the config says that the head is the embedding."""
    head, embedding = net.get_output_embeddings(), net.get_input_embeddings()
    says = getattr(net.config.get_text_config(), "tie_word_embeddings", False)
    ties = says and net._tied_weights_keys  # some architectures have the setting and never tie
    if ties and head is not None and head.weight is not embedding.weight:
        raise ConfigError(
            f"The config.json of {name!r} says that head and embedding are one (tie_word_embeddings), and the weights hold two.",
            'Write "tie_word_embeddings": false into config.json.',
        )


def _no_warning(*_: object) -> None:
    """Do nothing, in place of a warning of transformers."""


def open_renderer(folder: str | Path, revision: str | None = None) -> Renderer:
    """The renderer of a model, without loading the weights; arguments and errors are those of `open_folder`."""
    with _quiet(), _as_config_error(str(folder)):
        local = local_folder(folder, revision, weights=False)
        if as_folder(folder) is not None:
            check_folder(local)
        return Renderer(_tokenizer(local, folder))


def _tokenizer(local: Path, name: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder, under the name that the user gave: messages about its template say this name."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(local, **_LOCAL)
    tokenizer.name_or_path = str(name)
    return tokenizer


def save_folder(model: Model, folder: str | Path) -> None:
    """Write a model as an ordinary Hugging Face folder: weights (safetensors), config, tokenizer and chat template.

    An adapter is merged into a float32 copy of the weights first; weights without an adapter keep their dtype.
    """
    whole = merged(model)
    with _quiet():
        whole.net.save_pretrained(str(folder))
        whole.tokenizer.save_pretrained(str(folder))


@contextmanager
def _read_once() -> Iterator[None]:
    """Read a GGUF file's header once: transformers does so thrice, seconds each, and maps all names anew for every module."""
    import gguf

    reader, names = gguf.GGUFReader, gguf.get_tensor_name_map
    gguf.GGUFReader, gguf.get_tensor_name_map = cache(reader), cache(names)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = reader, names


def save_gguf(file: Path, folder: Path) -> None:
    """Write the model of a GGUF file as a Hugging Face folder: the weights that the file stands for, in bfloat16.

    Raises:
        ConfigError: transformers does not read this architecture from GGUF, or a part of the file is missing.
    """
    given: dict[str, Any] = {"gguf_file": file.name, **_LOCAL}
    # a progress bar that nothing else stops
    with _read_once(), _quiet(), redirect_stderr(StringIO()), _as_config_error(str(file)):
        net = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.bfloat16, **given)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **given)
        net.hf_quantizer, net.is_quantized = None, False  # the weights are plain ones now
        net.config.__dict__.pop("quantization_config", None)
        net.config.__dict__.pop("_name_or_path", None)
        net.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def compact(model: Model) -> Model:
    """A copy of the model in the 16-bit dtype that holds each of its weights exactly; an adapter is merged first.

    Returns:
        the merged model in its dtype, where 16 bits would round (weights that were trained, or merged, in float32).
    """
    whole = merged(model)
    for dtype in (torch.bfloat16, torch.float16):
        if all(torch.equal(weight, weight.to(dtype).to(weight.dtype)) for weight in whole.net.parameters()):
            changed = _copied(whole)
            changed.net.to(dtype)
            return changed
    return whole


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
    """A copy of the model whose weights may be changed, in float32: 16 bits round small changes away. An adapter is merged."""
    net = merged(model).net
    return replace(model, net=copy.deepcopy(net).float() if net is model.net else net)


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


def dtype_in_memory(name: str, device: torch.device, folder: Path) -> torch.dtype:
    """The type of the weights in memory; "auto" on a GPU is the narrowest type that holds all that is stored."""
    if name != "auto":
        if name not in DTYPES:
            raise ConfigError(f"There is no dtype {name!r} for weights.", nearest(name, [*DTYPES, "auto"]))
        if name == "float16" and device.type == "cpu":
            raise ConfigError(
                "Weights in float16 are for GPUs: a CPU has no products in it.", "Take bfloat16 or float32."
            )
        return DTYPES[name]
    if device.type == "cpu":
        return torch.float32
    kinds = {
        getattr(torch, DTYPE_NAMES[tensor.dtype]) for tensor in stored(folder).values() if tensor.dtype in DTYPE_NAMES
    }
    return DTYPES.get(str(reduce(torch.promote_types, kinds)).removeprefix("torch."), torch.float32)


@contextmanager
def _as_config_error(name: str) -> Iterator[None]:
    """Turn an exception of transformers into a `ConfigError` of one sentence."""
    try:
        yield
    except CavessonError:
        raise
    except Exception as error:  # a folder can hold anything, and transformers can fail over it in any way
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ConfigError(
            f"The model {name!r} cannot be opened: {reason}",
            "Check that the folder is complete (weights, config.json, tokenizer.json), or for a hub model the name, "
            "the network and HF_TOKEN.",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the progress bars and reports of transformers: the lab has its own display, and what is wrong is an error here."""
    shown, level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if shown:
            transformers_logging.enable_progress_bar()
