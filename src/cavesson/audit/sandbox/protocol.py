"""Running code that may be hostile: the protocol of sandboxes.

Everything under audit is hostile code. A sandbox runs one command in a *copy* of a folder, without network, under
limits, and gives back the printed text and the files that were asked for, no other files. `bubblewrap.py` is the real
sandbox.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from cavesson.errors import CavessonError, ConfigError

Reason = Literal["cpu", "wall", "memory", "processes", "output", "disk"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a command may use; at a limit the command is killed with all its children.

    Attributes:
        cpu_s: seconds of processor time, of all its processes together.
        wall_s: seconds from start to end.
        memory_mb: megabytes of memory, of all its processes together.
        processes: processes and threads at a time.
        output_bytes: bytes that the command may print, on stdout and stderr each.
        disk_mb: megabytes of files, the copy of the folder included.
    """

    cpu_s: float = 60
    wall_s: float = 120
    memory_mb: int = 2048
    processes: int = 64
    output_bytes: int = 1_000_000
    disk_mb: int = 256

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"The limit {name} is {value}; it must be a number above 0.", "Give a larger one.")


@dataclass(frozen=True, slots=True)
class Ran:
    """The end of a command.

    Attributes:
        returncode: exit status; minus the signal's number if a signal ended the command.
        stdout: printed text; what could drive a terminal or hide is shown as a sign.
        stderr: error output, treated alike.
        timed_out: whether a time limit ended the command (`wall` or `cpu`).
        killed_for: the limit that ended the command, or None.
        seconds: duration from start to end, the sandbox's own start included.
    """

    returncode: int
    stdout: str
    stderr: str
    timed_out: bool
    killed_for: Reason | None
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the command ended by itself, with status 0."""
        return self.returncode == 0 and self.killed_for is None

    def why(self) -> str:
        """One line on a failure: the limit, or the last line on stderr."""
        if self.killed_for is not None:
            return f"killed at its limit of {self.killed_for}"
        last = (self.stderr.strip() or self.stdout.strip() or "it printed nothing").rpartition("\n")[2]
        return f"exit status {self.returncode}: {last[:300]}"


class Sandbox(Protocol):
    """A place to run code that may be hostile; `name` is part of the key of a cached result."""

    name: str

    def run(
        self, command: list[str], folder: Path, limits: Limits = Limits(), *, writable: tuple[str, ...] = ()
    ) -> Ran:
        """Run a command in a copy of a folder.

        Args:
            command: program and arguments; `python` is the interpreter of this process, with its packages.
            folder: a copy of this folder is where the command starts and may change anything.
            limits: limits at which the command is killed.
            writable: files and folders, relative to `folder`, that are brought back from the copy when the command
                ends, in place of earlier files; regular files only. Everything else that the command wrote is gone.

        Raises:
            SandboxError: the sandbox itself did not start.
        """
        ...


class SandboxError(CavessonError):
    """The sandbox itself failed; nothing was run."""

    exit_code = 2


class DamagedAnswer(SandboxError):
    """What came back out of the sandbox cannot be what the sandbox sent: the code inside is to blame."""


ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHONUTF8": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "USER": "nobody",
}
"""The environment of a command, besides PATH, HOME and TMPDIR: the same on every machine."""
