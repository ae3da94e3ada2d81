"""One stage: the making of one artifact in this process, on one thread."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cavesson.errors import CavessonError, Stopped
from cavesson.lab import memory, ranks
from cavesson.lab.own import fault_of
from cavesson.lab.processors import THREADS
from cavesson.lab.recipe import Recipe
from cavesson.lab.store import Store

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS"),
    str(THREADS),
)
"""Environment variables that keep numerical libraries to `THREADS`, if set before the libraries are imported."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage has come, in its own units, and its current figures (loss, rates)."""

    done: float
    total: float
    figures: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def fraction(self) -> float:
        """Between 0 and 1."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total > 0 else 0.0


Message = tuple[Any, ...]
"""What the process that runs a stage reports; a tuple of values that pickle:

    ("progress", done, total, figures) | ("waiting", holder), then one of
    ("done", made) | ("lacks", recipe as JSON values) | ("stopped",) | ("error", CavessonError) | ("crash", text)
"""


class InputMissing(Exception):
    """A stage needs an artifact that is missing or damaged; the stage has to wait until the artifact is made."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe.fingerprint)
        self.recipe = recipe


@dataclass(frozen=True)
class Listener:
    """The functions with which a running stage reports, and learns that the user asked to stop."""

    progress: Callable[[Progress], None]
    waiting: Callable[[str], None]
    stopping: Callable[[], bool]


class StageJob:
    """The job that `Recipe.make` gets (see `cavesson.lab.recipe.Job`)."""

    threads = THREADS

    def __init__(
        self, store: Store, recipe: Recipe, folder: Path, listener: Listener, scratch: Path | None = None
    ) -> None:
        self.folder = folder
        self.scratch = scratch or store.scratch(recipe)
        self.cache = store.cache
        self._store = store
        self._recipe = recipe
        self._listener = listener

    def path(self, recipe: Recipe) -> Path:
        """Folder of a finished artifact.

        Raises:
            InputMissing: the artifact is missing or damaged.
        """
        if recipe == self._recipe:
            raise RuntimeError(f"{recipe.describe()} asks for its own artifact while making it")
        if not recipe.virtual and not self._store.here(recipe):
            raise InputMissing(recipe)
        return self._store.path(recipe)

    def progress(self, done: float, total: float, **figures: float | str) -> None:
        """Report progress; raises `Stopped` if the user asked to stop."""
        self._listener.progress(Progress(done, total, figures))
        if self._listener.stopping():
            raise Stopped


def run_stage(store: Store, recipe: Recipe, listener: Listener) -> bool:
    """Make one artifact; False if another process has made the artifact meanwhile.

    Raises:
        InputMissing: an input is missing or damaged.
        Stopped: the user asked to stop; scratch is kept.
        ShortOfMemory: the stage needed more memory than there was; scratch is kept.
    """

    def waiting(holder: str) -> None:
        listener.waiting(holder)
        if listener.stopping():
            raise Stopped

    with store.making(recipe, waiting) as folder:
        if folder is None:
            return False
        with memory.watched(recipe):
            if recipe.ranks > 1:
                _make_together(store, recipe, folder, listener)
            else:
                recipe.make(StageJob(store, recipe, folder, listener))
    return True


def _make_together(store: Store, recipe: Recipe, folder: Path, listener: Listener) -> None:
    """Let several processes make an artifact; errors as of `run_stage`."""

    def heard(message: Message) -> None:
        listener.progress(Progress(*message[1:]))

    end = ranks.make_together(recipe, store.root, folder, store.scratch(recipe), heard, listener.stopping)
    match end:
        case ("lacks", content):
            raise InputMissing(Recipe.parse(content))
        case ("stopped",):
            raise Stopped
        case ("error", error):
            raise error
        case ("crash", text):
            raise RuntimeError(text)


def run_reported(store: Store, fingerprint: str, content: dict[str, Any], listener: Listener) -> Message:
    """`run_stage` for a process other than the lab's; returns the message that says how the stage ended.

    Args:
        fingerprint: the recipe's fingerprint, as the lab knows it.
        content: the recipe as JSON values.
    """

    def make() -> bool:
        recipe = Recipe.parse(content)
        if recipe.fingerprint != fingerprint:
            raise RuntimeError(f"a {recipe.kind} recipe has another fingerprint after writing and reading")
        return run_stage(store, recipe, listener)

    return reported(make)


def reported(make: Callable[[], bool]) -> Message:
    """Make something; returns the message that says how that ended."""
    try:
        return "done", make()
    except InputMissing as missing:
        return "lacks", missing.recipe.model_dump(mode="json")
    except Stopped:
        return ("stopped",)
    except CavessonError as error:
        return "error", error
    except Exception as error:
        if (fault := fault_of(error)) is not None:
            return "error", fault
        return _crash(error)
    except BaseException as error:  # a bug in a recipe must not end the worker silently
        return _crash(error)


def _crash(error: BaseException) -> Message:
    return "crash", f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}"


def with_stage_note(error: Exception, recipe: Recipe, called: str = "") -> Exception:
    """The error, with a note that names its stage: what a study calls its artifact, and what the artifact is."""
    name = f"{called}: " if called else ""
    error.add_note(f"In the stage: {name}{recipe.describe()} ({recipe.fingerprint[:12]})")
    return error


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep numerical libraries to one thread, both loaded libraries and those still to be loaded."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch is not None else None
    if torch is not None:
        torch.set_num_threads(THREADS)
    try:
        with variables(ONE_THREAD):
            yield
    finally:
        if torch is not None:
            torch.set_num_threads(threads)


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
