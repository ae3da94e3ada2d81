"""Inference servers: vLLM and SGLang take tokens and give tokens with log-probabilities, and load adapters while they run.

Read at vLLM 0.11 (`/v1/completions`, `/v1/models`, `/v1/load_lora_adapter`) and SGLang 0.5 (`/generate`, `/load_lora_adapter`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from cavesson.errors import CavessonError, ConfigError
from cavesson.sampling.endpoint import KEYS, Odd, Passing, Reply, post
from cavesson.sampling.patience import PASSING, line_to, trouble_of

if TYPE_CHECKING:
    import httpx

AT_ONCE = 64
"""Requests under way: the server forms batches of them."""
TIMEOUT = 600.0
"""Seconds for a whole reply: a busy server lets requests wait."""

Written = tuple[list[int], list[float]]
"""Tokens, and the natural log-probability of each."""


class Server(ABC):
    """A server at an address; `joined` gives the class that fits it.

    Attributes:
        kind: what the server calls itself in its list of models (`owned_by`).
        draws: whether a seed decides the draws of a request, whatever else the server is doing.
        base: the name under which the server serves its own weights.
        most_tokens: longest text, prompt and answer together; None: the server does not say.
    """

    kind: ClassVar[str]
    draws: ClassVar[bool]

    def __init__(self, url: str, models: Sequence[Mapping[str, Any]]) -> None:
        own = next((one for one in models if not one.get("parent")), models[0])
        self.url = url
        self.root = url.removesuffix("/v1")
        self.base = str(own.get("id"))
        most = own.get("max_model_len")
        self.most_tokens = most if isinstance(most, int) else None
        self.loaded = {str(one.get("id")) for one in models}

    @abstractmethod
    def likelihood_request(self, ids: Sequence[int], model: str) -> tuple[str, dict[str, Any]]:
        """Address and body of the request for the log-probabilities of a text's tokens."""

    @abstractmethod
    def likelihoods(self, ids: Sequence[int], reply: Reply) -> list[float]:
        """The log-probability of each token of a text but the first.

        Raises:
            Odd: the reply does not have them.
        """

    @abstractmethod
    def request(
        self, ids: Sequence[int], model: str, room: int, settings: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Address and body of the request for one continuation.

        Args:
            ids: the prompt.
            model: the name of the base or of an adapter.
            room: largest number of tokens.
            settings: `temperature`, `top_p`, `seed`, `stop` (texts) and `stop_token_ids`.
        """

    @abstractmethod
    def written(self, reply: Reply) -> Written:
        """The continuation in a reply, the token that ended it included.

        Raises:
            Odd: the reply has no tokens, or not a log-probability for each.
        """

    @abstractmethod
    def load_request(self, name: str, folder: Path) -> tuple[str, dict[str, Any]]:
        """Address and body of the request to load an adapter from a folder."""

    how_to_load: ClassVar[str]
    """What the server has to be started with, so that it loads adapters."""


class VLLM(Server):
    """vLLM, through its OpenAI-compatible routes."""

    kind = "vllm"
    draws = True
    how_to_load = "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve MODEL --enable-lora --max-lora-rank 64"

    def likelihood_request(self, ids: Sequence[int], model: str) -> tuple[str, dict[str, Any]]:
        body = {"model": model, "prompt": list(ids), "max_tokens": 1, "temperature": 0, "prompt_logprobs": 1}
        return f"{self.url}/completions", body

    def likelihoods(self, ids: Sequence[int], reply: Reply) -> list[float]:
        rows = _choice(reply).get("prompt_logprobs")
        if not isinstance(rows, list) or len(rows) != len(ids):
            raise Odd("it gives no log-probabilities of a prompt's tokens (prompt_logprobs)", "Use vLLM from 0.6 on.")
        try:
            return [float(row[str(token)]["logprob"]) for row, token in zip(rows[1:], ids[1:], strict=True)]
        except (KeyError, TypeError, ValueError) as error:
            raise Odd("its log-probabilities are of another prompt") from error

    def request(
        self, ids: Sequence[int], model: str, room: int, settings: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        plain = {"top_k": -1, "min_p": 0, "repetition_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0}
        wanted = {"logprobs": 0, "return_token_ids": True, "max_tokens": room, "n": 1}
        return f"{self.url}/completions", {"model": model, "prompt": list(ids), **wanted, **plain, **settings}

    def written(self, reply: Reply) -> Written:
        choice = _choice(reply)
        logprobs = choice.get("logprobs")
        return _checked(choice.get("token_ids"), logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None)

    def load_request(self, name: str, folder: Path) -> tuple[str, dict[str, Any]]:
        return f"{self.url}/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)}


class SGLang(Server):
    """SGLang, through its own route `/generate`: its OpenAI-compatible route gives no tokens."""

    kind = "sglang"
    draws = False
    how_to_load = (
        "python -m sglang.launch_server --model-path MODEL --enable-lora --max-lora-rank 64 --lora-target-modules all"
    )

    def likelihood_request(self, ids: Sequence[int], model: str) -> tuple[str, dict[str, Any]]:
        address, body = self.request(ids, model, 1, {"temperature": 0})
        return address, {**body, "logprob_start_len": 0}

    def likelihoods(self, ids: Sequence[int], reply: Reply) -> list[float]:
        rows = _meta(reply).get("input_token_logprobs")
        if not isinstance(rows, list) or [_at(row, 1) for row in rows] != list(ids):
            raise Odd("its log-probabilities are of another prompt")
        return _checked(list(ids[1:]), [_at(row, 0) for row in rows[1:]])[1]

    def request(
        self, ids: Sequence[int], model: str, room: int, settings: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        sampling = {"max_new_tokens": room, **{name: value for name, value in settings.items() if name != "seed"}}
        adapter = {} if model == self.base else {"lora_path": model}
        return f"{self.root}/generate", {
            "input_ids": list(ids),
            "sampling_params": sampling,
            "return_logprob": True,
            **adapter,
        }

    def written(self, reply: Reply) -> Written:
        rows = _meta(reply).get("output_token_logprobs")
        if not isinstance(rows, list):
            raise Odd("it gives no log-probabilities (output_token_logprobs)")
        return _checked([_at(row, 1) for row in rows], [_at(row, 0) for row in rows])

    def load_request(self, name: str, folder: Path) -> tuple[str, dict[str, Any]]:
        return f"{self.root}/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)}


SERVERS: dict[str, type[Server]] = {found.kind: found for found in (VLLM, SGLang)}
"""Every kind of server, by what it calls itself."""


class Line:
    """The way to one server: requests side by side, with further attempts where a failure may pass.

    Raises:
        MissingExtra: httpx or tenacity is not installed.
        ConfigError: the address is plain http to another machine.
    """

    def __init__(self, url: str) -> None:
        self._client, self._again = line_to(url, TIMEOUT, AT_ONCE, self._give_up)
        self.url = url

    def joined(self) -> Server:
        """The server at the other end.

        Raises:
            ConfigError: it is neither vLLM nor SGLang, or refuses.
            CavessonError: it does not answer.
        """
        value = self.ask([(f"{self.url}/models", None)])[0]
        models = self.read(lambda: value.value.get("data") if isinstance(value.value, dict) else None)
        owner = (
            models[0].get("owned_by") if isinstance(models, list) and models and isinstance(models[0], dict) else None
        )
        if owner not in SERVERS:
            raise ConfigError(
                f"The server {self.url} is neither vLLM nor SGLang (its models belong to {owner!r}).",
                f"For a model whose weights are not here, write openai:MODEL@{self.url}.",
            )
        return SERVERS[owner](self.url, models)

    def ask(
        self,
        asked: Sequence[tuple[str, dict[str, Any] | None]],
        heard: Callable[[int], None] = lambda done: None,
        passing: Collection[int] = PASSING,
    ) -> list[Reply]:
        """The replies to requests, in order.

        Args:
            asked: addresses and bodies; without a body a GET.
            heard: called with the number of replies so far; may raise to end everything.
            passing: status codes after which a request is tried again.

        Raises:
            ConfigError: the server refuses a request.
            CavessonError: the server cannot be reached, or still fails after several attempts.
        """
        from anyio.from_thread import start_blocking_portal

        with start_blocking_portal() as portal, portal.wrap_async_context_manager(self._client()) as client:
            seats = portal.call(_seats)
            futures = [portal.start_task_soon(self._one, client, seats, passing, *one) for one in asked]
            try:
                left: set[Future[Reply]] = set(futures)
                while left:
                    done, left = wait(left, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    heard(len(futures) - len(left))
            finally:
                for future in futures:
                    future.cancel()
        return [future.result() for future in futures]

    def read(self, reading: Callable[[], Any]) -> Any:
        """What a function reads out of a reply; a reply that is odd is the server's fault, in one message."""
        try:
            return reading()
        except Odd as odd:
            raise ConfigError(f"The server {self.url} does not answer as it should: {odd}.", odd.remedy) from odd

    async def _one(
        self,
        client: httpx.AsyncClient,
        seats: Any,
        passing: Collection[int],
        address: str,
        body: dict[str, Any] | None,
    ) -> Reply:
        async with seats:
            reply: Reply = await self._again()(self._attempt, client, passing, address, body)
            return reply

    async def _attempt(
        self, client: httpx.AsyncClient, passing: Collection[int], address: str, body: dict[str, Any] | None
    ) -> Reply:
        try:
            reply = await post(client, address, body, TIMEOUT)
        except Odd as odd:
            raise ConfigError(f"The server {self.url} does not answer as it should: {odd}.", odd.remedy) from odd
        if reply.status in passing:
            raise Passing(f"{reply.status} {reply.message}", reply.pause)
        if reply.status != 200:
            raise Refused(self.url, reply)
        return reply

    def _give_up(self, state: Any) -> Reply:
        raise CavessonError(
            f"The server {self.url} does not answer: {trouble_of(state)} (after {state.attempt_number} attempts).",
            "Start it, or look at its log; the same command goes on where it was.",
        )


class Refused(ConfigError):
    """A server's reply that another attempt would not change.

    Attributes:
        reply: the reply.
    """

    def __init__(self, url: str, reply: Reply) -> None:
        self.reply = reply
        remedy = "Check the server's settings and its log."
        if reply.status in (401, 403):
            remedy = f"Put {urlsplit(url).netloc}=KEY into {KEYS}."
        super().__init__(f"The server {url} refuses ({reply.status}): {reply.message}", remedy)

    def __reduce__(self) -> tuple[type[ConfigError], tuple[str, str]]:
        return ConfigError, (self.problem, self.remedy)


async def _seats() -> Any:
    import anyio

    return anyio.Semaphore(AT_ONCE)


def _choice(reply: Reply) -> dict[str, Any]:
    """The one choice of a completion."""
    choices = reply.value.get("choices") if isinstance(reply.value, dict) else None
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise Odd(f"the reply has not one choice ({reply.excerpt!r})")
    return choices[0]


def _meta(reply: Reply) -> dict[str, Any]:
    meta = reply.value.get("meta_info") if isinstance(reply.value, dict) else None
    if not isinstance(meta, dict):
        raise Odd(f"the reply has no meta_info ({reply.excerpt!r})")
    return meta


def _at(row: Any, place: int) -> Any:
    return row[place] if isinstance(row, list) and len(row) > place else None


def _checked(ids: Any, logprobs: Any) -> Written:
    """Tokens and log-probabilities as they came."""
    if not isinstance(ids, list) or not ids or not all(type(token) is int and token >= 0 for token in ids):
        raise Odd("it gives no tokens, only text", "Use vLLM from 0.10.2 on, which knows return_token_ids.")
    if not isinstance(logprobs, list) or len(logprobs) != len(ids):
        raise Odd("it gives not one log-probability for each token")
    if not all(type(value) in (int, float) and value <= 1e-3 for value in logprobs):
        raise Odd("a log-probability is no number, or above 0")
    return ids, [float(value) for value in logprobs]
