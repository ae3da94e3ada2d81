"""Serving a page on this machine until Ctrl-C."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable

from starlette.types import ASGIApp

from cavesson.errors import ConfigError


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
