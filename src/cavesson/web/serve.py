"""Serving a page on this machine until Ctrl-C."""

from __future__ import annotations

import html
import secrets
import socket
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

from starlette.types import ASGIApp

from cavesson.errors import ConfigError


@contextmanager
def browsing(folder: Path | None) -> Iterator[Callable[[str], None]]:
    """A function that opens an address in the user's browser; with no folder the function opens nothing.

    The address holds a secret, and every user of the machine can read the command lines of all processes. So the browser is
    given a file in `folder` that only this user can read and that leads to the address; the file goes when the `with` block ends.
    """
    with ExitStack() as stack:

        def browse(address: str) -> None:
            if folder is None:
                return
            page = stack.enter_context(tempfile.NamedTemporaryFile("w", dir=folder, prefix="open-", suffix=".html"))
            page.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={html.escape(address)}">')
            page.flush()
            target = Path(page.name).absolute().as_uri()
            Thread(
                target=webbrowser.open, args=(target,), daemon=True
            ).start()  # some browsers return when they are closed

        yield browse


def serve(make: Callable[[str, int], ASGIApp], announce: Callable[[str], None], *, port: int = 0) -> None:
    """Serve an app on 127.0.0.1 until it is stopped.

    Args:
        make: the app, from a new token and the port.
        announce: told the address, with the token in it, as soon as it answers.
        port: 0 takes a free one.

    Raises:
        ConfigError: the port is taken.
    """
    import uvicorn

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(
                f"Port {port} of 127.0.0.1 cannot be used: {error.strerror}.",
                "Choose another with --port, or leave it out.",
            ) from error
        listening.listen()
        token, port = secrets.token_urlsafe(24), listening.getsockname()[1]
        app = make(token, port)
        announce(f"http://127.0.0.1:{port}/?token={token}")
        config = uvicorn.Config(app, log_level="warning", server_header=False, access_log=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[listening])
