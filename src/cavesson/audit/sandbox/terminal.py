"""Text of hostile code or of a model, made harmless: raw text may hide lines, move the cursor, set a title or read
backwards."""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # operating-system commands: titles, links, the clipboard
    r"|\x1b[PX^_].*?(?:\x1b\\|$)"  # device control, application and privacy strings
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # control sequences: colours, cursor, screen
    r"|\x1b[ -/]*[0-~]?",  # all others, such as the choice of a character set
    re.DOTALL,
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def plain(text: str) -> str:
    """The text without escape sequences, control characters and marks that reverse the reading direction.

    Line ends and tabs stay. HTML stays as it is: the code that writes HTML escapes everything.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", _ESCAPES.sub("", text))
