"""The choice of a display for the console."""

from __future__ import annotations

import os
import sys

from cavesson.lab.progress import Display


def console_display() -> Display:
    """A live display for a terminal; plain lines in a pipe, in CI, on a dumb terminal or with `NO_COLOR`.

    Both write to standard error, so that standard output carries results alone.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("CI") or os.environ.get("TERM") == "dumb"
    if plain or not (sys.stdout.isatty() and sys.stderr.isatty()):
        from cavesson.lab.show.board import Plain

        return Plain(sys.stderr)
    from cavesson.lab.show.live import Live

    return Live()
