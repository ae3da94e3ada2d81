"""Whether Python that a file names may run.

Cavesson runs the Python that its user names (`cavesson run mine.py:STUDY`), and installed packages. A study file, an organism file
or a recipe may come from a stranger, and so may the Python that such a file names. This Python runs only after the user has
said so, once for each content: with `--trust`, with `trust` from Python, or with a folder in `CAVESSON_TRUST`.

The hashes of the contents that a user trusts are kept in `trusted.txt` in the user's own configuration folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from cavesson.errors import ConfigError
from cavesson.lab import disk
from cavesson.lines import printable

VARIABLE = "CAVESSON_TRUST"
"""Environment variable: folders whose Python is trusted, and hashes of trusted contents, separated as in PATH."""
OPTION = "--trust"
PACKAGE = Path(__file__).parents[1]
_PLACES = (
    *map(sysconfig.get_path, ("stdlib", "purelib", "platlib")),
    *site.getsitepackages(),
    site.getusersitepackages(),
    *(place for place in sys.path if Path(place).name in ("site-packages", "dist-packages")),  # of another environment
)
LIBRARIES = tuple(
    {f"{place}{os.sep}" for folder in (str(PACKAGE), *_PLACES) for place in (folder, Path(folder).resolve())}
)
"""Folders of code that no user wrote."""

_NAME = re.compile(r"[^\s,\[\]{}'\"=:]+(?=:)|[^\s,\[\]{}'\"=:@]+\.py(?=@)|(?<=lm-eval:)[^\s,\[\]{}'\"=:]+\.yaml")
"""What may be a file or a module in a word of the command line: `my.py` in `--set blue.interventions=[my.py:curt]`, or in
`--bench inspect:my.py@task`, and `my.yaml`, which may name Python, in `--bench lm-eval:my.yaml`."""
_HASH = re.compile("[0-9a-f]{64}")
_said: set[str] = set()
"""Files and modules that the user named himself, and hashes of contents that this process has let run."""
_agreed: bool | None = None
"""Whether the user said `--trust`; None: there is no command line."""


def begin(words: Sequence[str]) -> None:
    """Take note of a command line: of the Python that the user names on it, and whether he says `--trust`."""
    global _agreed
    _agreed = OPTION in words
    _said.clear()
    named(words)


def named(words: Iterable[str]) -> None:
    """Take note of texts in which the user himself names the Python that is to run."""
    words = list(words)
    names = {*(name for word in words for name in _NAME.findall(word)), *(word.rpartition(":")[0] for word in words)}
    _said.update(
        str(Path(name).expanduser().resolve()) if name.endswith((".py", ".yaml")) else name for name in names if name
    )


def trusted_source(file: Path, module: str = "") -> bytes:
    """The content of a file of Python that is about to run.

    Args:
        file: the file, without links in its path.
        module: the name under which the user knows the file, if a module was named.

    Raises:
        ConfigError: nobody has said that this content may run.
        OSError: the file cannot be read.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    source = file.read_bytes()
    digest = hashlib.sha256(source).hexdigest()
    if str(file).startswith(LIBRARIES) or digest in _said or _is_listed(file, digest):
        return source
    if str(file) in _said or module in _said:
        _remember(digest, file)
        return source
    name = printable(str(file))
    if not _agreed:
        how = "cavesson.lab.trust.trust(FILE)" if _agreed is None else f"the same command with {OPTION}"
        raise ConfigError(
            f"{name} is Python code that you did not name yourself, so it has not run (SHA-256 {digest}).",
            f"Read the file. If you trust it, say so once: {how}.",
        )
    print(f"note: running {name} (SHA-256 {digest}), trusted from now on", file=sys.stderr)
    _remember(digest, file)
    return source


def trust(file: Path | str) -> None:
    """Trust the present content of a file of Python, in this process and in later ones.

    Raises:
        OSError: the file cannot be read.
    """
    place = Path(file).expanduser().resolve()
    _remember(hashlib.sha256(place.read_bytes()).hexdigest(), place)


def hand_on() -> None:
    """Let the processes that this process starts trust what this process has loaded already, or has let others load."""
    allowed = {one for one in _said if _HASH.fullmatch(one)}
    digests = {*_entries(), *allowed, *(hashlib.sha256(source).hexdigest() for source in _loaded())}
    os.environ[VARIABLE] = os.pathsep.join(sorted(digests))


def _loaded() -> Iterator[bytes]:
    """The contents of this process's modules that belong to no library."""
    for module in list(sys.modules.values()):
        place = getattr(module, "__file__", None)
        if isinstance(place, str) and not place.startswith(LIBRARIES):
            with suppress(OSError):
                yield Path(place).read_bytes()


def _is_listed(file: Path, digest: str) -> bool:
    """Whether the variable names the file's folder or hash, or the user's list the hash."""
    entries = _entries()
    folders = (Path(entry).expanduser().resolve() for entry in entries if not _HASH.fullmatch(entry))
    return digest in entries or any(map(file.is_relative_to, folders)) or digest in _list()


def _entries() -> list[str]:
    return [entry for entry in os.environ.get(VARIABLE, "").split(os.pathsep) if entry]


def _place() -> Path:
    import platformdirs

    return platformdirs.user_config_path("cavesson") / "trusted.txt"


def _list() -> set[str]:
    """The hashes in the user's list; none if there is no list, or if somebody else could write the list."""
    try:
        with disk.private_file(_place(), os.O_RDONLY) as file:
            return {line.decode(errors="replace").partition(" ")[0] for line in file}
    except OSError:
        return set()


def _remember(digest: str, file: Path) -> None:
    """Let a content run: in this process, and through the user's list in later ones."""
    _said.add(digest)
    line = f"{digest}  {' '.join(printable(str(file)).split())}\n"
    with suppress(OSError):  # there is no private folder to write: the next process asks again
        disk.private_folder(_place().parent)
        with disk.private_file(_place(), os.O_WRONLY | os.O_APPEND | os.O_CREAT) as own_list:
            own_list.write(line.encode())
