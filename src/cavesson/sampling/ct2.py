"""Greedy sampling through CTranslate2: the native sampler's answers in a third of its time on a CPU.

Answers differ where two tokens are equally likely up to rounding (some 3e-6 in a logit): docs/performance.md says how often.
Everything but plain greedy decoding (temperature above 0, log-probabilities, stop texts) is left to the native sampler.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from cavesson.sampling.ct2_engine import BATCH, Engine, engine_for, is_installed
from cavesson.sampling.native import NativeSampler, without_adapter
from cavesson.sampling.sampler import Completion, Params, Progress

if TYPE_CHECKING:
    from cavesson.models.model import Model


class CT2Sampler(NativeSampler):
    """Samples from a model in memory, greedily through an engine.

    Args:
        model: weights, renderer and system prompt.
        engine: holds a copy of the model's weights; make a new sampler once the weights have changed.
    """

    def __init__(self, model: Model, engine: Engine) -> None:
        super().__init__(model)
        self.engine = engine

    @property
    def arithmetic(self) -> str:
        """CTranslate2 rounds otherwise than torch: of two tokens that are equally likely up to rounding, it may write the other."""
        return f"{super().arithmetic}, ctranslate2 {metadata.version('ctranslate2')}"

    def continue_ids(
        self, prompts: Sequence[list[int]], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """`params.n` completions for each prompt, given as tokens; in order."""
        if params.temperature > 0 or params.logprobs or params.stop:
            return super().continue_ids(prompts, params, progress)
        rooms = self.rooms(prompts, params)
        stop_ids = sorted(self.stop_ids)
        found: dict[int, list[Completion]] = {}
        for batch in _batches([len(ids) for ids in prompts]):
            answers = self.engine.continued([prompts[index] for index in batch], max(rooms[i] for i in batch), stop_ids)
            found.update(
                (index, [self._completion(ids[: rooms[index]])]) for index, ids in zip(batch, answers, strict=True)
            )
            if progress is not None:
                progress(len(found), len(prompts))
        return [found[index] for index in range(len(prompts))]

    def _completion(self, ids: tuple[int, ...]) -> Completion:
        """The completion that consists of these tokens: up to a stop token, or as many as there is room for."""
        return Completion(self.model.renderer.decode(ids), ids, finished=ids[-1] in self.stop_ids)


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """The numbers of the prompts of each batch, for prompts of these lengths: longest first, prompts of one token apart."""
    longest_first = sorted(range(len(lengths)), key=lambda index: lengths[index], reverse=True)
    single = [index for index in longest_first if lengths[index] == 1]
    for group in (longest_first[: len(lengths) - len(single)], single):
        yield from (group[start : start + BATCH] for start in range(0, len(group), BATCH))


def ct2_sampler(model: Model, threads: int) -> CT2Sampler | None:
    """The sampler of a model; None if CTranslate2 is not installed or does not take the model.

    Args:
        threads: threads of the engine.
    """
    if not is_installed():
        return None
    whole = without_adapter(model)
    engine = engine_for(whole.net, threads)
    return None if engine is None else CT2Sampler(whole, engine)
