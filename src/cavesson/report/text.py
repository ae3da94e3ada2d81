"""Text for a page: figures that no line breaks, links that are safe."""

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


def web_link(url: str) -> str:
    """The address if it is a plain web address, else nothing: no `javascript:` gets into a link."""
    return url if re.match(r"https?://[^\s]+\Z", url) else ""
