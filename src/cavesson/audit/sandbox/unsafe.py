"""No sandbox: for code of one's own, and machines without bubblewrap (`--unsafe-no-sandbox`).

The command runs as the user, with the user's files and network. The limits are kept as far as possible from outside.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from cavesson.audit.sandbox.bringback import bring_back
from cavesson.audit.sandbox.capture import capture
from cavesson.audit.sandbox.protocol import ENVIRONMENT, Limits, Ran, Reason
from cavesson.audit.sandbox.warden import send_files
from cavesson.audit.workspace import inside
from cavesson.errors import ConfigError
from cavesson.lines import printable

_LAUNCH = """
import os, resource, sys
cpu, size = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
try:
    os.execvp(sys.argv[3], sys.argv[3:])
except OSError as error:
    sys.exit(f"{sys.argv[3]}: {error.strerror}")
"""


class UnsafeSandbox:
    """Runs commands in a copy of the folder, without any other protection."""

    name = "none"

    def run(
        self, command: list[str], folder: Path, limits: Limits = Limits(), *, writable: tuple[str, ...] = ()
    ) -> Ran:
        """See `Sandbox.run`; memory, processes and disk are not limited."""
        if not folder.is_dir():
            raise ConfigError(f"There is no folder {folder} to run in.", "Name the folder of a workspace.")
        wanted = [inside(path) for path in writable]
        with tempfile.TemporaryDirectory(prefix="cavesson-unsafe-") as home:
            work = shutil.copytree(folder, Path(home) / "workspace")
            ran = _run(command, work, limits, home)
            stream = io.BytesIO()
            for path in wanted:
                send_files(stream, str(work), path)
            bring_back(stream.getvalue(), wanted, folder)
            return ran


def _run(command: list[str], work: Path, limits: Limits, home: str) -> Ran:
    path = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)])
    pipes = [os.pipe() for _ in range(2)]
    (out, err), ends = [reader for reader, _ in pipes], [writer for _, writer in pipes]
    started = time.monotonic()
    launch = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(int(limits.cpu_s) + 1), str(limits.disk_mb << 20)]
    try:
        process = subprocess.Popen(
            [*launch, *command], cwd=work, stdin=subprocess.DEVNULL, stdout=ends[0], stderr=ends[1],
            env={**ENVIRONMENT, "PATH": path, "HOME": home, "TMPDIR": home}, start_new_session=True,
        )  # fmt: skip
    finally:
        for end in ends:
            os.close(end)
    caps = {out: limits.output_bytes, err: limits.output_bytes}
    read, overflowed, late = capture(process, caps, started + limits.wall_s)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    reason: Reason | None = "output" if overflowed else "wall" if late else "cpu" if process.returncode == -24 else None
    stdout, stderr = (printable(read[pipe].decode("utf-8", "replace")) for pipe in (out, err))
    seconds = time.monotonic() - started
    return Ran(
        process.returncode, stdout, stderr, timed_out=reason in ("wall", "cpu"), killed_for=reason, seconds=seconds
    )
