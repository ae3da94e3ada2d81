"""An endpoint on the web: which addresses may be used, which key goes where, and replies within limits of time and size."""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cavesson.errors import ConfigError
from cavesson.lines import printable

if TYPE_CHECKING:
    import httpx

OPENAI = "https://api.openai.com/v1"
BASE, KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"
"""Environment variables: the user's usual endpoint, and the key that belongs to that endpoint alone."""
KEYS = "CAVESSON_API_KEYS"
"""Environment variable: keys of further hosts, `api.example.org=KEY localhost:8000=KEY`."""
PLAIN = "CAVESSON_PLAIN_HTTP"
"""Environment variable: hosts that may be spoken to in plain http, `gpu-box:8000 other-box:8000`."""

LARGEST = 1 << 24
"""Largest size of a reply in bytes: far beyond any answer, and little beside the memory of a machine."""


class Passing(Exception):
    """A failure that may pass.

    Attributes:
        asked: seconds that the server asks to wait; None: the server does not say.
    """

    def __init__(self, trouble: str, asked: float | None = None) -> None:
        super().__init__(trouble)
        self.asked = asked


class Odd(Exception):
    """A reply that does not follow the protocol; the text says in which way."""

    def __init__(self, what: str, remedy: str = "The address usually ends in /v1.") -> None:
        super().__init__(what)
        self.remedy = remedy


def home() -> str:
    """The address that a model's name alone stands for."""
    return os.environ.get(BASE) or OPENAI


def checked_address(url: str) -> str:
    """The address in its usual form.

    Raises:
        ValueError: the text is no address of an endpoint; the error says why.
    """
    if not url.isprintable() or " " in url:
        raise ValueError("the address holds a space or an invisible character")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:  # `port` may raise as well
        raise ValueError("this is no address of an endpoint")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"an address is host and path alone; keys belong into the environment ({KEY}, {KEYS})")
    return url.rstrip("/")


def check_open(url: str) -> None:
    """Refuse plain http to another machine, unless the user's environment names the host.

    Raises:
        ConfigError: everybody on the way could read prompts, answers and keys.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" or _is_here(parts.hostname or "") or _origin(url) == _origin(home()):
        return
    if parts.netloc.lower() not in os.environ.get(PLAIN, "").lower().replace(",", " ").split():
        raise ConfigError(
            f"{url} is plain http: on the way to {parts.hostname}, anybody can read prompts, answers and keys.",
            f"Write https://…, or allow this host in the environment: {PLAIN}={parts.netloc}",
        )


def key_for(url: str) -> str | None:
    """The key for an address; None: no key of the user's environment belongs to its host.

    A study file may name any address. So `OPENAI_API_KEY` goes to the user's usual endpoint only (`home`), and every other host
    gets the key that `CAVESSON_API_KEYS` has for the host, or none.
    """
    for pair in os.environ.get(KEYS, "").replace(",", " ").split():
        host, _, key = pair.partition("=")
        if key and host.lower() == urlsplit(url).netloc.lower():
            return key
    return (os.environ.get(KEY) or None) if _origin(url) == _origin(home()) else None


def _is_here(host: str) -> bool:
    """Whether a host is this machine, by its name alone."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


@dataclass(frozen=True)
class Reply:
    """The reply to one request."""

    status: int
    retry_after: str
    location: str
    body: bytes

    @cached_property
    def value(self) -> Any:
        """The JSON value of the body.

        Raises:
            Odd: the body is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            what = "a stream" if self.body.lstrip().startswith(b"data:") else "no JSON"
            raise Odd(f"the reply is {what} ({self.excerpt!r})") from error

    @property
    def error(self) -> dict[str, Any] | None:
        """The error that the body holds, as an object with `message`; None: it holds none."""
        try:
            value = self.value
        except Odd:
            return None
        found = value.get("error") if isinstance(value, dict) else None
        return found if isinstance(found, dict) else {"message": found} if found else None

    @property
    def message(self) -> str:
        """The server's error message, or the beginning of the body, in one visible line."""
        error = self.error
        return self.excerpt if error is None else one_line(str(error.get("message", error)))

    @property
    def excerpt(self) -> str:
        """The beginning of the body."""
        return one_line(self.body[:2000].decode("utf-8", "replace"))

    @property
    def pause(self) -> float | None:
        """Seconds that the server asks to wait (`Retry-After`, as a number or a date); None: it does not say so sensibly."""
        try:
            seconds = float(self.retry_after)
        except ValueError:
            try:
                seconds = parsedate_to_datetime(self.retry_after).timestamp() - time()
            except (ValueError, TypeError, OverflowError, OSError):
                return None
        return None if seconds != seconds else max(seconds, 0.0)


def mended(text: str) -> str:
    """The text with the replacement character for every half of a surrogate pair, which no file could hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def one_line(text: str) -> str:
    """The beginning of a server's words, in one line without invisible characters."""
    return printable(mended(" ".join(text[:2000].split())))[:300]


async def post(client: httpx.AsyncClient, url: str, body: dict[str, Any] | None, timeout: float) -> Reply:
    """The reply to one request, without redirects.

    Args:
        body: what is posted; None: the request is a GET.
        timeout: seconds for everything: finding the host, connecting, sending, and reading to the end.

    Raises:
        Passing: there is no whole reply.
        Odd: the reply is compressed though no compression was asked for, or is larger than `LARGEST`.
    """
    import anyio
    import httpx

    try:
        with anyio.fail_after(timeout):
            sent: dict[str, Any] = {"content": json.dumps(body), "headers": {"Content-Type": "application/json"}}
            how, sent = ("GET", {}) if body is None else ("POST", sent)
            async with client.stream(how, url, **sent) as reply:
                if reply.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
                    raise Odd("the reply is compressed, though no compression was asked for", "Name another endpoint.")
                whole = bytearray()
                async for piece in reply.aiter_raw():
                    whole += piece
                    if len(whole) > LARGEST:
                        raise Odd(f"the reply is larger than {LARGEST >> 20} MiB", "Name another endpoint.")
                pause, place = (reply.headers.get(name, "") for name in ("Retry-After", "Location"))
                return Reply(reply.status_code, pause, place, bytes(whole))
    except (TimeoutError, httpx.TimeoutException) as error:
        raise Passing(f"no whole reply within {timeout:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise Passing(one_line(str(error)) or type(error).__name__) from error
