"""What running out of memory looks like, in exceptions and in dead workers, and what to do about it."""

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
"""How CUDA, PyTorch's allocator and the system call it."""


class ShortOfMemory(CavessonError):
    """A stage needed more memory than it could get."""


@contextmanager
def watched(recipe: Recipe) -> Iterator[None]:
    """Turns the ways in which libraries report a lack of memory while a recipe is made into `ShortOfMemory`."""
    try:
        yield
    except Exception as error:  # each library has a class of its own for it
        if _is_shortage(error):
            raise ShortOfMemory(
                f"The memory was not enough to make {recipe.describe()}: {_said(error)}", REMEDY
            ) from error
        raise


def largest_child() -> float:
    """The most memory that any process started and ended by this one ever held, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e9


def _is_shortage(error: Exception) -> bool:
    if isinstance(error, CavessonError):
        return False
    short = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
    return short or (isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS))


def _said(error: Exception) -> str:
    """The library's own words, one line of them."""
    return str(error).partition("\n")[0].rstrip(".")[:200] + "." if str(error) else "an allocation failed."
