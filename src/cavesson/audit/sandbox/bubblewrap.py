"""The sandbox: bubblewrap's namespaces around a warden (`warden.py`) that keeps the limits.

The command sees the system's programs and libraries and the project's interpreter with its packages, all read-only; a
copy of its folder in a memory file system of limited size, which is also /tmp and its home; and its own processes.
There is no network but a loopback of its own, no home folder, no store, no bench: where the packages hold this project
itself, with the answer key of the built-in bench, an empty folder covers the project.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from cavesson import version
from cavesson.audit.sandbox.bringback import bring_back
from cavesson.audit.sandbox.capture import capture
from cavesson.audit.sandbox.protocol import ENVIRONMENT, Limits, Ran, Reason, SandboxError
from cavesson.audit.sandbox.syscalls import filter_program
from cavesson.audit.workspace import inside
from cavesson.errors import ConfigError
from cavesson.lines import printable

HOME, WORK, SOURCE, WARDEN = "/tmp", "/tmp/workspace", "/run/source", "/run/warden.py"

GRACE_S = 5.0
"""Seconds after the limit of wall time in which the warden ends the command and sends an answer."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/nix/store")


class BubblewrapSandbox:
    """Runs commands through `bwrap`.

    Args:
        program: path of `bwrap`.
        hidden: folders that look empty to the command if they lie inside a folder that the command may read.
    """

    name = "bubblewrap"

    def __init__(self, program: str = "bwrap", hidden: tuple[Path, ...] = ()) -> None:
        shown = _interpreter()
        covered = [path.resolve() for path in (*_own_folders(), *hidden)]
        self._program = program
        self._binds = [
            *(word for path in _SYSTEM if Path(path).exists() for word in _bind_or_link(Path(path))),
            *(word for path in shown for word in ("--ro-bind", str(path), str(path))),
            *(word for path in covered if _is_shown(path, shown) for word in _cover(path)),
        ]

    def run(
        self, command: list[str], folder: Path, limits: Limits = Limits(), *, writable: tuple[str, ...] = ()
    ) -> Ran:
        """See `Sandbox.run`."""
        if not folder.is_dir():
            raise ConfigError(f"There is no folder {folder} to run in.", "Name the folder of a workspace.")
        wanted = [inside(path) for path in writable]
        filtered = _filter()
        pipes = [os.pipe() for _ in range(3)]
        (out, err, answer), ends = [reader for reader, _ in pipes], [writer for _, writer in pipes]
        request = {
            "source": SOURCE,
            "work": WORK,
            "command": command,
            "limits": {name: getattr(limits, name) for name in limits.__slots__},
            "bring_back": wanted,
            "nice": os.nice(0),
            "answer": ends[2],
        }
        seccomp = [] if filtered is None else ["--seccomp", str(filtered)]
        arguments = [
            *_ahead(),
            *self._view(limits, folder),
            *seccomp,
            "--",
            sys.executable,
            "-I",
            "-S",
            WARDEN,
            json.dumps(request),
        ]
        started = time.monotonic()
        passed = (ends[2],) if filtered is None else (ends[2], filtered)
        try:
            process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=ends[0], stderr=ends[1], pass_fds=passed, env={}
            )
        finally:
            for end in {*ends, *passed}:
                os.close(end)
        caps = {out: limits.output_bytes, err: limits.output_bytes, answer: 2 * limits.disk_mb << 20}
        read, overflowed, late = capture(process, caps, started + limits.wall_s + GRACE_S)
        stdout, stderr = (printable(read[pipe].decode("utf-8", "replace")) for pipe in (out, err))
        reason: Reason | None = "output" if overflowed in (out, err) else "disk" if overflowed else None
        returncode = -9
        if late:
            reason = "wall"
        if reason is None:
            head, _, files = bytes(read[answer]).partition(b"\n")
            if not head:
                raise SandboxError(
                    f"The sandbox did not start: {stderr.strip() or f'bwrap ended with {process.returncode}'}",
                    "bubblewrap needs user namespaces: try `bwrap --unshare-all --ro-bind / / true`. "
                    "In a container they may be forbidden; allow them there, or run outside it.",
                )
            happened = json.loads(head)
            returncode, reason = happened["returncode"], happened["killed_for"]
            bring_back(files, wanted, folder)
        seconds = time.monotonic() - started
        return Ran(returncode, stdout, stderr, timed_out=reason in ("wall", "cpu"), killed_for=reason, seconds=seconds)

    def _view(self, limits: Limits, folder: Path) -> list[str]:
        """The command line of bwrap: namespaces, visible folders, the environment."""
        path = os.pathsep.join([str(Path(sys.prefix) / "bin"), "/usr/local/bin", "/usr/bin", "/bin"])
        environment = {**ENVIRONMENT, "PATH": path, "HOME": HOME, "TMPDIR": HOME}
        return [
            *(self._program, "--unshare-all", "--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000"),
            *("--hostname", "audit", "--as-pid-1", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
            # For root's own sandboxes the kernel's settings in /proc would be writable without the second word.
            *(
                "--proc",
                "/proc",
                "--remount-ro",
                "/proc",
                "--dev",
                "/dev",
                *_memory("/dev/shm", 16 << 20),
                "--remount-ro",
                "/dev",
            ),
            *_memory(HOME, limits.disk_mb << 20),
            *self._binds,
            *("--ro-bind", str(folder.absolute()), SOURCE),
            *("--ro-bind", str(Path(__file__).with_name("warden.py")), WARDEN),
            *("--remount-ro", "/"),
            *(word for name, value in environment.items() for word in ("--setenv", name, value)),
            *("--chdir", "/"),
        ]


def _ahead() -> list[str]:
    """For root the kernel keeps no limit of processes; the warden keeps the limit, and must not wait its turn in a fork
    bomb."""
    return ["nice", "-n", "-20"] if os.geteuid() == 0 else []


def _filter() -> int | None:
    """A pipe from which bwrap reads the filter of system calls."""
    program = filter_program()
    if program is None:
        return None
    reader, writer = os.pipe()
    os.write(writer, program)
    os.close(writer)
    return reader


def _interpreter() -> list[Path]:
    """Folders of the interpreter that runs this, and of its packages, outside the system's."""
    folders = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_prefix).resolve()}
    folders.add(Path(sys.executable).resolve().parents[1])
    return sorted(folder for folder in folders if not folder.is_relative_to("/usr"))


def _own_folders() -> list[Path]:
    """The folders of this project's code with the answer key, and of the list of installed files, which names the
    answer key."""
    package = Path(version.__file__).resolve().parent
    return [package, *package.parent.glob("cavesson-*.dist-info"), *_dist_info()]


def _dist_info() -> list[Path]:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        files = distribution("cavesson").files or []
    except PackageNotFoundError:
        return []
    return sorted({Path(str(file.locate())).parent for file in files if file.parent.suffix == ".dist-info"})


def _is_shown(path: Path, shown: list[Path]) -> bool:
    return path.is_dir() and any(path.is_relative_to(base.resolve()) for base in (*shown, *map(Path, _SYSTEM)))


def _bind_or_link(path: Path) -> list[str]:
    """/bin and the like are links into /usr on most systems."""
    return ["--symlink", str(path.readlink()), str(path)] if path.is_symlink() else ["--ro-bind", str(path), str(path)]


def _memory(path: str, size: int) -> list[str]:
    return ["--size", str(size), "--tmpfs", path]


def _cover(path: Path) -> list[str]:
    return [*_memory(str(path), 4096), "--remount-ro", str(path)]
