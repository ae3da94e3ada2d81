"""What a deployment left behind: one row a task, in the order of arrival."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Log:
    """Tasks in the order of arrival, all arrays [tasks].

    Attributes:
        arrived: when the task came, in days since the first.
        treated: whether the arm with the measure did the task.
        outcome: how bad the outcome was, as labelled: 0 (good) to 1; NaN where it is not known.
        known: when the label came, in days on the same clock; infinite where none came.
        kind: the kind of task, a place in `kinds`.
        weight: what an outcome of 1 costs, as a share of the dearest; 0 to 1.
        now: the end of the log.
        kinds: names of the kinds.
        source: the file, for messages.
    """

    arrived: Array
    treated: NDArray[np.bool_]
    outcome: Array
    known: Array
    kind: NDArray[np.int64]
    weight: Array
    now: float
    kinds: tuple[str, ...] = ("task",)
    source: str = "the log"

    def __len__(self) -> int:
        return len(self.arrived)

    @property
    def cost(self) -> Array:
        """What each outcome cost, [tasks]: 0 to 1, NaN where it is not known."""
        return self.outcome * self.weight

    def known_by(self, moment: float) -> NDArray[np.bool_]:
        """Whose labels were there at a moment, [tasks]."""
        return np.asarray(self.known <= moment)
