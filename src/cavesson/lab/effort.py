"""How much work an artifact takes, and a rough model of how long that work takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from cavesson.lab import processors


@dataclass(frozen=True, slots=True)
class Effort:
    """The work of a stage, in units that do not depend on the machine.

    Attributes:
        weights: of the model.
        read: tokens through the model forward, all at once.
        written: tokens sampled.
        trained: tokens through the model forward and backward.
        steps: optimizer steps.
    """

    weights: int
    read: float = 0.0
    written: float = 0.0
    trained: float = 0.0
    steps: float = 0.0

    def __add__(self, other: Effort) -> Effort:
        """Both, on one model."""
        sums = {name: value + getattr(other, name) for name, value in asdict(self).items()}
        return Effort(**sums | {"weights": max(self.weights, other.weights)})

    def times(self, factor: float) -> Effort:
        """So many times the work, on the same model."""
        scaled = {name: value * factor for name, value in asdict(self).items()}
        return Effort(**scaled | {"weights": self.weights})

    def guess(self) -> float:
        """Seconds on a usual machine: one core of a CPU, or a GPU.

        Fitted to what stages took with models of 0.3, 1 and 135 million weights on a core of an AMD and of an Intel processor; the
        factor of a GPU is a guess. `Times` corrects all of it by what stages take.
        """
        size: float = max(self.weights, 1e5) / 1e6
        seconds = size * (1.5e-5 * self.read + 2e-5 * self.written + 4.5e-5 * self.trained)
        seconds += self.steps * (2e-3 + self.weights * 2e-9)
        return 0.1 + self.weights * 3e-9 + (seconds / 50 if processors.gpus() else seconds)
