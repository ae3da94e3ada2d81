"""How a lack of memory shows, in exceptions and in dead workers, and what the user can do."""

from __future__ import annotations

import errno
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cavesson.errors import CavessonError
from cavesson.lab.recipe import Recipe

REMEDY = "Use fewer workers (--workers 1), a smaller batch (batch_size) or a smaller model, or free memory."

_TEXTS = ("out of memory", "can't allocate memory", "Cannot allocate memory")
"""Texts of CUDA, PyTorch's allocator and the system for a lack of memory."""


class ShortOfMemory(CavessonError):
    """A stage needed more memory than there was."""


@contextmanager
def watched(recipe: Recipe) -> Iterator[None]:
    """Turn the exceptions that report a lack of memory while a recipe is made into `ShortOfMemory`."""
    try:
        yield
    except Exception as error:  # each library has an exception class of its own
        if _is_shortage(error):
            raise ShortOfMemory(
                f"The memory was not enough to make {recipe.describe()}: {_first_line(error)}", REMEDY
            ) from error
        raise


def largest_child() -> float:
    """The most memory that any finished child process of this process has held, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e9


def largest_so_far() -> float:
    """The most memory that this process has held, in GB; on a GPU, of the GPU."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return float(torch.cuda.max_memory_reserved()) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _is_shortage(error: Exception) -> bool:
    if isinstance(error, CavessonError):
        return False
    short = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
    return short or (isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS))


def _first_line(error: Exception) -> str:
    """The first line of the library's own message."""
    return str(error).partition("\n")[0].rstrip(".")[:200] + "." if str(error) else "an allocation failed."
