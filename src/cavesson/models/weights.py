"""The weight files of a model folder: which files are read, and what their headers say. No weight is read here."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from cavesson.errors import ConfigError

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
DTYPE_NAMES = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}
"""The types in which safetensors may store the weights of a model → their names in torch."""
WEIGHT_TYPES = ("float32", "bfloat16", "float16")
"""What weights may be held in."""

_OF_A_TRAINER = ("training_args", "optimizer", "scheduler", "scaler", "rng_state")
_POINTER = b"version https://git-lfs.github.com/spec/"


class Stored(NamedTuple):
    """What a header says of a tensor: the name of its type in safetensors, and its shape."""

    dtype: str
    shape: tuple[int, ...]


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files that hold the model's weights: one file, or the shards that an index names.

    Raises:
        ConfigError: there are no weights, or only pickled weights; a shard is missing or lies outside the folder; or the
            folder holds one model twice.
    """
    index = folder / INDEX
    shards = shards_of(index) if index.is_file() else (WHOLE,)
    if index.is_file() and (folder / WHOLE).is_file() and shards != (WHOLE,):
        raise ConfigError(
            f"The folder {str(folder)!r} holds weights twice: {WHOLE}, and the shards of {INDEX}.",
            "Take the file or the index with its shards out of the folder.",
        )
    missing = [name for name in shards if not (folder / name).is_file()]
    if missing and not index.is_file() and pickles(folder):
        raise ConfigError(
            f"The weights in {str(folder)!r} are pickled files (.bin, .pt), which can run code when they are opened.",
            "Convert them to safetensors: load the model where you trust it and call save_pretrained.",
        )
    if missing:
        raise ConfigError(
            f"The model folder {str(folder)!r} lacks {missing[0]}.", "Copy the weights into the folder again."
        )
    return tuple(folder / name for name in shards)


def shards_of(index: Path) -> tuple[str, ...]:
    """Names of the shards that an index names, relative to its folder."""
    content = read_json(index)
    places = content.get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise ConfigError(
            f"The file {str(index)!r} has no weight_map from tensors to files.", "Copy the model folder again."
        )
    names = sorted(set(places.values()))
    for name in names:
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or "\\" in name or ":" in name or place.suffix != ".safetensors":
            raise ConfigError(
                f"The file {str(index)!r} names weights outside its folder, or no safetensors file: {name!r}.",
                "Put all safetensors files into the model's folder, and write their bare names into the index.",
            )
    return tuple(names)


def pickles(folder: Path) -> list[str]:
    """Names of pickled weights in a folder; they are never read."""
    names = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
    return [name for name in names if not name.startswith(_OF_A_TRAINER)]


def stored(folder: Path) -> dict[str, Stored]:
    """The tensors of a model folder by name.

    Raises:
        ConfigError: see `weight_files` and `header`; or a tensor stands in two files.
    """
    found: dict[str, Stored] = {}
    for path in weight_files(folder):
        tensors = header(path)
        if twice := found.keys() & tensors.keys():
            raise ConfigError(
                f"The weights in {str(folder)!r} hold {min(twice)!r} twice, the second time in {path.name}.",
                "Copy the weights into an empty folder again.",
            )
        found.update(tensors)
    return found


def header(path: Path) -> dict[str, Stored]:
    """The tensors of one safetensors file by name, from its header.

    Raises:
        ConfigError: the file is a pointer of git-lfs, or no whole safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    check_pointer(path)
    try:
        if not path.stat().st_size:
            raise ValueError("it is empty")
        with safe_open(path, framework="np") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            return {name: Stored(part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
    except (SafetensorError, OSError, ValueError) as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise ConfigError(
            f"{str(path)!r} is not a whole safetensors file: {reason}.", "Copy or download the weights again."
        ) from error


def size(path: Path) -> int:
    """Number of weights in one safetensors file."""
    return sum(math.prod(tensor.shape) for tensor in header(path).values())


@cache
def weights_in(folder: Path) -> int:
    """Number of weights in a folder's safetensors files, from their headers alone; 0 if they cannot be read."""
    try:
        return sum(map(size, folder.glob("*.safetensors")))
    except (OSError, ConfigError):
        return 0


def check_pointer(path: Path) -> None:
    """Refuse a file that only says where git-lfs keeps the content.

    Raises:
        ConfigError: the file is such a pointer.
    """
    with path.open("rb") as file:
        begins = file.read(len(_POINTER))
    if begins == _POINTER:
        raise ConfigError(
            f"The file {str(path)!r} is a pointer of git-lfs, not the content itself.",
            "Fetch the content: run `git lfs pull` in the folder, or download the model with `hf download`.",
        )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a model.

    Raises:
        ConfigError: the file is a pointer of git-lfs, is not valid JSON, or holds no object.
    """
    check_pointer(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"The file {str(path)!r} is not valid JSON: {error}", "Copy the model folder again."
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(f"The file {str(path)!r} does not hold a JSON object.", "Copy the model folder again.")
    return content


def _constant(name: str) -> float:
    """The value of a constant that Python's JSON knows; limits of some models are infinite, but nothing may be NaN."""
    if name == "NaN":
        raise ValueError("a value is NaN")
    return float(name)
