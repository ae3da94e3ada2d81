"""Models behind an OpenAI-compatible endpoint: they write answers, as teachers or to be scored, and cannot be trained.

Requests run side by side, and finished answers go into the job's journal at once. Failures that may pass (429, 5xx, timeouts)
are tried again with growing pauses; failures that do not pass (401, 404, 400) end the stage at once.

Answers of such a model stay out of the store's generation cache. The weights behind the name may change unseen, and an answer
that cost money must not be lost, as it would be from a full or damaged cache.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from cavesson.chat import Conversation
from cavesson.errors import CavessonError, ConfigError, MissingExtra
from cavesson.lab.recipe import Job, NotIdentity, PathOf
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.journal import Journal
from cavesson.sampling.sampler import Completion, Params, Progress

if TYPE_CHECKING:
    import httpx

    from cavesson.models.model import Model

PREFIX = "openai:"
OPENAI = "https://api.openai.com/v1"
KEY = "OPENAI_API_KEY"
"""Environment variable that holds the API key."""

PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 529)
"""Status codes of failures that may pass."""
ATTEMPTS = 7
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""First and longest pause between attempts, in seconds; each pause is about twice the pause before."""


class APIModel(ModelRecipe):
    """A model behind an OpenAI-compatible endpoint. Its fingerprint depends on name and address, since its weights are unknown.

    Attributes:
        model: the model's name at the endpoint.
        url: the endpoint, up to and including `/v1`.
        at_once: largest number of requests at the same time.
        timeout: seconds after which a request counts as failed.
    """

    kind: ClassVar[str] = "api-model"
    virtual: ClassVar[bool] = True

    model: str = Field(min_length=1)
    url: str = OPENAI
    at_once: Annotated[int, NotIdentity] = Field(default=16, ge=1)
    timeout: Annotated[float, NotIdentity] = Field(default=120.0, gt=0)

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address of an endpoint; write http://host:port/v1")
        return url.rstrip("/")

    def load(self, path_of: PathOf) -> Model:
        raise ConfigError(
            f"The model {self.model!r} is behind an API: its weights cannot be opened.",
            "Use it as a teacher (--teacher), or score it (cavesson eval); to train or open a model, give its folder or hub id.",
        )

    def describe(self) -> str:
        return f"{self.model} at {urlsplit(self.url).netloc}"


def api_model(name: str) -> APIModel:
    """The model of a name such as `openai:gpt-4.1-nano` or `openai:my-model@http://localhost:8000/v1`.

    Raises:
        ConfigError: no model is named, or the address is not valid.
    """
    model, _, url = name.removeprefix(PREFIX).partition("@http")
    try:
        return APIModel(model=model, url=f"http{url}" if url else os.environ.get("OPENAI_BASE_URL", OPENAI))
    except ValueError as error:
        raise ConfigError(
            f"{name!r} names no model behind an API.", f"Write {PREFIX}MODEL or {PREFIX}MODEL@http://host:port/v1"
        ) from error


class APISampler:
    """Samples from a model behind an API.

    Args:
        recipe: the model.
        journal: keeps finished answers, with their requests and tokens; an answer in the journal is not asked for again.

    Raises:
        MissingExtra: httpx is not installed.
    """

    system = None

    def __init__(self, recipe: APIModel, journal: Journal) -> None:
        try:
            import httpx
        except ImportError as error:
            raise MissingExtra("httpx", "api") from error
        self.recipe, self.journal = recipe, journal
        key = os.environ.get(KEY)
        self._client = partial(
            httpx.Client,
            timeout=recipe.timeout,
            headers={} if key is None else {"Authorization": f"Bearer {key}"},
            limits=httpx.Limits(max_connections=recipe.at_once),
        )
        self._limit_key = "max_tokens"  # newer models of OpenAI use another name
        self._halt = threading.Event()

    @property
    def used(self) -> Mapping[str, int]:
        """Requests and tokens so far, earlier interrupted runs included."""
        return self.journal.cost

    def sample(
        self, conversations: Sequence[Conversation], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """`params.n` completions for each conversation, in order; equal prompts are asked once.

        Args:
            progress: called with the number of finished answers, of all answers, and of tokens so far.

        Raises:
            ConfigError: the endpoint refuses the request (no such model, no valid key, an unknown parameter).
            CavessonError: the endpoint cannot be reached, or still fails after `ATTEMPTS` attempts.
        """
        if params.logprobs:
            raise ConfigError("Models behind an API give no log-probabilities here.", "Leave logprobs out.")
        keys = [self._key(conversation, params) for conversation in conversations]
        known = self.journal.known
        missing = {key: asked for key, asked in zip(keys, conversations, strict=True) if key not in known}
        total = len(set(keys))
        self._halt.clear()
        with self._client() as client, ThreadPoolExecutor(self.recipe.at_once) as pool:
            waiting = {pool.submit(self._ask, client, asked, params): key for key, asked in missing.items()}
            try:
                while waiting:
                    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    self._keep({waiting.pop(future): future for future in done})
                    if progress is not None:
                        done_by_now = total - len(waiting)
                        progress(done_by_now * params.n, total * params.n, tokens=str(self.used["tokens"]))
            finally:
                self._halt.set()
                pool.shutdown(wait=True, cancel_futures=True)
                self._keep({key: future for future, key in waiting.items() if _has_answer(future)})
        return [known[key] for key in keys]

    def _key(self, conversation: Conversation, params: Params) -> str:
        named = json.dumps([self.recipe.fingerprint, conversation.dump(), params.model_dump(mode="json")])
        return sha256(named.encode()).hexdigest()

    def _keep(self, done: dict[str, Future[tuple[list[Completion], Counter[str]]]]) -> None:
        """Write the answers of finished requests into the journal, then raise the error of the first failed request."""
        self.journal.put((key, *future.result()) for key, future in done.items() if _has_answer(future))
        for future in done.values():
            future.result()

    def _ask(
        self, client: httpx.Client, conversation: Conversation, params: Params
    ) -> tuple[list[Completion], Counter[str]]:
        """The completions of one request, with up to `ATTEMPTS` attempts, and their cost in requests and tokens."""
        body: dict[str, Any] = {
            "model": self.recipe.model,
            "messages": conversation.dump(),
            "temperature": params.temperature,
            "top_p": params.top_p,
            "n": params.n,
            "seed": params.seed,
            **({"stop": list(params.stop)} if params.stop else {}),
        }
        trouble = "it was not asked"
        for attempt in range(ATTEMPTS):
            limit = self._limit_key
            reply = self._post(client, {**body, limit: params.max_tokens})
            if not isinstance(reply, str) and reply.status_code == 200:
                return _read(reply, self.recipe, params.n)
            if not isinstance(reply, str):
                trouble = f"{reply.status_code} {_message(reply)}"
                if reply.status_code == 400 and "max_completion_tokens" in trouble and limit == "max_tokens":
                    self._limit_key = "max_completion_tokens"
                    continue
                if reply.status_code not in PASSING or "insufficient_quota" in reply.text:
                    raise _refusal(reply, self.recipe)
            else:
                trouble = reply
            if attempt + 1 < ATTEMPTS and self._halt.wait(_pause(attempt, reply)):
                break
        raise CavessonError(
            f"The endpoint {self.recipe.url} does not answer: {trouble} (after {attempt + 1} attempts).",
            "Run the same command again later; finished answers are kept.",
        )

    def _post(self, client: httpx.Client, body: dict[str, Any]) -> httpx.Response | str:
        """The reply; if there is none, the reason in words."""
        import httpx

        try:
            return client.post(f"{self.recipe.url}/chat/completions", json=body)
        except httpx.TimeoutException:
            return f"no reply within {self.recipe.timeout:g} s"
        except httpx.TransportError as error:
            return str(error) or type(error).__name__


def api_sampler(model: Model | ModelRecipe, job: Job | None) -> APISampler | None:
    """The sampler of a model behind an API; None for other models."""
    if not isinstance(model, APIModel):
        return None
    assert job is not None, "a recipe comes with a job"
    return APISampler(model, Journal(job.scratch / "answers.jsonl"))


def _has_answer(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _pause(attempt: int, reply: httpx.Response | str) -> float:
    """Seconds to wait after attempt number `attempt`: as the server asks, or about twice the pause before."""
    asked = "" if isinstance(reply, str) else reply.headers.get("Retry-After", "")
    usual = FIRST_PAUSE * 2**attempt * random.uniform(0.75, 1.25)
    return min(max(float(asked), 0.0) if asked.replace(".", "", 1).isdigit() else usual, LONGEST_PAUSE)


def _read(reply: httpx.Response, recipe: APIModel, n: int) -> tuple[list[Completion], Counter[str]]:
    """The completions in a good reply, and their cost in requests and tokens."""
    try:
        answer = reply.json()
        choices = answer["choices"]
        completions = [
            Completion(choice["message"]["content"] or "", (), choice.get("finish_reason") == "stop")
            for choice in choices
        ]
        used = answer.get("usage") or {}
        read, written = int(used.get("prompt_tokens") or 0), int(used.get("completion_tokens") or 0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"The endpoint {recipe.url} does not speak OpenAI's protocol: {' '.join(reply.text.split())[:200]!r}",
            "The address usually ends in /v1.",
        ) from error
    if len(completions) != n:
        raise ConfigError(f"The endpoint {recipe.url} gave {len(completions)} answers, not {n}.", "Ask for n = 1.")
    return completions, Counter(requests=1, prompt_tokens=read, completion_tokens=written, tokens=read + written)


def _message(reply: httpx.Response) -> str:
    """The server's error message, in one line."""
    try:
        said = reply.json()
        error = said.get("error", said) if isinstance(said, dict) else said
        text = error.get("message", error) if isinstance(error, dict) else error
    except ValueError:
        text = reply.text
    return " ".join(str(text).split())[:300]


def _refusal(reply: httpx.Response, recipe: APIModel) -> ConfigError:
    """The error for a reply that another attempt would not change."""
    what, message = f"The endpoint {recipe.url}", _message(reply)
    if reply.status_code in (401, 403):
        return ConfigError(f"{what} refuses the key: {message}", f"Set {KEY} to a key that is valid there.")
    if reply.status_code == 404:
        return ConfigError(
            f"{what} has no model {recipe.model!r}, or is no endpoint: {message}",
            "Check the model's name; the address usually ends in /v1.",
        )
    if reply.status_code == 429:
        return ConfigError(f"{what} says that the quota is used up: {message}", "Add credit there, or use another key.")
    return ConfigError(f"{what} refuses the request ({reply.status_code}): {message}", "Check model and parameters.")
