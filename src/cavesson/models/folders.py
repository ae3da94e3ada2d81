"""Model folders and hub names: which content they stand for, and whether they are complete and safe to open."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from cavesson.errors import ConfigError
from cavesson.lab.documents import path_named

IDENTITY_FILES = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "vocab*",
    "merges.txt",
)
"""The files of a model folder that decide what the model does."""

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


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


def check_folder(folder: Path) -> None:
    """Refuse a folder that does not hold a complete and safe model.

    Raises:
        ConfigError: there is no config, weights are missing or pickled, or the model comes with its own code.
    """
    config = _json(folder / "config.json")
    if config is None and (folder / "adapter_config.json").is_file():
        raise ConfigError(
            f"The folder {str(folder)!r} holds an adapter, not a model.", "Merge it into its base model and save that."
        )
    if config is None:
        raise ConfigError(
            f"The folder {str(folder)!r} has no config.json.", "Give a folder that save_pretrained wrote."
        )
    check_config(config, str(folder))
    index = _json(folder / "model.safetensors.index.json")
    wanted = sorted(set(index["weight_map"].values())) if index else ["model.safetensors"]
    missing = [name for name in wanted if not (folder / name).is_file()]
    if not missing:
        return
    if not index and any(True for pattern in PICKLED for _ in folder.glob(pattern)):
        raise ConfigError(
            f"The weights in {str(folder)!r} are pickled files (.bin, .pt), which can run code when they are opened.",
            "Convert them to safetensors: load the model where you trust it and call save_pretrained.",
        )
    raise ConfigError(
        f"The model folder {str(folder)!r} lacks {missing[0]}.", "Copy the weights into the folder again."
    )


def check_config(config: dict[str, Any], name: str) -> None:
    """Refuse a model that comes with its own code.

    Raises:
        ConfigError: `auto_map` is set.
    """
    if "auto_map" in config:
        raise ConfigError(
            f"The model {name!r} comes with code of its own (auto_map in config.json).",
            "Use a model whose architecture is part of transformers.",
        )


def folder_digest(folder: Path) -> str:
    """SHA-256 of the names and contents of `IDENTITY_FILES`; an unchanged file is read once."""
    names = sorted({path.name for pattern in IDENTITY_FILES for path in folder.glob(pattern) if path.is_file()})
    total = hashlib.sha256()
    for name in names:
        facts = (folder / name).stat()
        total.update(
            f"{name}\0{_file_digest(str((folder / name).resolve()), facts.st_size, facts.st_mtime_ns)}\n".encode()
        )
    return total.hexdigest()


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


def _json(path: Path) -> Any:
    """The file's content, or `None` if there is no file."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(
            f"The file {str(path)!r} is not valid JSON: {error}", "Copy the model folder again."
        ) from error


@lru_cache(maxsize=4096)
def _file_digest(path: str, size: int, changed: int) -> str:
    """SHA-256 of a file; size and time only tell the cache whether the file has changed."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
