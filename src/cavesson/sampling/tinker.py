"""Sampling from models whose weights lie at Tinker: prompts go there as tokens, and answers come back as tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.models.far import Far
from cavesson.sampling.bounds import rooms_for
from cavesson.sampling.perplexity import Likelihood, likelihoods
from cavesson.sampling.sampler import Completion, Params, Progress, prompts_ids, seed_of

if TYPE_CHECKING:
    from cavesson.models.model import Model

VERSION = 1
"""Raise it when completions change."""


class TinkerSampler:
    """Samples from a model at Tinker.

    Args:
        model: the model, rendered here.
        net: stands for its weights.
    """

    def __init__(self, model: Model, net: Far) -> None:
        self.model, self.net = model, net
        self.stop_ids = sorted(model.renderer.stop_ids)
        self._used: Counter[str] = Counter()

    @property
    def system(self) -> str | None:
        return self.model.system

    @property
    def used(self) -> Mapping[str, int]:
        return self._used

    @property
    def key(self) -> str:
        return f"tinker {VERSION}: {self.model.key} {self.net.path or self.net.model} at {self.net.service.url}"

    def sample(
        self, conversations: Sequence[Conversation], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """`params.n` completions for each conversation, in order; errors as of `continue_ids`."""
        return self.continue_ids(self.prompts_ids(conversations), params, progress)

    def prompts_ids(self, conversations: Sequence[Conversation]) -> list[list[int]]:
        """The tokens of each prompt, with the model's system prompt if the conversation has none."""
        return prompts_ids(self.model, conversations)

    def continue_ids(
        self, prompts: Sequence[list[int]], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """`params.n` completions for each prompt, given as tokens; in order.

        Raises:
            ConfigError: a prompt leaves no room in the model's context, or the service refuses the request.
            CavessonError: the service cannot be reached.
        """
        if not prompts:
            return []
        rooms = rooms_for([len(ids) for ids in prompts], params.max_tokens, self.net.context)
        client = self.net.sampling()

        def request(ids: list[int], room: int, draw: int) -> Callable[[], Any]:
            how = self.net.service.package.SamplingParams(
                max_tokens=room,
                temperature=params.temperature,
                top_p=params.top_p,
                seed=seed_of(ids, draw, params.seed),
                stop=self.stop_ids,
            )
            return partial(client.sample, self.net.service.tokens(ids), 1, how)

        def heard(done: int) -> None:
            if progress is not None:
                progress(done, len(prompts) * params.n, tokens=str(self._used["tokens"]))

        asked = [(ids, room, draw) for ids, room in zip(prompts, rooms, strict=True) for draw in range(params.n)]
        replies = self.net.service.gather([request(*one) for one in asked], heard)
        found = [self._completion(reply.sequences[0], params) for reply in replies]
        read, written = sum(len(ids) for ids, _, _ in asked), sum(len(one.ids) for one in found)
        self._used.update(requests=len(asked), tokens=read + written)
        if params.logprobs and (
            params.temperature != 1 or params.top_p < 1 or any(one.logprobs is None for one in found)
        ):
            found = self._scored([ids for ids, _, _ in asked], found)
        return [found[start : start + params.n] for start in range(0, len(found), params.n)]

    def likelihoods(self, conversations: Sequence[Conversation]) -> list[Likelihood]:
        """The likelihood of the answers in each conversation, in order."""
        return list(likelihoods(self.model, [Example(conversation) for conversation in conversations]))

    def _completion(self, said: Any, params: Params) -> Completion:
        """The completion, cut where a stop text is complete."""
        ids, finished = [int(one) for one in said.tokens], said.stop_reason == "stop"
        text = self.model.renderer.decode(ids)
        if any(stop in text for stop in params.stop):
            size = next(n for n in range(1, len(ids) + 1) if self._stops(ids[:n], params))
            ids, finished = ids[:size], True
            text = self.model.renderer.decode(ids)
            text = text[: min(text.index(stop) for stop in params.stop if stop in text)]
        told = said.logprobs if params.logprobs else None
        logprobs = None if told is None else tuple(float(one) for one in told[: len(ids)])
        return Completion(text, tuple(ids), finished, logprobs)

    def _stops(self, ids: list[int], params: Params) -> bool:
        text = self.model.renderer.decode(ids)
        return any(stop in text for stop in params.stop)

    def _scored(self, prompts: Sequence[list[int]], found: Sequence[Completion]) -> list[Completion]:
        """The completions with log-probabilities under the model itself, without temperature and top-p."""
        every = self.net.logprobs([[*ids, *one.ids] for ids, one in zip(prompts, found, strict=True)])
        return [
            replace(one, logprobs=tuple(row[len(ids) - 1 :]))
            for ids, one, row in zip(prompts, found, every, strict=True)
        ]


def tinker_sampler(model: Model, threads: int) -> TinkerSampler | None:
    """The sampler of a model at Tinker; None for other models."""
    net: Any = model.net
    return TinkerSampler(model, net) if isinstance(net, Far) else None
