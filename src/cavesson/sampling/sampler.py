"""Sampling: its parameters, completions, and the interface of every sampler."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pydantic import Field, model_validator

from cavesson.chat import Conversation
from cavesson.lab.recipe import Value
from cavesson.sampling.loops import loops

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.sampling.perplexity import Likelihood


class Params(Value):
    """How to sample.

    Attributes:
        max_tokens: largest number of tokens in a completion.
        temperature: 0 is greedy decoding.
        top_p: keep the likeliest tokens that together have this probability (nucleus sampling, arXiv 1904.09751).
        n: completions per prompt.
        stop: texts that end a completion; the completion's text is cut before a stop text.
        seed: every draw depends on the seed, the prompt's tokens and the number of the completion alone, so that a completion
            does not depend on the rest of the batch. Equal prompts get equal completions; for different ones, raise `n`.
        logprobs: also return each token's log-probability under the model (without temperature and top-p).
    """

    max_tokens: int = Field(default=128, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    n: int = Field(default=1, ge=1)
    stop: tuple[str, ...] = ()
    seed: int = 0
    logprobs: bool = False

    @model_validator(mode="after")
    def _sensible(self) -> Params:
        if self.n > 1 and self.temperature == 0:
            raise ValueError(f"n={self.n} greedy completions are all the same: set a temperature above 0, or n=1")
        if "" in self.stop:
            raise ValueError("an empty stop text would end every completion before its first token")
        return self


FAULTS: dict[str, str] = {
    "cut": "cut at the limit on tokens",
    "loops": "repeating themselves up to the limit on tokens",
    "empty": "empty",
    "filtered": "filtered by the provider",
    "refused": "refused",
    "tool call": "calls of a tool",
    "ended otherwise": "ended for no known reason",
}
"""Why a completion is no whole answer: each reason, and the words for it in reports."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer.

    Attributes:
        text: the answer without special tokens, cut before a stop text.
        ids: all generated tokens, the end-of-turn token included.
        finished: the model ended its turn or wrote a stop text; False: the completion reached `max_tokens`.
        logprobs: natural log-probability of each of `ids`; None if they were not asked for.
        fault: one of `FAULTS`, where the sampler knows why the completion is no whole answer.
    """

    text: str
    ids: tuple[int, ...]
    finished: bool
    logprobs: tuple[float, ...] | None = None
    fault: str = ""

    @property
    def lack(self) -> str:
        """Why the completion is no whole answer (one of `FAULTS`); "": the completion is one."""
        if not self.text.strip():
            return self.fault or "empty"
        fault = self.fault or ("" if self.finished else "cut")
        return "loops" if fault == "cut" and loops(self.text) else fault

    def row(self) -> list[Any]:
        """The completion as JSON values."""
        return [self.text, self.ids, self.finished, self.logprobs, *([self.fault] if self.fault else [])]

    @staticmethod
    def of(row: Sequence[Any]) -> Completion:
        """The completion from the values of `row`, equal to the last bit."""
        text, ids, finished, logprobs, *fault = row
        return Completion(text, tuple(ids), finished, None if logprobs is None else tuple(logprobs), *fault)


class Progress(Protocol):
    """Called with the number of finished completions, of all completions, and further figures of the sampler."""

    def __call__(self, done: int, total: int, **figures: float | str) -> None: ...


class Sampler(Protocol):
    """Anything that continues conversations; `choice.sampler_for` gives a model's sampler.

    A complete sampler, which repeats the last message:

        class Echo:
            system, used = None, {}

            def sample(self, conversations, params, progress=None):
                return [[Completion(c.messages[-1].content, (), True)] * params.n for c in conversations]
    """

    @property
    def system(self) -> str | None:
        """The model's system prompt for conversations without a system prompt."""
        ...

    @property
    def used(self) -> Mapping[str, int]:
        """The cost of the answers (requests, tokens); empty for samplers whose answers cost nothing."""
        ...

    def sample(
        self, conversations: Sequence[Conversation], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """`params.n` completions for each conversation, in order; equal prompts get equal completions.

        Raises:
            ConfigError: the model cannot answer the request (a prompt longer than its context, no log-probabilities).
        """
        ...


def prompts_ids(model: Model, conversations: Sequence[Conversation]) -> list[list[int]]:
    """The tokens of each prompt, with the model's system prompt if the conversation has none."""
    own = model.system
    asked = [c.with_system(own) if c.system is None and own is not None else c for c in conversations]
    return model.renderer.prompt_many(asked)


def seed_of(ids: Sequence[int], draw: int, seed: int) -> int:
    """The seed that a service gets for one completion, 63 bits: it depends on the prompt's tokens, the completion's number and `seed`
    alone."""
    named = hashlib.blake2b(f"{seed} {draw} {list(ids)}".encode(), digest_size=8)
    return int.from_bytes(named.digest(), "little") >> 1


def write_usage(folder: Path, sampler: Sampler) -> None:
    """Write the cost of the answers to `usage.json`, if they have a cost."""
    if sampler.used:
        (folder / "usage.json").write_text(json.dumps(sampler.used), encoding="utf-8")


@runtime_checkable
class TokenSampler(Sampler, Protocol):
    """A sampler with access to the weights: it takes prompts as tokens, and its answers can be cached."""

    @property
    def key(self) -> str:
        """A name for all that decides a completion besides the prompt's tokens and parameters: weights, code, arithmetic."""
        ...

    def prompts_ids(self, conversations: Sequence[Conversation]) -> list[list[int]]:
        """The tokens of each prompt, with the model's system prompt if the conversation has none."""
        ...

    def continue_ids(
        self, prompts: Sequence[list[int]], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """`params.n` completions for each prompt, given as tokens; in order."""
        ...

    def likelihoods(self, conversations: Sequence[Conversation]) -> list[Likelihood]:
        """The likelihood of the answers in each conversation, in order; nothing is sampled.

        Raises:
            ConfigError: a conversation has no answer, or is longer than the model's context.
        """
        ...
