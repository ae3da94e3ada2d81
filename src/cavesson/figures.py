"""How figures are written for people: shares, times, sizes, and numbers of any size."""

from __future__ import annotations


def percent(share: float, digits: int | None = None) -> str:
    """A share in percent: `5 %`, `99.9 %`.

    Args:
        share: 1 is 100 %.
        digits: how many stand behind the point, for a share that was measured. By default as many as the share has, four
            significant ones at most, for a share that somebody chose: a threshold of 12.5 % is not 12 %.
    """
    return f"{100 * share:.4g} %" if digits is None else f"{100 * share:.{digits}f} %"


def compact(value: float) -> str:
    """A number in at most three significant digits: `0.534`, `21.4k`, `1.2M`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def clock_time(seconds: float) -> str:
    """Seconds as on a clock: `8 s`, `3:20`, `1:02:05`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """Seconds in words: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(seconds / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def bytes_text(count: float) -> str:
    """A number of bytes: `12 B`, `4.1 MB`, `3.2 GB`."""
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if count < 1000:
            break
        count, unit = count / 1000, larger
    return f"{count:.3g} {unit}"
