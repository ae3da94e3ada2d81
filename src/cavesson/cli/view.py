"""`cavesson view`: runs, transcripts and artifacts in a local web page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cavesson.cli.options import Place

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def view(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER", help="Stores, or folders with runs in them.", show_default="the store"),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of 127.0.0.1.", show_default="a free one")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    store: Place = None,
) -> None:
    """Look at runs in the browser: progress, findings, transcripts side by side, and what artifacts were made from.

    The page answers on this machine alone, to whoever has the address that is printed.

    Example: cavesson view
    """
    from cavesson.cli.reports import has_display
    from cavesson.lab import disk
    from cavesson.lab.place import mark
    from cavesson.lab.store import Store
    from cavesson.web.needs import require

    require()
    from cavesson.view.library import Library
    from cavesson.view.runs import opened
    from cavesson.web.serve import browsing, serve

    place = Store(store)
    roots = [opened(folder) for folder in folders or ()] or [place.root]
    with disk.writing(place.root):
        mark(place.root)  # the index lies in its cache
    library = Library(list(dict.fromkeys(roots)), place.cache / "view")

    def make(token: str, port: int) -> ASGIApp:
        from cavesson.view.app import view_app

        return view_app(library, token=token, port=port)

    with browsing(library.index.path.parent if has_display() and not no_browser else None) as browse:

        def announce(address: str) -> None:
            library.begin()
            typer.echo(address)
            typer.echo("Ctrl-C ends the page.", err=True)
            browse(address)

        try:
            serve(make, announce, port=port)
        finally:
            library.end()
