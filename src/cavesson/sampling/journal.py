"""The journal of a job whose answers cost money: the answers and their costs, in a file of JSON lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cavesson.sampling.sampler import Completion


class Journal:
    """Completions by key, and their total cost.

    Unlike the generation cache, a journal belongs to one job, deletes nothing, and raises if the file cannot be written.

    Args:
        path: the file, in the job's scratch. A line that a kill has cut short is skipped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, list[Completion]] = {}
        self.cost: Counter[str] = Counter()
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else ():
            with suppress(ValueError, TypeError, AttributeError, RecursionError):
                key, rows, cost = json.loads(line)
                self._take(key, [Completion.of(row) for row in rows], cost)

    def put(self, answers: Iterable[tuple[str, list[Completion], Counter[str]]]) -> None:
        """Write down keys, their completions, and the costs of the completions."""
        with self.path.open("a", encoding="utf-8") as file:
            for key, completions, cost in answers:
                file.write("\n" + json.dumps([key, [completion.row() for completion in completions], cost]))
                self._take(key, completions, cost)

    def _take(self, key: str, completions: list[Completion], cost: dict[str, int]) -> None:
        self.known[key] = completions
        self.cost.update(cost)
