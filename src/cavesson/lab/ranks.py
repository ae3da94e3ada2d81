"""A stage that several processes of this machine make together: the ranks of a torch process group.

Every rank runs the recipe's `make`. Rank 0 writes the artifact; the other ranks work in folders that are thrown away, with links
to the files of the scratch folder, and end when their share of the work is done (`cavesson.training.sharing`). With GPUs each
rank has one of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from cavesson.errors import CavessonError, ConfigError
from cavesson.lab.child import Child
from cavesson.lab.processors import gpus
from cavesson.lab.recipe import Recipe

LISTEN_SECONDS = 0.2
"""Seconds after which the user's wish to stop is noticed at the latest."""


class Leave(Exception):
    """Ends a rank above 0, whose share of the work is done."""


def make_together(
    recipe: Recipe, root: Path, folder: Path, scratch: Path, heard: Callable[[Any], None], stopping: Callable[[], bool]
) -> tuple[Any, ...]:
    """Let `recipe.ranks` processes make a recipe.

    Args:
        root: the store's folder.
        folder: the empty folder of the artifact.
        scratch: the recipe's scratch folder.
        heard: called with rank 0's messages of progress.
        stopping: whether the user asked to stop.

    Returns:
        the last message of rank 0, or of the rank that failed: a `cavesson.lab.stage.Message`.

    Raises:
        ConfigError: there are GPUs, and fewer than ranks.
        CavessonError: a rank died.
    """
    _check_gpus(recipe)
    with ExitStack() as open_:
        places = open_.enter_context(_places(recipe.ranks, folder, scratch))
        ranks: list[Child] = []
        for number, (variables, arguments) in enumerate(places):
            given = (str(root), str(number), str(recipe.ranks), *arguments)
            ranks.append(Child.start("cavesson.lab.rank", *given, variables=variables))
            open_.callback(_end, ranks[-1])
        for rank in ranks:
            rank.connection.send(("run", recipe.fingerprint, recipe.model_dump(mode="json")))
        return _last_message(recipe, ranks, heard, stopping)


def _last_message(
    recipe: Recipe, ranks: list[Child], heard: Callable[[Any], None], stopping: Callable[[], bool]
) -> tuple[Any, ...]:
    waiting = {rank.connection: number for number, rank in enumerate(ranks)}
    told = False
    while True:
        for connection in wait(list(waiting), timeout=LISTEN_SECONDS):
            number = waiting[connection]  # type: ignore[index]
            try:
                message: tuple[Any, ...] = ranks[number].connection.recv()
            except (EOFError, OSError):
                raise _death(recipe, number, ranks[number]) from None
            if message[0] == "progress":
                if number == 0:
                    heard(message)
            elif number == 0 or message[0] not in ("done", "stopped"):
                return message
            else:
                del waiting[ranks[number].connection]
        if stopping() and not told:
            told = True
            with contextlib.suppress(OSError):  # rank 0 is dead: the next `wait` finds its connection closed
                ranks[0].connection.send(("stop",))


def _check_gpus(recipe: Recipe) -> None:
    """Refuse more ranks than GPUs, where there are GPUs."""
    there = len(gpus())
    if 0 < there < recipe.ranks:
        raise ConfigError(
            f"{recipe.describe()} is to be shared by {recipe.ranks} processes, and this one sees {there} GPU{'s' * (there > 1)}.",
            f"Set `processes: {there}`; or, as the workers of a pool see one GPU each, run with --workers 1.",
        )


@contextmanager
def _places(count: int, folder: Path, scratch: Path) -> Iterator[list[tuple[dict[str, str], list[str]]]]:
    """For each rank its environment, and the places that it works in: the file at which ranks meet, its folder, its scratch."""
    visible = gpus()
    with tempfile.TemporaryDirectory(prefix="cavesson-ranks-", ignore_cleanup_errors=True) as aside:
        found = []
        for rank in range(count):
            own, notes = (folder, scratch) if rank == 0 else (Path(aside, f"{rank}"), Path(aside, f"{rank}-scratch"))
            if rank > 0:
                own.mkdir()
                if scratch.is_dir():
                    shutil.copytree(scratch, notes, copy_function=os.symlink)
            gpu = {"CUDA_VISIBLE_DEVICES": visible[rank]} if visible else {}
            found.append((gpu, [str(Path(aside, "meeting")), str(own), str(notes)]))
        yield found


def _end(rank: Child) -> None:
    """End a rank at once: it may be waiting for a rank that is no more."""
    rank.process.kill()
    rank.close()


def _death(recipe: Recipe, number: int, rank: Child) -> CavessonError:
    rank.process.wait()
    said = f" It printed last: {rank.last_words}" if rank.last_words else ""
    return CavessonError(
        f"Process {number + 1} of {recipe.ranks} that made {recipe.describe()} together ended ({rank.end}).{said}",
        "Look at the memory of the machine and of its GPUs. The same command goes on where it was.",
    )
