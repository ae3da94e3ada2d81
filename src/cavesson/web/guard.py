"""Requests are answered for the holder of the token, from a page of this server. Every answer carries headers that keep
content from acting."""

from __future__ import annotations

import secrets
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 4 << 20
"""Bytes of one request."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page may load and do: its own server's files, and no form."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Lets requests through to an app if the person with the printed address sends the requests.

    The address that is printed holds the token; the first visit turns it into a cookie that scripts cannot read and
    that other sites' requests do not carry. The Host header must name this server (a foreign name that points at
    127.0.0.1 is refused), and a request that changes anything must come from the server's own pages.

    Args:
        policy: the content security policy of every answer that brings none of its own.
    """

    def __init__(self, app: ASGIApp, token: str, port: int, policy: str = POLICY) -> None:
        self.app, self.token = app, token
        self.headers = {**_HEADERS, "Content-Security-Policy": policy}
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self.cookie = f"cavesson-{port}"  # cookies know no ports, so two servers need two names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def send_tamed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._answer(scope)(scope, receive, send_tamed)

    def _answer(self, scope: Scope) -> ASGIApp:
        headers = Headers(scope=scope)
        if headers.get("host", "") not in self.hosts:
            return PlainTextResponse("This server answers on 127.0.0.1 only.", 421)
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and self._right(given):
            entered = RedirectResponse("/", 303)
            entered.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
            return entered
        if not self._right(cookie_parser(headers.get("cookie", "")).get(self.cookie, "")):
            return PlainTextResponse("Open the whole address that the terminal shows, with its token.", 403)
        if scope["method"] not in ("GET", "HEAD"):
            if headers.get("origin", "") not in {f"http://{host}" for host in self.hosts}:
                return PlainTextResponse("This request does not come from the page.", 403)
            length = headers.get("content-length", "")
            if not (length.isascii() and length.isdecimal() and len(length) < 12 and int(length) <= MAX_BODY):
                return PlainTextResponse("This is too much for one request.", 413)
        return self.app

    def _right(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self.token.encode())
