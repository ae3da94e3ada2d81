"""Keeping the memory that tensors free, for the tensors that come next."""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Numbers of glibc's `mallopt` parameters (malloc.h)."""

_LARGEST = 64 << 20
"""Size in bytes of blocks that are returned to the system at once, as before."""

_KEPT = 1 << 30
"""Bytes of freed memory that the process may keep."""


@cache
def keep_freed_memory() -> bool:
    """Tell the C library of this process to keep freed memory; returns whether it can be told so (glibc can).

    By default glibc returns every block of some hundred kilobytes to the system and asks for it again, and the system clears
    its pages each time: some 3900 page faults in a training step of the tiny student, a fifth of the step's time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    mallopt(_ARENA_MAX, 1)  # further threads bring arenas of their own, and what is freed there would be kept for ever
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))


def give_back() -> None:
    """Give the freed memory back to the system, after a training; what the process still holds stays where it is."""
    if keep_freed_memory():
        ctypes.CDLL(None).malloc_trim(0)
