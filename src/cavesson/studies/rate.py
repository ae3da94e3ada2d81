"""A measured figure as plain data: value, interval, n and method travel together."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _storable(text: Any) -> Any:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(text, str) else text


Text = Annotated[str, BeforeValidator(_storable)]
"""Any text, hostile or not; it can always be written as UTF-8."""

Unit = Literal["percent", "points", "plain"]
"""How a figure is written: a share (0.93, "93 %"), a difference of shares (-0.12, "−12 points"), a number ("0.85")."""


class View(BaseModel):
    """A frozen piece of a result. Unknown keys and figures that are not finite are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Measured(Protocol):
    """What `cavesson.stats.Estimate` and the like have."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def n(self) -> int: ...
    @property
    def method(self) -> str: ...


class Rate(View):
    """A measured figure with its 95 % interval.

    Attributes:
        value: the figure; a share is 0 to 1, a difference of shares -1 to 1.
        low, high: ends of the interval, in the same unit.
        n: how many observations it rests on (prompts, or pairs of prompts for a paired difference).
        method: how the interval was found, in words ("Wilson", "paired bootstrap over prompts and 3 seeds").
        unit: how it is written.
    """

    value: float
    low: float
    high: float
    n: int = Field(ge=1)
    method: str = Field(min_length=1)
    unit: Unit = "percent"

    @classmethod
    def of(cls, estimate: Measured, unit: Unit = "percent") -> Self:
        """From an `Estimate` of `cavesson.stats`."""
        return cls(
            value=float(estimate.value),
            low=float(estimate.low),
            high=float(estimate.high),
            n=int(estimate.n),
            method=estimate.method,
            unit=unit,
        )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"the interval is upside down: low {self.low} is above high {self.high}")
        return self

    def figure(self, number: float) -> str:
        """A number written in this figure's unit, with the digits that its n supports."""
        digits = 1 if self.n >= 1000 else 0
        text = f"{abs(number):.{2 + digits}f}" if self.unit == "plain" else f"{abs(number) * 100:.{digits}f}"
        if not text.strip("0."):
            return text
        return ("−" if number < 0 else "+" if self.unit == "points" else "") + text

    @property
    def short(self) -> str:
        """`93 %`, `−12 points` or `0.85`: for the place in a table whose interval stands beside it."""
        return self.figure(self.value) + {"percent": " %", "points": " points", "plain": ""}[self.unit]

    @property
    def interval(self) -> str:
        """`88–96 %`, `−18 to −6` or `0.80–0.90`."""
        low, high = self.figure(self.low), self.figure(self.high)
        between = " to " if low[0] in "−+" or high[0] in "−+" else "–"
        return low + between + high + (" %" if self.unit == "percent" else "")

    def __str__(self) -> str:
        """`93 % (88–96 %, n = 200)`: for a sentence."""
        return f"{self.short} ({self.interval}, n = {self.n})"
