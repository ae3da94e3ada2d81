"""A number with its interval, its sample size and its method, and how it is written for people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import ClassVar, Literal

Bounds = tuple[float, float]
"""The least and the greatest value that a figure can have."""

ANY: Bounds = (-inf, inf)
"""No bounds."""

VAGUE = 2 / 3
"""An interval that covers more than this share of the possible range says next to nothing."""

Unit = Literal["percent", "points", "plain"]
"""How a figure is written: a share (0.93, "93 %"), a difference of shares (-0.12, "−12 points"), a number ("0.85")."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number together with its interval, its sample size and its method.

    Attributes:
        value: the point estimate; a share is 0 to 1, a difference of shares -1 to 1.
        low, high: ends of the interval (95 % unless `method` says otherwise), in the unit of `value`.
        n: number of evaluation prompts behind the number (for averages over units of unequal size, of all units together).
        method: the kind of interval, and the variance that the interval leaves out, in words.
        unit: how the number is written.
        replicates: number of independent repetitions that the interval is over: seeds, or the pairs or organisms that are taken
            as random. 1: one model, whose interval says nothing about other seeds.
        each: the figure of every repetition, for dots in a chart; empty where a repetition has no figure of its own.
    """

    value: float
    low: float
    high: float
    n: int
    method: str
    unit: Unit = "percent"
    replicates: int = 1
    each: tuple[float, ...] = ()

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def in_unit(self, unit: Unit) -> Estimate:
        """The same number, written in another unit."""
        return replace(self, unit=unit)

    def plus(self, shift: float, *, times: float = 1.0) -> Estimate:
        """The estimate of `times * x + shift`; the ends swap places when `times` is negative."""
        low, high = sorted((times * self.low + shift, times * self.high + shift))
        each = tuple(times * one + shift for one in self.each)
        return replace(self, value=times * self.value + shift, low=low, high=high, each=each)

    def clipped(self, bounds: Bounds) -> Estimate:
        """The same with an interval that leaves the possible range no farther than the value itself does."""
        low, high = max(self.low, min(bounds[0], self.value)), min(self.high, max(bounds[1], self.value))
        return replace(self, low=low, high=high)

    def figure(self, number: float) -> str:
        """A number written in this estimate's unit, with the digits that its n supports."""
        digits = 1 if self.n >= 1000 else 0
        text = f"{abs(number):.{2 + digits}f}" if self.unit == "plain" else f"{abs(number) * 100:.{digits}f}"
        if not text.strip("0."):
            return text
        return ("−" if number < 0 else "+" if self.unit == "points" else "") + text

    def written(self, number: float) -> str:
        """A number with this estimate's unit: `93 %`, `−12 points` or `0.85`."""
        return self.figure(number) + {"percent": " %", "points": " points", "plain": ""}[self.unit]

    @property
    def short(self) -> str:
        """The value alone, for a table with the interval beside it."""
        return self.written(self.value)

    @property
    def brief(self) -> str:
        """`93 % (88–96 %)`, for a place with n beside it."""
        return f"{self.short} ({self.interval})"

    @property
    def interval(self) -> str:
        """`88–96 %`, `−18 to −6` or `0.80–0.90`."""
        low, high = self.figure(self.low), self.figure(self.high)
        between = " to " if low[0] in "−+" or high[0] in "−+" else "–"
        return low + between + high + (" %" if self.unit == "percent" else "")

    @property
    def dots(self) -> str:
        """The figure of every repetition, rising: `0 · 36 · 98 %`; empty where there are not several."""
        if len(self.each) < 2:
            return ""
        return " · ".join(map(self.figure, sorted(self.each))) + (" %" if self.unit == "percent" else "")

    @property
    def vague(self) -> bool:
        """Whether the interval covers most of what is possible, so that the dots say more than it does."""
        return self.high - self.low > VAGUE * {"percent": 1.0, "points": 2.0, "plain": 1.0}[self.unit]

    def __str__(self) -> str:
        """`93 % (88–96 %, n = 200)`, for a sentence; with the seeds one by one where the interval says next to nothing."""
        dots = f"; one by one {self.dots}" if self.vague and self.dots else ""
        return f"{self.short} ({self.interval}, n = {self.n}{dots})"

    def _repr_html_(self) -> str:
        """How a notebook shows the figure."""
        return str(self)
