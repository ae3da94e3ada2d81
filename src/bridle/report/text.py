"""Text for a page: hostile characters made visible, durations and links in words."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_C0 = {code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)}
"""Control characters and their pictures: ESC (which starts an ANSI sequence) becomes ␛."""

_DECEIVING = re.compile("[\u0080-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb]")
"""Characters that show nothing or reorder what stands around them (right-to-left override, zero-width space)."""


def visible(text: str) -> str:
    """The text with control characters and direction overrides shown instead of obeyed.

    Markup is not touched here: escaping is the template's work. `assets/text.js` does the same for transcripts.
    """
    pictured = text.replace("\r\n", "\n").translate({**_C0, 0x7F: "␡"})
    return _DECEIVING.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", pictured)


_FIGURE = re.compile(r"[+−]?\d[\d.]*(?:–[+−]?\d[\d.]*)?(?: ?%)?|[−+]\d+ to [−+]?\d+|\bn = \d+")


def unbroken(text: str) -> Markup:
    """The text as markup in which no line breaks inside a figure such as `37–51 %` or `n = 200`."""
    parts, last = [], 0
    for found in _FIGURE.finditer(text):
        parts += [escape(visible(text[last : found.start()])), Markup('<span class="whole">{}</span>').format(found[0])]
        last = found.end()
    return Markup("").join([*parts, escape(visible(text[last:]))])


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
