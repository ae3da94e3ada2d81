"""Averages of weights, kept beside a training."""

import copy

import torch

from .registry import TRACKERS


@TRACKERS.register("last")
class Last:
    """No average: the model as it is."""

    def __init__(self, model):
        self.model = model

    def update(self, step, steps):
        pass

    def result(self):
        return self.model


@TRACKERS.register("ema")
class Ema:
    """Exponential moving average of the parameters, started from their values at the first update."""

    def __init__(self, model, decay, every=1):
        self.model, self.decay, self.every = model, decay, every
        self.shadow = None

    @torch.no_grad()
    def update(self, step, steps):
        if step % self.every:
            return
        if self.shadow is None:
            self.shadow = [p.detach().clone() for p in self.model.parameters()]
            return
        for s, p in zip(self.shadow, self.model.parameters()):
            s.mul_(self.decay).add_(p, alpha=1 - self.decay)

    def result(self):
        averaged = copy.deepcopy(self.model)
        with torch.no_grad():
            for p, s in zip(averaged.parameters(), self.shadow):
                p.copy_(s)
        return averaged


@TRACKERS.register("tail")
class Tail(Ema):
    """Plain mean of the parameters over the last part of training."""

    def __init__(self, model, share):
        super().__init__(model, decay=0.0)
        self.share, self.count = share, 0

    @torch.no_grad()
    def update(self, step, steps):
        if step < (1 - self.share) * steps:
            return
        if self.shadow is None:
            self.shadow = [torch.zeros_like(p) for p in self.model.parameters()]
        self.count += 1
        for s, p in zip(self.shadow, self.model.parameters()):
            s.add_((p - s) / self.count)
