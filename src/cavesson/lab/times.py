"""What stages took on this machine, kept in the store, and how long further stages will take."""

from __future__ import annotations

import json
import math
import os
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from cavesson.lab import memory, numerics, processors
from cavesson.lab.effort import Effort

FILE = "times.jsonl"
"""The file in a store that keeps what its stages took."""
MOST = 2000
"""Lines of that file that count, the newest."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one stage took.

    Attributes:
        task: of the recipe (`Recipe.task`).
        weights: of the model; 0: no model, or an unknown one.
        guess: seconds that `Effort.guess` says; 0: the recipe does not say how much work it is.
        seconds: that it took.
        peak: most memory of its process so far, in GB.
        size: bytes of the artifact.
        machine: where it was made.
    """

    task: str
    weights: int
    guess: float
    seconds: float
    peak: float
    size: int
    machine: str


@dataclass(frozen=True)
class Times:
    """What stages took on this machine."""

    past: tuple[Taken, ...] = ()

    def foretold(self, task: str, effort: Effort | None) -> float | None:
        """Seconds that a stage will take; None if its recipe does not say how much work it is and none of its task was made.

        The guess is multiplied by the factor by which earlier guesses were wrong: a mean over all stages made here, to which
        stages of the same task, of a model of the same size and of the same length count most.
        """
        if effort is None:
            same = sorted(one.seconds for one in self.past if one.task == task)
            return same[len(same) // 2] if same else None
        guess, count, wrong = effort.guess(), 0.01, 0.0
        for one in self.past:
            if one.guess:
                apart = 2 * abs(math.log((one.weights + 1e5) / (effort.weights + 1e5)))
                apart += 0.5 * abs(math.log(one.guess / guess)) + (0.0 if one.task == task else 4.0)
                count += math.exp(-apart)
                wrong += math.exp(-apart) * math.log(max(one.seconds, 1e-3) / one.guess)
        return guess * math.exp(wrong / count)


@cache
def here() -> str:
    """What decides how fast this machine is."""
    return f"{numerics.machine_model()}, {len(processors.gpus())} GPUs"


def read(root: Path) -> Times:
    """What the stages of a store took on this machine; a line that cannot be read is left out."""
    past: deque[Taken] = deque(maxlen=MOST)
    with suppress(OSError, UnicodeDecodeError), (root / FILE).open(encoding="utf-8") as lines:
        for line in lines:
            with suppress(ValueError, TypeError):
                one = Taken(**json.loads(line))
                if one.machine == here() and one.guess >= 0 and one.seconds >= 0 and one.weights >= 0:
                    past.append(one)
    return Times(tuple(past))


def note(root: Path, task: str, effort: Effort | None, seconds: float, size: int) -> None:
    """Write down what a stage took, in this process; in a store that cannot be written, do nothing."""
    weights, guess = (0, 0.0) if effort is None else (effort.weights, round(effort.guess(), 4))
    add(root, [Taken(task, weights, guess, round(seconds, 3), round(memory.largest_so_far(), 3), size, here())])


def add(root: Path, taken: Iterable[Taken]) -> None:
    """Add lines to the file of a store; several processes may do so at once."""
    text = "".join(json.dumps(asdict(one)) + "\n" for one in taken)
    with suppress(OSError):
        place = os.open(root / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            os.write(place, text.encode())
        finally:
            os.close(place)
