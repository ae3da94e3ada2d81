"""Models behind an OpenAI-compatible endpoint: they write answers, as teachers or to be scored, and cannot be trained.

Requests run side by side, and finished answers go into the job's journal at once. Failures that may pass (429, 5xx, timeouts)
are tried again with growing pauses; failures that do not pass (401, 404, 400) end the stage at once.

Answers of such a model stay out of the store's generation cache. The weights behind the name may change unseen, and an answer
that cost money must not be lost, as it would be from a full or damaged cache.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator

from cavesson.chat import Conversation
from cavesson.errors import CavessonError, ConfigError
from cavesson.lab.documents import in_words
from cavesson.lab.recipe import Job, NotIdentity, PathOf
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling import replies
from cavesson.sampling.endpoint import (
    KEY,
    KEYS,
    OPENAI,
    Odd,
    Passing,
    Reply,
    check_open,
    checked_address,
    home,
    key_for,
    mended,
    one_line,
    post,
)
from cavesson.sampling.journal import Journal
from cavesson.sampling.patience import PASSING, PATIENCE, line_to, trouble_of
from cavesson.sampling.sampler import Completion, Params, Progress

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

    from cavesson.models.model import Model

PREFIX = "openai:"

Answer = tuple[list[Completion], Counter[str]]
"""The completions of one request, and their cost in requests and tokens."""


class APIModel(ModelRecipe):
    """A model behind an OpenAI-compatible endpoint. Its fingerprint depends on name and address, since its weights are unknown.

    Attributes:
        model: the model's name at the endpoint.
        url: the endpoint, up to and including `/v1`.
        at_once: largest number of requests at the same time.
        timeout: seconds after which a request counts as failed, all of the reply included.
    """

    kind: ClassVar[str] = "api-model"
    virtual: ClassVar[bool] = True
    has_weights: ClassVar[bool] = False

    model: str = Field(min_length=1)
    url: str = OPENAI
    at_once: Annotated[int, NotIdentity] = Field(default=16, ge=1)
    timeout: Annotated[float, NotIdentity] = Field(default=120.0, gt=0)

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        return checked_address(url)

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
        ConfigError: no model is named, the address is not valid, or the address is plain http to another machine.
    """
    model, *address = re.split(r"@(?=[\w.-]+(?::\S|/))", name.removeprefix(PREFIX), maxsplit=1)  # not gpt-4@2024
    try:
        found = APIModel(model=model, url=address[0] if address else home())
    except ValidationError as error:
        why = in_words(error.errors()[0])
        raise ConfigError(
            f"{name!r} names no model behind an API: {why}.", f"Write {PREFIX}MODEL or {PREFIX}MODEL@https://host/v1"
        ) from error
    check_open(found.url)
    return found


class APISampler:
    """Samples from a model behind an API.

    Args:
        recipe: the model.
        journal: keeps finished answers, with their requests and tokens; an answer in the journal is not asked for again.

    Raises:
        MissingExtra: httpx or tenacity is not installed.
        ConfigError: the address is plain http to another machine.
    """

    system = None

    def __init__(self, recipe: APIModel, journal: Journal) -> None:
        self._client, self._again = line_to(recipe.url, recipe.timeout, recipe.at_once, self._give_up)
        self.recipe, self.journal = recipe, journal
        self.key = key_for(recipe.url)
        self._limit_key = "max_tokens"  # newer models of OpenAI use another name

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
            ConfigError: the endpoint refuses the request (no such model, no valid key, an unknown parameter), or does not
                speak the protocol.
            CavessonError: the endpoint cannot be reached, or still fails after `ATTEMPTS` attempts.
        """
        from anyio.from_thread import start_blocking_portal

        if params.logprobs:
            raise ConfigError("Models behind an API give no log-probabilities here.", "Leave logprobs out.")
        _check_characters(conversations)
        keys = [self._key(conversation, params) for conversation in conversations]
        known = self.journal.known
        missing = {key: asked for key, asked in zip(keys, conversations, strict=True) if key not in known}
        total = len(set(keys))
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(self._client()) as client:
            turn = portal.call(_Turn, self.recipe.at_once)
            waiting = {
                portal.start_task_soon(self._ask, client, turn, asked, params): key for key, asked in missing.items()
            }
            try:
                while waiting:
                    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    self._keep({waiting.pop(future): future for future in done})
                    if progress is not None:
                        done_by_now = total - len(waiting)
                        progress(done_by_now * params.n, total * params.n, tokens=str(self.used["tokens"]))
            finally:
                portal.call(turn.halt)
                wait(waiting)  # requests under way are paid for
                self._keep({key: future for future, key in waiting.items() if _has_answer(future)})
        return [known[key] for key in keys]

    def _key(self, conversation: Conversation, params: Params) -> str:
        named = json.dumps([self.recipe.fingerprint, conversation.dump(), params.model_dump(mode="json")])
        return sha256(named.encode()).hexdigest()

    def _keep(self, done: dict[str, Future[Answer]]) -> None:
        """Write the answers of finished requests into the journal, then raise the error of the first failed request."""
        self.journal.put((key, *future.result()) for key, future in done.items() if _has_answer(future))
        for future in done.values():
            future.result()

    async def _ask(self, client: httpx.AsyncClient, turn: _Turn, conversation: Conversation, params: Params) -> Answer:
        """The completions for one conversation, with up to `ATTEMPTS` attempts, when it is its turn."""
        body: dict[str, Any] = {
            "model": self.recipe.model,
            "messages": conversation.dump(),
            "temperature": params.temperature,
            "top_p": params.top_p,
            "n": params.n,
            "seed": params.seed,
            **({"stop": list(params.stop)} if params.stop else {}),
        }
        async with turn.seats:
            answer: Answer = await self._again(sleep=turn.pause)(self._attempt, client, turn, body, params)
            return answer

    async def _attempt(self, client: httpx.AsyncClient, turn: _Turn, body: dict[str, Any], params: Params) -> Answer:
        """One request.

        Raises:
            Passing: the request failed, and another attempt may not.
            ConfigError: another attempt would not change the reply.
        """
        if turn.halted.is_set():
            raise CavessonError("The stage was ended before this prompt was asked.")
        limit, url = self._limit_key, self.recipe.url
        try:
            reply = await post(
                client, f"{url}/chat/completions", {**body, limit: params.max_tokens}, self.recipe.timeout
            )
            status = _status(reply)
            if status == 200:
                return replies.read(reply, params.n)
        except Odd as odd:
            raise ConfigError(f"The endpoint {url} does not speak OpenAI's protocol: {odd}.", odd.remedy) from odd
        if status == 400 and limit == "max_tokens" and "max_completion_tokens" in reply.message:
            self._limit_key = "max_completion_tokens"
            return await self._attempt(client, turn, body, params)
        if (answer := replies.filtered(reply, params.n)) is not None:
            return answer
        if status not in PASSING or b"insufficient_quota" in reply.body:
            raise self._refusal(status, reply)
        raise Passing(f"{status} {reply.message}", reply.pause)

    def _give_up(self, state: RetryCallState) -> Answer:
        """End the attempts with the last trouble."""
        trouble, endpoint = trouble_of(state), f"The endpoint {self.recipe.url}"
        problem = f"{endpoint} does not answer: {trouble} (after {state.attempt_number} attempts)."
        if (trouble.asked or 0) > PATIENCE:
            problem = f"{endpoint} asks to be left alone for longer than {PATIENCE / 60:g} minutes: {trouble}."
        raise CavessonError(problem, "Run the same command again later; finished answers are kept.")

    def _refusal(self, status: int, reply: Reply) -> ConfigError:
        """The error for a reply that another attempt would not change."""
        what, message = f"The endpoint {self.recipe.url}", reply.message
        if status in (401, 403) and self.key is None:
            host = urlsplit(self.recipe.url).netloc
            return ConfigError(
                f"{what} wants a key, and none of your keys belongs to this host: {message}",
                f"Put {host}=KEY into {KEYS}, or make it your usual endpoint (OPENAI_BASE_URL, {KEY}).",
            )
        if status in (401, 403):
            return ConfigError(
                f"{what} refuses the key: {message}", f"Set {KEY} or {KEYS} to a key that is valid there."
            )
        if 300 <= status < 400:
            return ConfigError(
                f"{what} redirects to {one_line(reply.location)!r}; prompts and keys go to no other address than yours.",
                "Name the address where the endpoint is.",
            )
        if status == 404:
            return ConfigError(
                f"{what} has no model {self.recipe.model!r}, or is no endpoint: {message}",
                "Check the model's name; the address usually ends in /v1.",
            )
        if status == 429:
            return ConfigError(
                f"{what} says that the quota is used up: {message}", "Add credit there, or use another key."
            )
        return ConfigError(f"{what} refuses the request ({reply.status}): {message}", "Check model and parameters.")


class _Turn:
    """Whose turn it is: so many requests at once, and none that begins after the halt."""

    def __init__(self, at_once: int) -> None:
        import anyio

        self.seats, self.halted = anyio.Semaphore(at_once), anyio.Event()

    def halt(self) -> None:
        """Let no further request begin, and end all pauses."""
        self.halted.set()

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until the halt."""
        import anyio

        with anyio.move_on_after(seconds):
            await self.halted.wait()


def api_sampler(model: Model | ModelRecipe, job: Job | None) -> APISampler | None:
    """The sampler of a model behind an API; None for other models."""
    if not isinstance(model, APIModel):
        return None
    assert job is not None, "a recipe comes with a job"
    return APISampler(model, Journal(job.scratch / "answers.jsonl"))


def _check_characters(conversations: Sequence[Conversation]) -> None:
    """Refuse, before anything is paid for, a prompt that no file could hold.

    Raises:
        ConfigError: a prompt has half of a surrogate pair.
    """
    for number, conversation in enumerate(conversations, start=1):
        for message in conversation.messages:
            if (text := message.content) != mended(text):
                raise ConfigError(
                    f"Prompt {number} has half of a surrogate pair, which is no character: {ascii(text)[:80]}.",
                    "Correct the prompt.",
                )


def _has_answer(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _status(reply: Reply) -> int:
    """The status of a reply; where a good reply holds an error in place of choices, the error's code."""
    error = reply.error if reply.status == 200 else None
    if error is None:
        return reply.status
    code = error.get("code")
    return code if isinstance(code, int) and 400 <= code < 600 else 400
