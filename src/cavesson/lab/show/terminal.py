"""Rich's console for texts that are not ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from rich import console
from rich.segment import Segment
from rich.text import Text

from cavesson.lines import printable


class Console(console.Console):
    """No markup (`[red]`), no emoji codes, no links, and nothing that hides; the console's own colours pass the door."""

    def __init__(self, **settings: Any) -> None:
        stream = sys.stderr if settings.get("stderr") else sys.stdout
        usual = {"file": getattr(stream, "rich_proxied_file", stream), "markup": False, "emoji": False}
        super().__init__(**{**usual, **settings})

    def render_str(self, text: str, **settings: Any) -> Text:
        """See rich's console; the text is made printable before its lines are broken."""
        return super().render_str(printable(text), **settings)

    def render(
        self, renderable: console.RenderableType, options: console.ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """See rich's console; here every text is printable, and a style has no address to open."""
        if isinstance(renderable, Text) and printable(renderable.plain) != renderable.plain:
            given = renderable
            renderable = Text(printable(given.plain), given.style, overflow=given.overflow, no_wrap=given.no_wrap)
        for text, style, control in super().render(renderable, options):
            if control:
                yield Segment(text, style, control)
            else:
                yield Segment(printable(text), style.update_link(None) if style and style.link else style)
