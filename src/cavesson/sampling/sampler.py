"""What it means to sample: parameters, completions, and what every sampler has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import Field, model_validator

from cavesson.chat import Conversation
from cavesson.lab.recipe import Value


class Params(Value):
    """How to sample.

    Attributes:
        max_tokens: a completion ends after this many tokens at the latest.
        temperature: 0 is greedy decoding.
        top_p: keep the likeliest tokens that together have this probability (nucleus sampling, arXiv 1904.09751).
        n: completions per prompt.
        stop: texts that end a completion; the completion's text stops before them.
        seed: with the prompt's tokens and the number of the completion it decides every draw, so that a completion
            does not depend on what else is in the batch. Equal prompts get equal completions: ask for `n` instead.
        logprobs: also return each token's log-probability under the model (temperature and top-p left aside).
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


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer.

    Attributes:
        text: the answer without special tokens, cut before a stop text.
        ids: all tokens that were generated, the one that ended the turn included.
        finished: the model ended its turn or a stop text came; False: it ran out of tokens.
        logprobs: natural logarithms, one for each of `ids`; None if they were not asked for.
    """

    text: str
    ids: tuple[int, ...]
    finished: bool
    logprobs: tuple[float, ...] | None = None

    def row(self) -> list[Any]:
        """The completion as JSON values."""
        return [self.text, self.ids, self.finished, self.logprobs]

    @staticmethod
    def of(row: Sequence[Any]) -> Completion:
        """The completion that `row` made these values of, to the last bit."""
        text, ids, finished, logprobs = row
        return Completion(text, tuple(ids), finished, None if logprobs is None else tuple(logprobs))


class Progress(Protocol):
    """Called with completions done, completions wanted, and what the sampler counts besides."""

    def __call__(self, done: int, total: int, **figures: float | str) -> None: ...


class Sampler(Protocol):
    """Anything that continues conversations; `choice.sampler_for` gives a model's.

    A whole sampler, which says what it is asked:

        class Echo:
            system, used = None, {}

            def sample(self, conversations, params, progress=None):
                return [[Completion(c.messages[-1].content, (), True)] * params.n for c in conversations]
    """

    @property
    def system(self) -> str | None:
        """The system prompt that the model runs under where a conversation has none."""
        ...

    @property
    def used(self) -> Mapping[str, int]:
        """What the answers have cost where somebody counts that (requests, tokens); otherwise nothing."""
        ...

    def sample(
        self, conversations: Sequence[Conversation], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """`params.n` completions for each conversation, in order; equal prompts get equal completions.

        Raises:
            ConfigError: the model cannot be asked so (a prompt longer than its context, log-probabilities that it lacks).
        """
        ...


def write_usage(folder: Path, sampler: Sampler) -> None:
    """Write what the answers have cost to `usage.json`, if somebody has counted."""
    if sampler.used:
        (folder / "usage.json").write_text(json.dumps(sampler.used), encoding="utf-8")


@runtime_checkable
class TokenSampler(Sampler, Protocol):
    """A sampler that has the weights: prompts can be given to it, and its answers kept, as tokens."""

    @property
    def key(self) -> str:
        """Names all that decides a completion besides the prompt's tokens and the parameters: weights, code, arithmetic."""
        ...

    def prompts_ids(self, conversations: Sequence[Conversation]) -> list[list[int]]:
        """The tokens that the model is asked to continue, its own system prompt in front where there is none."""
        ...

    def continue_ids(
        self, prompts: Sequence[list[int]], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """As `sample`, from tokens."""
        ...
