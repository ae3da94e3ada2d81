"""The Tinker service through its public client: which models it lists, whose key it gets, and its failures in one sentence.

The client tries failures that may pass (429, 5xx, lost connections) again by itself, for minutes, with growing pauses.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from itertools import islice
from types import ModuleType
from typing import Any

from cavesson.errors import CavessonError, ConfigError, MissingExtra, Stopped, nearest
from cavesson.models.notes import note

URL = "https://tinker.thinkingmachines.dev/services/tinker-prod"
BASE, KEY = "TINKER_BASE_URL", "TINKER_API_KEY"
"""Environment variables of the service's client."""

AT_ONCE = 256
"""Requests under way at a time; the client itself slows down when the service asks so."""

_MAY_PASS = (408, 409, 425, 429)


def home() -> str:
    """The address of the service, as the user's environment has it."""
    return (os.environ.get(BASE) or URL).rstrip("/")


@lru_cache(maxsize=8)
def service_at(url: str) -> Service:
    """The service at an address; one in a process."""
    return Service(url)


class Service:
    """The Tinker service.

    Args:
        url: the address, which has to be the user's own (`home`): a recipe may name any address, and keys go to no other.

    Raises:
        MissingExtra: the client's package is not installed.
        ConfigError: the address is another than the user's environment names.
    """

    def __init__(self, url: str) -> None:
        if url != home():
            raise ConfigError(
                f"This model is at the Tinker service {url}, and your environment names {home()}.",
                f"Set {BASE}={url} if your key belongs there.",
            )
        os.environ.setdefault("TINKER_TELEMETRY", "0")  # tracebacks hold the user's prompts
        try:
            import tinker
        except ImportError as error:
            raise MissingExtra("tinker" if error.name is None else error.name, "tinker") from error
        self.url, self.package = url, tinker
        _quieten(logging.getLogger("tinker"))

    package: ModuleType

    @cached_property
    def listed(self) -> dict[str, Any]:
        """The models that the service lists, by name: what the client tells of each."""
        with self._told():
            rest = self.package.RestClient(base_url=self.url)
            found = rest.get_server_capabilities().result().supported_models
        return {one.model_name: one for one in found if one.model_name}

    @cached_property
    def clients(self) -> Any:
        """What makes clients for training and sampling; a session of the service belongs to it."""
        with self._told():
            made = self.package.ServiceClient(base_url=self.url, user_metadata={"by": "cavesson"})
            _ = made.holder  # opens the session
        return made

    def look_up(self, model: str, *, trained: bool = False) -> Any:
        """What the service tells of a model.

        Args:
            trained: the model is to be trained.

        Raises:
            ConfigError: the service lists no such model (any more), or does not train it; the message names those there are.
        """
        found = self.listed.get(model)
        if found is None:
            raise self._refusal(f"Tinker lists no model {model!r}, or no longer.", model, self.listed)
        if trained and found.trainable is False:
            names = [name for name, one in self.listed.items() if one.trainable is not False]
            raise self._refusal(f"Tinker samples from {model!r} and does not train it.", model, names)
        return found

    def _refusal(self, problem: str, model: str, names: Any) -> ConfigError:
        near = nearest(model, names) if names else ""
        guess = f"{near} " if near.startswith("Did") else ""
        return ConfigError(problem, f"{guess}There are: {', '.join(sorted(names)) or 'none'}.")

    def tokens(self, ids: Sequence[int]) -> Any:
        """A text as the service takes it."""
        return self.package.ModelInput.from_ints([int(one) for one in ids])

    def wait(self, future: Any) -> Any:
        """The result of a request.

        Raises:
            ConfigError: the service refuses the request.
            CavessonError: the service cannot be reached, or still fails after its client's attempts.
        """
        with self._told():
            return future.result()

    def gather(self, requests: Sequence[Callable[[], Any]], heard: Callable[[int], None] | None = None) -> list[Any]:
        """The results of requests that run side by side, in order.

        Args:
            requests: each sends a request and returns its future.
            heard: called with the number of results so far.
        """
        found: list[Any] = []
        todo, under_way = iter(requests), deque[Any]()
        with self._told():
            under_way += [request() for request in islice(todo, AT_ONCE)]
            while under_way:
                found.append(under_way.popleft().result())
                under_way += [request() for request in islice(todo, 1)]
                if heard is not None:
                    heard(len(found))
        return found

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the client's exceptions into errors of one sentence."""
        try:
            yield
        except (CavessonError, Stopped):
            raise
        except Exception as error:
            raise self._said(error) from error

    def _said(self, error: BaseException) -> CavessonError:
        """The error that a user reads in place of the client's."""
        package = self.package
        while isinstance(error, ValueError) and isinstance(error.__cause__, package.APIStatusError):
            error = error.__cause__
        words = _words(error)
        status = getattr(error, "status_code", 0)
        again = "Run the same command again later: finished stages are kept, and a training goes on from its last saved state."
        if status in (401, 403) or "api_key" in words:
            return ConfigError(f"Tinker takes no key of yours: {words}", f"Set {KEY} to a key that is valid there.")
        if status == 402:
            return ConfigError(f"Tinker says that the account cannot pay: {words}", "Add credit in its console.")
        if status in (404, 410):
            return ConfigError(
                f"Tinker does not find what it is asked for: {words}",
                "Checkpoints that were deleted there are lost: remove the artifact here (cavesson store rm), and make it again.",
            )
        if 400 <= status < 500 and status not in _MAY_PASS:
            return ConfigError(f"Tinker refuses the request ({status}): {words}", "Change the settings that it names.")
        if isinstance(error, package.RequestFailedError) and error.category == package.RequestErrorCategory.User:
            return ConfigError(f"Tinker refuses the request: {words}", "Change the settings that it names.")
        if isinstance(error, package.APIConnectionError):
            return CavessonError(f"The Tinker service {self.url} cannot be reached: {words}", again)
        return CavessonError(f"Tinker fails: {words}", again)


def _words(error: BaseException) -> str:
    """What the service says, or else its client."""
    body = getattr(error, "body", None)
    said = body.get("detail") or body.get("error") if isinstance(body, dict) else None
    return " ".join(str(said or error).split())[:400] or type(error).__name__


class _Pauses(logging.Handler):
    """Tells the user of pauses that the client makes, and of nothing else."""

    def emit(self, record: logging.LogRecord) -> None:
        if "paused" in (text := record.getMessage()):
            note(f"Tinker: {text}")


def _quieten(log: logging.Logger) -> None:
    log.propagate = False
    if not any(isinstance(one, _Pauses) for one in log.handlers):
        log.addHandler(_Pauses(logging.WARNING))
