"""What a user should know of a model, said once in a process, on the error stream."""

from __future__ import annotations

import logging
from functools import lru_cache

_log = logging.getLogger("cavesson")
_log.setLevel(logging.WARNING)  # whatever another library makes of the root logger


@lru_cache(maxsize=4096)
def note(text: str) -> None:
    """Say a sentence; the same sentence is said once. Python prints a warning of a logger without any set-up."""
    _log.warning("note: %s", text)
