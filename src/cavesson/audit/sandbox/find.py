"""Which sandbox this machine has."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from cavesson.audit.sandbox.bubblewrap import BubblewrapSandbox
from cavesson.audit.sandbox.protocol import Sandbox
from cavesson.errors import ConfigError


def find_sandbox(*, unsafe: bool = False, hidden: tuple[Path, ...] = ()) -> Sandbox:
    """The sandbox of this machine.

    Args:
        unsafe: run without a sandbox (`--unsafe-no-sandbox`), for code of one's own.
        hidden: folders that the code must not see even inside the interpreter's folders (a bench's answer key).

    Raises:
        ConfigError: the machine has no sandbox; the message says what to install.
    """
    if unsafe:
        from cavesson.audit.sandbox.unsafe import UnsafeSandbox  # needs a POSIX system

        return UnsafeSandbox()
    if sys.platform != "linux" or (program := shutil.which("bwrap")) is None:
        raise ConfigError(
            "Code under audit runs in a sandbox, and bubblewrap (the command bwrap) is not here.",
            "Debian and Ubuntu: apt install bubblewrap. For code that you trust as your own: --unsafe-no-sandbox",
        )
    return BubblewrapSandbox(program, hidden=hidden)
