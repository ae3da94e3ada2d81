"""A rank: one of several processes that make an artifact together. The parent starts it (`cavesson.lab.ranks`)."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from cavesson.lab.child import to_parent
from cavesson.lab.ranks import Leave
from cavesson.lab.recipe import Recipe
from cavesson.lab.stage import Listener, Message, StageJob, reported
from cavesson.lab.store import Store
from cavesson.lab.worker import serve

PATIENCE = timedelta(days=7)
"""How long a rank waits for another one: rank 0 scores checkpoints by itself. The parent ends all ranks when one dies."""


def main() -> None:
    """Serve one order. Arguments: store, rank, number of ranks, the file at which they meet, folder, scratch folder."""
    connection, (root, rank, count, meeting, folder, scratch) = to_parent()
    serve(connection, partial(_run, Store(Path(root)), int(rank), int(count), meeting, Path(folder), Path(scratch)))


def _run(
    store: Store,
    rank: int,
    count: int,
    meeting: str,
    folder: Path,
    scratch: Path,
    fingerprint: str,
    content: dict[str, Any],
    listener: Listener,
) -> Message:
    def make() -> bool:
        import torch

        recipe = Recipe.parse(content)
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        if backend == "gloo" and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, range(os.cpu_count() or 1))  # a pool's worker has one core, and so would all ranks
        torch.distributed.init_process_group(
            backend, init_method=f"file://{meeting}", rank=rank, world_size=count, timeout=PATIENCE
        )
        return _made(lambda: recipe.make(StageJob(store, recipe, folder, listener, scratch)))

    return reported(make)


def _made(make: Callable[[], None]) -> bool:
    try:
        make()
    except Leave:
        return False
    return True


if __name__ == "__main__":
    main()
