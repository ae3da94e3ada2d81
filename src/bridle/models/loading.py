"""Models in memory, and folders of weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from bridle.errors import ConfigError, nearest
from bridle.models.attention import prefer_fast_attention
from bridle.models.rendering import Renderer

if TYPE_CHECKING:
    from peft import PeftModel

DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Model:
    """A model that is ready to be trained, sampled and scored.

    Attributes:
        net: the network, in evaluation mode when it was just opened.
        tokenizer: its tokenizer, with a chat template.
        renderer: conversations to token ids, by that template.
        key: names the weights (a fingerprint); whoever changes the weights gives the result another key.
        system: the system prompt it runs under; samplers put it in front of conversations that have none.
    """

    net: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    renderer: Renderer
    key: str
    system: str | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.net.parameters()).device

    def with_key(self, key: str) -> Model:
        """The same object in memory under another name for its weights."""
        return replace(self, key=key)


def open_folder(
    folder: str | Path, *, key: str, dtype: str = "auto", device: str = "auto", revision: str | None = None
) -> Model:
    """Open a Hugging Face model from a folder, or from the hub by its id.

    Args:
        folder: a local folder, or `owner/name` on the hub.
        key: names the weights; see `Model.key`.
        dtype: "auto" (as stored on a GPU; float32 on a CPU, where training uses autocast), or a name of `DTYPES`.
        device: "auto" (the first GPU if there is one), or torch's name of a device.
        revision: branch, tag or commit on the hub.

    Raises:
        ConfigError: there is no such model, it has no safetensors weights, no chat template, or wants its own code run.
    """
    place = device_of(device)
    local = Path(folder)
    if local.is_dir():
        check_folder(local)
    elif looks_like_path(folder):
        raise ConfigError(
            f"There is no model folder at {str(folder)!r}.", "Give an existing folder, or owner/name of a hub model."
        )
    options = {"revision": revision, "trust_remote_code": False, "local_files_only": local.is_dir()}
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **options)
        renderer = Renderer(tokenizer)
        net = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=_dtype(dtype, place), use_safetensors=True, **options
        )
    except (OSError, ValueError, KeyError) as error:
        raise _explain(folder, error) from error
    net.to(place).eval()
    prefer_fast_attention(net)
    return Model(net=net, tokenizer=tokenizer, renderer=renderer, key=key)


def save_folder(model: Model, folder: str | Path) -> None:
    """Write weights (safetensors), config, tokenizer and chat template: an ordinary Hugging Face folder.

    An adapter is merged into a copy of the weights first.
    """
    from bridle.models.adapters import merged

    model = merged(model)
    model.net.save_pretrained(str(folder), safe_serialization=True)
    model.tokenizer.save_pretrained(str(folder))


def device_of(name: str) -> torch.device:
    """The device of that name; "auto" is the first GPU, or the CPU where there is none."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"The device {name!r} cannot be used: {error}", 'Use "auto", "cpu" or "cuda".') from error
    return device


def looks_like_path(name: str | Path) -> bool:
    """Whether this can only be meant as a folder, not as `owner/name` on the hub."""
    text = str(name)
    return isinstance(name, Path) or text.startswith((".", "/", "~")) or "\\" in text or text.count("/") > 1


def check_folder(folder: Path) -> None:
    """Refuse a folder that is no complete, safe model.

    Raises:
        ConfigError: no config, weights missing or only pickled, or the model wants its own code run.
    """
    config = _json(folder / "config.json")
    if config is None:
        raise ConfigError(
            f"The folder {str(folder)!r} has no config.json.", "Give a folder that save_pretrained wrote."
        )
    if "auto_map" in config:
        raise ConfigError(
            f"The model in {str(folder)!r} wants to run code of its own (auto_map in config.json).",
            "Use a model whose architecture is part of transformers.",
        )
    shards = _json(folder / "model.safetensors.index.json")
    wanted = sorted(set(shards["weight_map"].values())) if shards else ["model.safetensors"]
    missing = [name for name in wanted if not (folder / name).is_file()]
    if not missing:
        return
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth")):
        raise ConfigError(
            f"The weights in {str(folder)!r} are pickled files (.bin, .pt), which can run code when they are opened.",
            "Convert them to safetensors: load the model where you trust it and call save_pretrained.",
        )
    raise ConfigError(
        f"The model folder {str(folder)!r} lacks {missing[0]}.", "Copy the weights into the folder again."
    )


def _json(path: Path) -> Any:
    """The file's content, or `None` where there is no file."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(
            f"The file {str(path)!r} is not valid JSON: {error}", "Copy the model folder again."
        ) from error


def _dtype(name: str, device: torch.device) -> torch.dtype | str:
    if name == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    if name not in DTYPES:
        raise ConfigError(f"There is no dtype {name!r} for weights.", nearest(name, [*DTYPES, "auto"]))
    return DTYPES[name]


def _explain(folder: str | Path, error: Exception) -> ConfigError:
    """What transformers says at length, in a sentence."""
    text = " ".join(str(error).split())
    return ConfigError(
        f"The model {str(folder)!r} cannot be opened: {text[:300]}", "Check the name, the network and HF_TOKEN."
    )
