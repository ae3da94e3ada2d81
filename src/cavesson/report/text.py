"""Text for a page: figures that no line breaks, durations in words, links that are safe."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from cavesson.lines import printable

FIGURE = re.compile(r"[−+]?\d+ to [−+]?\d+|[+−]?\d[\d.]*(?:–[+−]?\d[\d.]*)?(?: ?%)?|\bn = \d+")
"""A figure that stays on one line."""


def unbroken(text: str) -> Markup:
    """The text as markup in which no line breaks inside a figure such as `37–51 %` or `n = 200`."""
    parts, last = [], 0
    for found in FIGURE.finditer(text):
        parts += [
            escape(printable(text[last : found.start()])),
            Markup('<span class="whole">{}</span>').format(found[0]),
        ]
        last = found.end()
    return Markup("").join([*parts, escape(printable(text[last:]))])


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(seconds / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def web_link(url: str) -> str:
    """The address if it is a plain web address, else nothing: no `javascript:` gets into a link."""
    return url if re.match(r"https?://[^\s]+\Z", url) else ""
