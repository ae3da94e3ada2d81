"""Hooks into training."""

import math


class Callback:
    """Base class; every hook does nothing."""

    def on_start(self, trainer) -> None:
        """Called before the first step."""

    def on_step(self, trainer, step: int, loss: float) -> None:
        """Called after every step."""

    def on_end(self, trainer) -> None:
        """Called after the last step."""


class LossHistory(Callback):
    """Running mean of the loss."""

    def __init__(self, every: int = 20, smoothing: float = 0.95) -> None:
        self.every = every
        self.smoothing = smoothing
        self.values: list[float] = []
        self._running: float | None = None

    def on_step(self, trainer, step: int, loss: float) -> None:
        self._running = loss if self._running is None else self.smoothing * self._running + (1 - self.smoothing) * loss
        if step % self.every == 0:
            self.values.append(self._running)


class StopOnNan(Callback):
    """Ends a training whose loss is not a number."""

    def on_step(self, trainer, step: int, loss: float) -> None:
        if math.isnan(loss):
            raise FloatingPointError(f"the loss is not a number at step {step}")


class WorstGroupHistory(Callback):
    """Evaluates a held-out dataset now and then."""

    def __init__(self, evaluator, every: int) -> None:
        self.evaluator = evaluator
        self.every = every
        self.steps: list[int] = []
        self.values: list[float] = []

    def on_step(self, trainer, step: int, loss: float) -> None:
        if (step + 1) % self.every == 0:
            self.steps.append(step + 1)
            self.values.append(self.evaluator.evaluate(trainer.model)["worst"])
