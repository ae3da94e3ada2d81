"""The door to the terminal: whatever text leaves this process for a person's eyes passes `printable` here, once.

Answers of models, names of files, titles of studies, replies of servers and messages of errors may hold sequences that set a
window's title, write the clipboard, hide lines or reverse text. No caller has to remember that.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import IO, Any, cast

from cavesson.lines import printable


class Door:
    """A text stream that puts a visible sign in place of everything that could drive a terminal."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.rich_proxied_file = stream  # rich's name: consoles write here, because they colour text themselves

    def write(self, text: str) -> int:
        """Write a text; returns its length, as streams do."""
        self._stream.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts, one behind another."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard() -> None:
    """Let everything that this process prints pass the door."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Door):
            setattr(sys, name, cast("IO[str]", Door(stream)))
