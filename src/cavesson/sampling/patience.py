"""How requests to a model behind an address are sent: side by side, and again with growing pauses where a failure may pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from cavesson.errors import MissingExtra
from cavesson.sampling.endpoint import Passing, check_open, key_for

if TYPE_CHECKING:
    import httpx
    from tenacity import AsyncRetrying, RetryCallState

PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 529)
"""Status codes of failures that may pass."""
ATTEMPTS = 7
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""First and longest pause between attempts, in seconds; each pause is about twice the pause before."""
PATIENCE = 600.0
"""Longest pause that a server may ask for, in seconds; a server that asks for a longer pause is given up at once."""


def line_to(
    url: str, timeout: float, at_once: int, give_up: Callable[[RetryCallState], Any]
) -> tuple[Callable[[], httpx.AsyncClient], Callable[..., AsyncRetrying]]:
    """What opens a client for an address, with its key, and what tries a request again.

    Args:
        url: the address.
        timeout: seconds for a whole reply.
        at_once: largest number of requests at the same time.
        give_up: called with the state of the last attempt; its result is the request's.

    Raises:
        MissingExtra: httpx or tenacity is not installed.
        ConfigError: the address is plain http to another machine.
    """
    try:
        import httpx
        import tenacity
    except ImportError as error:
        raise MissingExtra("httpx" if error.name is None else error.name, "api") from error
    check_open(url)
    key = key_for(url)
    client = partial(
        httpx.AsyncClient,
        timeout=timeout,
        headers={"Accept-Encoding": "identity"} | ({} if key is None else {"Authorization": f"Bearer {key}"}),
        limits=httpx.Limits(max_connections=at_once),
    )
    again = partial(
        tenacity.AsyncRetrying,
        retry=tenacity.retry_if_exception_type(Passing),
        stop=_is_enough,
        wait=_pause_before,
        retry_error_callback=give_up,
    )
    return client, again


def trouble_of(state: RetryCallState) -> Passing:
    """The failure of the last attempt."""
    failure = None if state.outcome is None else state.outcome.exception()
    assert isinstance(failure, Passing), "nothing else is tried again"
    return failure


def _is_enough(state: RetryCallState) -> bool:
    """Whether there is no further attempt."""
    return state.attempt_number >= ATTEMPTS or (trouble_of(state).asked or 0) > PATIENCE


def _pause_before(state: RetryCallState) -> float:
    """Seconds to the next attempt: about twice the pause before, or longer if the server asks so."""
    from tenacity import wait_exponential_jitter

    usual = wait_exponential_jitter(FIRST_PAUSE, LONGEST_PAUSE, jitter=FIRST_PAUSE)(state)
    return max(usual, trouble_of(state).asked or 0.0)
