"""Model folders and hub names: which content they stand for, and whether they are complete and safe to open."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NoReturn

from cavesson.errors import ConfigError
from cavesson.lab import disk
from cavesson.lab.documents import path_named
from cavesson.models.weights import INDEX, WHOLE, check_pointer, pickles, read_json, shards_of, stored, weight_files

IDENTITY_FILES = (
    "config*.json",
    "generation_config.json",
    "*.safetensors",
    INDEX,
    "adapter_*",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "additional_chat_templates/*.jinja",
    "vocab*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "tekken.json",
)
"""The files of a model folder that decide what the model does; shards in folders below, which an index names, come on top."""

_SMALL_FILES = [pattern for pattern in IDENTITY_FILES if pattern != "*.safetensors"]

_CHOOSES_CODE = ("attn_implementation", "experts_implementation")
"""Keys of a config that may name code on the hub ("owner/kernel")."""

_QUANTISED = ("quantization_config", "compression_config")
_WRITES = re.compile("ForCausalLM|ForConditionalGeneration")


def looks_like_path(name: str | Path) -> bool:
    """Whether a name can only mean a folder, not `owner/name` on the hub."""
    text = str(name)
    return isinstance(name, Path) or text.startswith((".", "/", "~")) or "\\" in text or text.count("/") > 1


def as_folder(name: str | Path) -> Path | None:
    """The local folder of that name, or `None` if the name may be a name on the hub.

    Raises:
        ConfigError: the name can only mean a folder and there is no such folder, or the name is a file's.
    """
    if name == "":  # which would be the present folder
        return None
    place = path_named(name)
    if place.is_dir():
        return place
    if place.exists():
        raise ConfigError(f"The model {str(name)!r} is a file.", "Give the folder that it lies in.")
    if looks_like_path(name):
        raise ConfigError(
            f"There is no model folder at {str(name)!r}.", "Give an existing folder, or owner/name of a hub model."
        )
    return None


def base_of_adapter(folder: Path) -> str | None:
    """The name of the model that a folder with nothing but an adapter was trained on; None: the folder holds no adapter alone.

    Raises:
        ConfigError: the adapter does not name its model.
    """
    config = folder / "adapter_config.json"
    if not config.is_file() or (folder / "config.json").is_file():
        return None
    base = read_json(config).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ConfigError(
            f"The adapter in {str(folder)!r} does not say which model it was trained on.",
            'Write the model\'s name, folder or hub id into its adapter_config.json: "base_model_name_or_path".',
        )
    return base


_TOKENIZERS = ("tokenizer.json", "*.model", "*.tiktoken", "vocab.*", "tekken.json")
"""Files of which a tokenizer has one."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that does not hold one complete and safe model. Weights are not read, only their headers.

    Raises:
        ConfigError: there is no config, weights are missing, cut short, pickled or quantised, the model comes with its own
            code, an adapter lies beside the model, or a file is a pointer of git-lfs.
    """
    config, adapter = folder / "config.json", (folder / "adapter_config.json").is_file()
    if adapter and config.is_file():
        raise ConfigError(
            f"The folder {str(folder)!r} holds a model and an adapter (adapter_config.json), and either could be meant.",
            "Take the adapter_* files out to use the model alone; or take config.json and the model's weights out to use the "
            "adapter on the model that it names.",
        )
    if adapter:
        raise ConfigError(
            f"The folder {str(folder)!r} holds an adapter, not a model.",
            "Use it by its name (`cavesson.named.model_named`), which finds its base; or merge it into its base and save that.",
        )
    if not config.is_file():
        raise ConfigError(
            f"The folder {str(folder)!r} has no config.json.", "Give a folder that save_pretrained wrote."
        )
    settings = read_json(config)
    check_config(settings, str(folder))
    if not any(next(folder.glob(name), None) for name in _TOKENIZERS):
        raise ConfigError(
            f"The folder {str(folder)!r} has no tokenizer (tokenizer.json).", "Copy it there from the model's base."
        )
    for path in identity_files(folder):
        check_pointer(path)
    for name in ("generation_config.json", "tokenizer_config.json"):
        if (folder / name).is_file() and "auto_map" in read_json(folder / name):
            _refuse_code(str(folder), f"auto_map in {name}")
    _check_tensors(folder, settings)


def _check_tensors(folder: Path, config: dict[str, Any]) -> None:
    """Refuse tensors of a type that cannot be weights, and fewer tensors than the config has layers."""
    tensors = stored(folder)
    for name, tensor in tensors.items():
        whole = tensor.dtype.startswith(("I", "U", "BOOL")) and name.endswith((".weight", ".bias"))
        if whole or tensor.dtype.startswith(("F4", "F6_", "F8_")):
            raise ConfigError(
                f"The weights in {str(folder)!r} are quantised: {name!r} is stored as {tensor.dtype}.",
                "Use the model's version in bfloat16 or float32.",
            )
    layers = config.get("num_hidden_layers")
    if isinstance(layers, int) and layers > len(tensors):  # before a network of so many layers is built
        raise ConfigError(
            f"The config.json in {str(folder)!r} wants {layers} layers, and the weights have {len(tensors)} tensors.",
            "Copy config.json and weights from the same model.",
        )


def check_config(config: dict[str, Any], name: str) -> None:
    """Refuse a model that comes with code of its own, is quantised, or does not write text from left to right.

    Raises:
        ConfigError: as said.
    """
    if "auto_map" in config:
        _refuse_code(name, "auto_map in config.json")
    if config.get("transformers_weights") not in (None, WHOLE, INDEX):
        raise ConfigError(
            f"The config.json of {name!r} names other weights (transformers_weights).",
            f"Name the file {WHOLE}, and take the key out of config.json.",
        )
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for key in _CHOOSES_CODE:
            if any("/" in str(part.get(given, "")) for given in (key, f"_{key}")):
                _refuse_code(name, f"{key} in config.json")
        for key in _QUANTISED:
            if part.get(key):
                method = part[key].get("quant_method") if isinstance(part[key], dict) else None
                raise ConfigError(
                    f"The model {name!r} is quantised ({str(method or key)!r} in config.json): its weights are not what it computes with.",
                    "Use the model's version in bfloat16 or float32.",
                )
    heads = config.get("architectures") or ()
    if heads and not any("For" not in str(head) or _WRITES.search(str(head)) for head in heads):
        raise ConfigError(
            f"The model {name!r} is a {str(heads[0])!r}, which does not write text.", "Use a causal language model."
        )
    if heads and config.get("is_encoder_decoder") is True and "ForConditionalGeneration" in str(heads[0]):
        raise ConfigError(
            f"The model {name!r} is a {str(heads[0])!r}, which reads with an encoder.", "Use a causal language model."
        )


def _refuse_code(name: str, where: str) -> NoReturn:
    raise ConfigError(
        f"The model {name!r} comes with code of its own ({where}).",
        "Use a model whose architecture and tokenizer are part of transformers.",
    )


def remarks(folder: Path) -> list[str]:
    """What a user may not expect of a folder that is fine: one sentence each."""
    files = weight_files(folder)
    said = []
    if unread := pickles(folder):
        said.append(f"{folder}: the pickled weights {', '.join(unread)} are not read; {files[0].name} is.")
    others = {path.name for path in folder.glob("*.safetensors")} - {path.name for path in files}
    if others:
        said.append(f"{folder}: {', '.join(sorted(others))} is not read; the weights are in {files[0].name}.")
    for path in files:
        if not path.resolve().is_relative_to(folder.resolve()) and not _in_hub_cache(folder, path):
            said.append(f"{path} is a link to {path.resolve()}.")
    return said


def _in_hub_cache(folder: Path, path: Path) -> bool:
    """Whether a link leads from a snapshot in the hub's cache to the cache's own file."""
    return path.resolve().parent == (folder.resolve().parent.parent / "blobs")


def identity_files(folder: Path) -> list[Path]:
    """The files that decide what the model of a folder does, in a fixed order."""
    found = {path for pattern in IDENTITY_FILES for path in folder.glob(pattern) if path.is_file()}
    if (folder / INDEX).is_file():
        found.update(weight_files(folder))
    return sorted(found)


def folder_digest(folder: Path) -> str:
    """SHA-256 of the names and contents of the files that decide what a model does; an unchanged file is read once."""
    total = hashlib.sha256()
    for path in identity_files(folder):
        total.update(f"{path.relative_to(folder).as_posix()}\0{disk.file_digest(path)}\n".encode())
    return total.hexdigest()


def local_folder(name: str | Path, revision: str | None = None, *, weights: bool = True) -> Path:
    """The folder of a model; a model on the hub is downloaded into the hub's cache, unless the cache holds it.

    Args:
        name: a folder, or `owner/name` on the hub.
        revision: branch, tag or commit on the hub.
        weights: whether the weights are wanted as well.
    """
    if (folder := as_folder(name)) is not None:
        return folder
    local = _fetched(str(name), revision, _SMALL_FILES)
    return _fetched(str(name), revision, _weights_beside(local)) if weights else local


@lru_cache(maxsize=256)
def adapter_on_hub(name: str, commit: str) -> Path | None:
    """The folder with the files of an adapter on the hub, in the hub's cache; None: there is a whole model, or nobody can say."""
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the hub's own HTTP library

    def has(file: str) -> bool:
        try:
            return bool(hf_hub_download(name, file, revision=commit))
        except (OSError, HTTPError):  # there is no such file; or offline, and opening the model will say what is wrong
            return False

    if not has("adapter_config.json") or has("config.json"):
        return None
    return Path(snapshot_download(name, revision=commit, allow_patterns=["adapter_*"]))


def to_download(name: str, revision: str | None) -> int:
    """Bytes of the weights of a model on the hub that the hub's cache does not hold yet; 0 if the hub does not say.

    Args:
        name: `owner/name` on the hub.
        revision: branch, tag or commit on the hub.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the hub's own HTTP library

    try:
        patterns = _weights_beside(_fetched(name, revision, _SMALL_FILES))
        files = snapshot_download(name, revision=revision, allow_patterns=patterns, dry_run=True)
    except (OSError, HTTPError):  # offline, or there is no such model: opening it will say what is wrong
        return 0
    return sum(file.file_size or 0 for file in files if file.will_download)


def _fetched(name: str, revision: str | None, patterns: list[str]) -> Path:
    """The folder in the hub's cache, once it holds the files of a model that match the patterns."""
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))


def _weights_beside(folder: Path) -> list[str]:
    """The names of a model's files of weights, from the files beside them."""
    return list(shards_of(folder / INDEX)) if (folder / INDEX).is_file() else [WHOLE]


@lru_cache(maxsize=256)
def hub_commit(name: str, revision: str | None, of: Literal["model", "dataset"] = "model") -> str:
    """The commit of a revision of a model or data set on the hub. If the hub cannot be reached, the local cache is asked.

    Raises:
        ConfigError: the hub has nothing of that name, or the hub cannot be reached and nothing is cached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError of the hub's own HTTP library
        GatedRepoError,
        HFValidationError,
        HTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    wanted = revision or "main"
    if re.fullmatch(r"[0-9a-f]{40}", wanted):
        return wanted
    what = "data set" if of == "dataset" else of
    try:
        return str(HfApi().repo_info(name, repo_type=of, revision=wanted, timeout=10).sha)
    except HFValidationError as error:
        raise ConfigError(
            f"{name!r} is neither a folder nor a hub name.", "Give an existing folder, or owner/name."
        ) from error
    except GatedRepoError as error:
        raise ConfigError(
            f"The {what} {name!r} is gated.", "Accept its licence on its page, and set HF_TOKEN to a token of yours."
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ConfigError(
            f"The hub has no {what} {name!r} with the revision {wanted!r}, or it is private.",
            f"Check the name; for a private {what} set HF_TOKEN.",
        ) from error
    except (OSError, HTTPError) as error:  # no network, offline mode, or the hub is down
        cached = Path(HF_HUB_CACHE) / f"{of}s--{name.replace('/', '--')}" / "refs" / wanted
        if cached.is_file():
            return cached.read_text(encoding="utf-8").strip()
        raise ConfigError(
            f"There is no folder {name!r}, and the hub cannot be reached for a {what} of that name (nor is it in its cache).",
            f"Check the path or the network, or download the {what} and give its folder.",
        ) from error
