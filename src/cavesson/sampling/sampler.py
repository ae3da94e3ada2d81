"""What it means to sample: parameters, completions, and the one method that every sampler has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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


class Sampler(Protocol):
    """Anything that continues conversations."""

    def sample(self, conversations: Sequence[Conversation], params: Params) -> list[list[Completion]]:
        """`params.n` completions for each conversation, in order."""
        ...
