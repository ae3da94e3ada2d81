"""Python processes that this process starts and speaks with over a socket pair.

When the parent ends, for whatever reason, the socket closes. On Linux the kernel kills the child as well, for code that never
leaves a library would keep Python from seeing the closed socket.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Self

END_SECONDS = 2.0
"""Seconds that a child may take to end once its connection is closed."""

PR_SET_PDEATHSIG = 1
"""Linux, prctl(2): the signal that a process gets when the thread that started the process ends."""


@dataclass(frozen=True)
class Child:
    """A process, the parent's end of its connection, and a file with what it prints."""

    process: subprocess.Popen[bytes]
    connection: Connection
    output: IO[bytes]

    @classmethod
    def start(cls, module: str, *arguments: str, variables: Mapping[str, str]) -> Self:
        """Start `python -m module`, whose `main` calls `to_parent`, in a process group of its own: Ctrl-C reaches the parent alone.

        Args:
            arguments: what `to_parent` gives back.
            variables: of the environment, besides those of this process.
        """
        ours, theirs = socket.socketpair()
        output = _output()
        in_main = (
            threading.current_thread() is threading.main_thread()
        )  # the kernel looks at the thread, not the process
        given = [str(theirs.fileno()), str(os.getpid() if in_main else 0), *arguments]
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, *given],
                pass_fds=(theirs.fileno(),),
                env={**os.environ, **variables, "PYTHONPATH": _import_path()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        return cls(process, Connection(ours.detach()), output)

    def close(self) -> str:
        """End the process; returns the last line that the process printed."""
        self.connection.close()
        try:
            self.process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with self.output:
            return self.last_words

    @property
    def last_words(self) -> str:
        """The last line that the process has printed."""
        self.output.seek(0)
        lines = self.output.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    @property
    def end(self) -> str:
        """How the process ended, in words."""
        code = self.process.returncode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def to_parent() -> tuple[Connection, list[str]]:
    """In a child: the connection with the parent, and the arguments that the parent gave; the child dies with its parent."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    if parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent has ended before the call
            sys.exit(1)
    return Connection(descriptor), sys.argv[3:]


def _output() -> IO[bytes]:
    """A file for what a child prints, open for as long as the child lives; nothing is kept without a temporary folder."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return Path(os.devnull).open("w+b")


def _import_path() -> str:
    """The import path of this process, so that children can import the same modules."""
    return os.pathsep.join(str(Path(place or ".").absolute()) for place in sys.path)
