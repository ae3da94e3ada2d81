"""Factors on the learning rate as a function of progress in [0, 1]."""

import math

from .registry import SCHEDULES


@SCHEDULES.register("constant")
def constant(warmup=0.0, cooldown=0.4):
    return lambda t: min(1.0, t / warmup, ((1 - t) / cooldown) ** 2)


@SCHEDULES.register("cosine")
def cosine(warmup=0.0, floor=0.0):
    def factor(t):
        if t < warmup:
            return t / warmup
        u = (t - warmup) / (1 - warmup)
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * u))

    return factor


@SCHEDULES.register("linear")
def linear(warmup=0.0, floor=0.0):
    return lambda t: t / warmup if t < warmup else floor + (1 - floor) * (1 - (t - warmup) / (1 - warmup))
