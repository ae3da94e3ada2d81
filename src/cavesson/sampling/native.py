"""The native sampler: batched generation with a key–value cache on any Hugging Face causal language model.

Greedy output equals that of `transformers.generate`, token by token. An architecture is read in the manner that is right for
it (`manner.py`). Three things make the sampler fast on small models:

- seats are refilled as rows finish (continuous batching), so that no step runs for a few remaining rows;
- keys and values are written in place (`window.py`), and their size is bounded (`bounds.py`), so that they stay in the processor's
  last-level cache: every step reads all of them;
- prompts are prefilled in order of length, so that there is little padding.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from torch import Tensor

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.models.context import context_of, text_config
from cavesson.sampling.bounds import fitting_seats, rooms_for
from cavesson.sampling.llama import Llama, fits, llama_of
from cavesson.sampling.manner import manner_of, switch_of
from cavesson.sampling.perplexity import Likelihood, likelihoods
from cavesson.sampling.reading import Reader, inference
from cavesson.sampling.sampler import Completion, Params, Progress, prompts_ids
from cavesson.sampling.vocabulary import check_known, note_left_out, rows_of, stop_ids_of
from cavesson.sampling.window import Anew, Keys, Window

if TYPE_CHECKING:
    from cavesson.models.model import Model

VERSION = 3  # 3: other last bits of a Llama's logits on a CPU
"""Raise it when completions change: stores keep them from one version to the next (`tests/test_versions.py` reminds you)."""

USUAL_TOKENS = 64
PREFILL_TOKENS = {"cpu": 2048, "cuda": 65536}
SPARE_COLUMNS = 128
NUCLEI = (512, 4096)
"""Numbers of tokens within which a nucleus is looked for before the whole vocabulary is sorted, which takes longer than a step of a
model. Only rows with a larger nucleus are looked at again."""
MERGED_UP_TO = 300_000_000
"""Largest number of parameters of a model whose adapter is merged for sampling."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One completion to write."""

    prompt: int  # index of the conversation
    draw: int  # number of the completion, from 0 to n - 1
    ids: list[int]
    budget: int  # largest number of tokens to write


class NativeSampler:
    """Samples from a model in memory.

    Args:
        model: weights, renderer and system prompt. The adapter of a small model is merged into a copy of the weights, since
            an adapter nearly doubles the operations of a step; make a new sampler once the weights have changed.
        seats: number of rows at once; None: see `fitting_seats`.
    """

    def __init__(self, model: Model, seats: int | None = None) -> None:
        self.model = without_adapter(model)
        self.seats = seats
        note_left_out(self.model.net)

    @property
    def system(self) -> str | None:
        return self.model.system

    @property
    def used(self) -> Mapping[str, int]:
        return {}

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""
        return stop_ids_of(self.model)

    @cached_property
    def llama(self) -> Llama | None:
        """The quick way to read a plain Llama on a CPU."""
        return llama_of(self.model.net)

    @cached_property
    def key(self) -> str:
        """See `TokenSampler.key`. The key also holds a hash of the weights, since two processors may make different weights
        from one recipe."""
        return f"native {VERSION}: {self.model.key} {_digest(self.model.net)} on {self.arithmetic}"

    @property
    def arithmetic(self) -> str:
        """All that decides the last bits of a sum: software and processor."""
        place = self.model.device
        chip = torch.cuda.get_device_name(place) if place.type == "cuda" else torch.backends.cpu.get_cpu_capability()
        return f"torch {torch.__version__}, transformers {transformers.__version__}, {place.type} {chip}"

    def sample(
        self, conversations: Sequence[Conversation], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """`params.n` completions for each conversation, in order.

        Raises:
            ConfigError: a prompt leaves no room in the model's context.
        """
        return self.continue_ids(self.prompts_ids(conversations), params, progress)

    def prompts_ids(self, conversations: Sequence[Conversation]) -> list[list[int]]:
        """The tokens of each prompt, with the model's system prompt if the conversation has none."""
        return prompts_ids(self.model, conversations)

    def continue_ids(
        self, prompts: Sequence[list[int]], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """`params.n` completions for each prompt, given as tokens; in order."""
        rooms = self.rooms(prompts, params)
        rows = [
            _Row(index, draw, ids, room)
            for index, (ids, room) in enumerate(zip(prompts, rooms, strict=True))
            for draw in range(params.n)
        ]
        found: list[list[Completion]] = [[None] * params.n for _ in prompts]  # type: ignore[list-item]
        if not rows:
            return found
        with inference(self.model.net):
            for done, (row, completion) in enumerate(self._written(rows, params), start=1):
                found[row.prompt][row.draw] = completion
                if progress is not None and (done % 32 == 0 or done == len(rows)):
                    progress(done, len(rows))
        return found

    def _written(self, rows: list[_Row], params: Params) -> Iterator[tuple[_Row, Completion]]:
        """Each row with its completion. Texts on the two sides of a switch are not read together, since the longest text of a
        batch decides the positions of all; a text that passes the switch is read anew for every token."""
        manner, switch = manner_of(self.model.net), switch_of(text_config(self.model.net))
        groups: dict[type[Keys], dict[bool, list[_Row]]] = {}
        for row in rows:
            beyond = switch is not None and len(row.ids) > switch
            passes = switch is not None and not beyond and len(row.ids) + row.budget - 1 > switch
            groups.setdefault(Anew if passes else manner, {}).setdefault(beyond, []).append(row)
        for kind, sides in groups.items():
            for side in sides.values():
                seats = self.seats or self._fitting_seats(side)
                yield from _Decoding(self, side, params, seats, kind).run()

    def likelihoods(self, conversations: Sequence[Conversation]) -> list[Likelihood]:
        """The likelihood of the answers in each conversation, in order; torch computes it, whatever engine samples."""
        with inference(self.model.net):
            return list(likelihoods(self.model, [Example(conversation) for conversation in conversations]))

    def rooms(self, prompts: Sequence[list[int]], params: Params) -> list[int]:
        """The largest number of tokens that each prompt's completion may have.

        Raises:
            ConfigError: a prompt is empty, leaves no room in the model's context, or has tokens that the model does not have.
        """
        check_known(self.model.net, prompts)
        return rooms_for([len(ids) for ids in prompts], params.max_tokens, context_of(self.model.net))

    def _fitting_seats(self, rows: list[_Row]) -> int:
        """Number of seats for answers of the usual length (far below the budget)."""
        columns = sum(len(row.ids) + min(row.budget, USUAL_TOKENS) / 2 for row in rows) / len(rows)
        return fitting_seats(self.model.net, columns, max(len(row.ids) + row.budget for row in rows) + SPARE_COLUMNS)


class _Decoding:
    """One call under way: the row on each seat, the tokens written so far, and the current column.

    Tensors have the shape `[seats]` or `[seats, columns]`. Every live row has its newest token in column `end`, which the
    model has not read yet. The columns `start` to `end` (exclusive) are in the key–value cache.
    """

    def __init__(
        self, sampler: NativeSampler, rows: list[_Row], params: Params, seats: int, manner: type[Keys]
    ) -> None:
        self.model, self.params, self.stop_ids = sampler.model, params, sampler.stop_ids
        self.net, self.device = self.model.net, self.model.net.device
        self.queue = deque(sorted(rows, key=lambda row: len(row.ids), reverse=True))
        self.seats = min(seats, len(rows))
        columns = max(len(row.ids) + row.budget for row in rows) + SPARE_COLUMNS
        self.keys = manner(text_config(self.net), self.seats, columns)
        self.start = self.end = 0
        self.columns = columns
        self.row: list[_Row | None] = [None] * self.seats
        self.first = [0] * self.seats  # column of a row's first token, prompt included
        self.tokens = torch.zeros(self.seats, columns, dtype=torch.long, device=self.device)
        self.mask = torch.zeros(self.seats, columns, dtype=torch.long, device=self.device)
        self.position = torch.zeros(self.seats, dtype=torch.long, device=self.device)
        self.left = torch.zeros(self.seats, dtype=torch.long, device=self.device)  # tokens that a row may still write
        self.live = torch.zeros(self.seats, dtype=torch.bool, device=self.device)
        self.logprobs = torch.zeros(self.seats, columns, device=self.device) if params.logprobs else None
        self.draws = torch.zeros(self.seats, params.max_tokens, dtype=torch.float64, device=self.device)
        self.ends_turn = torch.zeros(rows_of(self.net), dtype=torch.bool, device=self.device)
        self.ends_turn[sorted(self.stop_ids)] = True
        self.read = Reader(self.net)
        self.begin, self.read_column = partial(self.keys.begin, self.read), partial(self.keys.step, self.read)
        if isinstance(self.keys, Window) and (quick := sampler.llama) is not None:
            self.begin, self.read_column = partial(quick.begin, self.keys), partial(quick.step, self.keys)

    def run(self) -> Iterator[tuple[_Row, Completion]]:
        """Write all rows; yields each row when it is finished."""
        while True:
            while self._wants_rows():
                yield from self._retire(self._admit())
            if not self.live.any():
                return
            self._compact()
            yield from self._retire(self._step())

    def _wants_rows(self) -> bool:
        """Whether to refill seats: once a quarter of them is free, since prefilling few rows costs nearly as much as many."""
        free = sum(row is None for row in self.row)
        if not self.queue or not free:
            return False
        return free == len(self.row) or (self.keys.refills and free >= min(len(self.queue), max(1, self.seats // 4)))

    def _admit(self) -> Tensor:
        """Prefill the next prompts into free seats; returns which seats are finished after their first token, `[seats]`."""
        free = [seat for seat, row in enumerate(self.row) if row is None]
        all_free = len(free) == len(self.row)
        rows = self._next_rows(self.seats if all_free else len(free))
        length = len(rows[0].ids)
        if all_free:
            free = list(range(self.seats if self.keys.refills else len(rows)))
            self.row, self.first = [None] * len(free), [0] * len(free)
            self.end = length
        assert length <= self.end, "prompts come longest first, so there is room before the current column"
        seats = free[: len(rows)]
        ids = torch.tensor([[0] * (length - len(r.ids)) + r.ids for r in rows], device=self.device)
        mask = torch.tensor([[0] * (length - len(r.ids)) + [1] * len(r.ids) for r in rows], device=self.device)
        at = torch.tensor(seats, device=self.device)
        logits = self.begin(ids, mask, at, self.end)
        self.tokens[at, self.end - length : self.end] = ids
        self.mask[at] = 0
        self.mask[at, self.end - length : self.end] = mask
        self.position[at] = mask.sum(1)
        self.left[at] = torch.tensor([row.budget for row in rows], device=self.device)
        self.live[at] = True
        if self.params.temperature > 0:
            self.draws[at] = torch.from_numpy(np.stack([_draws(row, self.params) for row in rows])).to(self.device)
        for seat, row in zip(seats, rows, strict=True):
            self.row[seat], self.first[seat] = row, self.end - len(row.ids)
        self._drop_columns()
        return self._write(logits, at)

    def _next_rows(self, most: int) -> list[_Row]:
        """Take as many rows from the queue as one prefill can hold."""
        length = len(self.queue[0].ids)
        limit = min(most, len(self.queue), max(1, PREFILL_TOKENS.get(self.device.type, 65536) // length))
        rows = [self.queue.popleft()]
        while len(rows) < limit and (self.keys.refills or len(self.queue[0].ids) == length):
            rows.append(self.queue.popleft())
        return rows

    def _step(self) -> Tensor:
        """Let the model read column `end` and write the next column; returns which seats are finished, `[seats]`."""
        if self.end + 2 > self.columns:
            self._move_to_front()
        used = len(self.row)
        self.mask[:used, self.end] = 1
        seen = slice(self.start, self.end + 1)
        logits = self.read_column(self.tokens[:used, seen], self.mask[:used, seen], self.position[:used, None])
        self.end += 1
        self.position[:used] += self.live[:used]  # a finished row keeps its position, so it stays within the context
        return self._write(logits, None)

    def _write(self, logits: Tensor, at: Tensor | None) -> Tensor:
        """Write each row's next token into column `end`; returns which seats are finished, `[seats]`."""
        seats = slice(0, len(self.row)) if at is None else at
        chosen = _choose(logits, self.params, self._draw(seats))
        self.tokens[seats, self.end] = chosen
        if self.logprobs is not None:
            self.logprobs[seats, self.end] = logits.float().log_softmax(-1).gather(1, chosen[:, None])[:, 0]
        self.left[seats] -= 1
        done = torch.zeros_like(self.live)
        done[seats] = self.ends_turn[chosen] | (self.left[seats] <= 0)
        if self.params.stop:
            done |= self._at_stop_text()
        return done & self.live

    def _draw(self, seats: Any) -> Tensor | None:
        """Each row's uniform random number for its next token, `[rows]`; None for greedy decoding."""
        if self.params.temperature == 0:
            return None
        column = (self.params.max_tokens - self.left[seats]).clamp(max=self.params.max_tokens - 1)
        return self.draws[seats].gather(1, column[:, None])[:, 0]

    def _at_stop_text(self) -> Tensor:
        """Which seats have just written a stop text, `[seats]`."""
        reach = max(len(text.encode()) for text in self.params.stop) + 8  # a token is at least a byte
        found = [row is not None and self._stops(seat, row, reach) for seat, row in enumerate(self.row)]
        return torch.tensor(found + [False] * (len(self.live) - len(found)), device=self.device)

    def _stops(self, seat: int, row: _Row, reach: int) -> bool:
        written = self.tokens[seat, self.first[seat] + len(row.ids) : self.end + 1]
        tail = self.model.renderer.decode(written[-reach:].tolist())
        return any(text in tail for text in self.params.stop)

    def _retire(self, done: Tensor) -> Iterator[tuple[_Row, Completion]]:
        """Yield the finished rows and free their seats."""
        for seat in done.nonzero()[:, 0].tolist():
            row = self.row[seat]
            assert row is not None
            self.row[seat] = None
            self.live[seat] = False
            yield row, self._completion(seat, row)
        self._drop_columns()

    def _completion(self, seat: int, row: _Row) -> Completion:
        written = slice(self.first[seat] + len(row.ids), self.end + 1)
        ids = tuple(self.tokens[seat, written].tolist())
        text = self.model.renderer.decode(ids)
        cuts = [text.index(stop) for stop in self.params.stop if stop in text]
        logprobs = None if self.logprobs is None else tuple(self.logprobs[seat, written].tolist())
        finished = bool(cuts) or ids[-1] in self.stop_ids
        return Completion(text[: min(cuts)] if cuts else text, ids, finished, logprobs)

    def _drop_columns(self) -> None:
        """Drop the columns that no live row uses."""
        firsts = [first for first, row in zip(self.first, self.row, strict=True) if row is not None]
        self.start = min(firsts, default=self.end)
        self.keys.use_columns(self.start, self.end)

    def _compact(self) -> None:
        """Once no prompt is left to refill seats, drop the empty seats when they are a quarter of all."""
        live = [seat for seat, row in enumerate(self.row) if row is not None]
        if (self.queue and self.keys.refills) or len(live) > 0.75 * len(self.row):
            return
        at = torch.tensor(live, device=self.device)
        self.keys.keep(at)
        for state in (self.tokens, self.mask, self.position, self.left, self.live, self.draws, self.logprobs):
            if state is not None:
                state[: len(live)] = state[at]
        self.live[len(live) :] = False
        self.row = [self.row[seat] for seat in live]
        self.first = [self.first[seat] for seat in live]

    def _move_to_front(self) -> None:
        """Move the columns in use to the front, once there is no free column at the end."""
        start, end = self.start, self.end
        self.keys.move(start, end)
        for state in (self.tokens, self.mask, self.logprobs):
            if state is not None:
                state[:, : end - start + 1] = state[:, start : end + 1].clone()
                state[:, end - start + 1 :] = 0
        self.first = [first - start for first in self.first]
        self.start, self.end = 0, end - start
        self.keys.use_columns(self.start, self.end)


def _choose(logits: Tensor, params: Params, draws: Tensor | None) -> Tensor:
    """One token for each row of `logits`, `[rows, vocabulary]`: the likeliest token, or the token on which the draw falls."""
    if draws is None:
        return logits.float().argmax(-1)  # five times as fast as in 16 bits
    probabilities = (logits.double() / params.temperature).softmax(-1)
    if params.top_p == 1:
        return _inverse(probabilities, draws)[:, 0]
    return _from_nuclei(probabilities, params.top_p, draws)


def _from_nuclei(probabilities: Tensor, top_p: float, draws: Tensor) -> Tensor:
    """The token of each row's nucleus on which the row's draw falls, `[rows]`; rows with a large nucleus are looked at again."""
    size, left = probabilities.shape[-1], torch.arange(len(probabilities), device=probabilities.device)
    found = torch.empty_like(left)
    for most in (*(number for number in NUCLEI if number < size), size):
        nuclei, order, whole = _nuclei(probabilities, top_p, most)
        found[left] = order.gather(1, _inverse(nuclei, draws))[:, 0]
        if whole.all():
            break
        probabilities, draws, left = probabilities[~whole], draws[~whole], left[~whole]
    return found


def _nuclei(probabilities: Tensor, top_p: float, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each row's nucleus among its `most` likeliest tokens.

    Returns:
        probabilities and tokens, the likeliest first and equally likely ones in the order of their numbers, `[rows, most]`; beyond a
        nucleus stand zeros. And for each row whether this is the nucleus, `[rows]`: False if the nucleus, or tokens as likely as its
        last one, may reach beyond `most`.
    """
    if most == probabilities.shape[-1]:
        sorted_p, order = probabilities.sort(dim=-1, descending=True, stable=True)
    else:
        order = probabilities.topk(most, sorted=False).indices.sort(-1).values
        sorted_p, places = probabilities.gather(1, order).sort(dim=-1, descending=True, stable=True)
        order = order.gather(1, places)
    before = sorted_p.cumsum(-1) - sorted_p
    inside = before < top_p
    beyond = (inside & (sorted_p == sorted_p[:, -1:])).any(-1) & (most < probabilities.shape[-1])
    return sorted_p.masked_fill(~inside, 0.0), order, ~beyond


def _inverse(weights: Tensor, draws: Tensor) -> Tensor:
    """Index at which the cumulated weights pass `draws` (uniform in [0, 1)) times their sum, `[rows, 1]`."""
    cumulated = weights.cumsum(-1)
    index = torch.searchsorted(cumulated, draws[:, None] * cumulated[:, -1:], right=True)
    return index.clamp(max=weights.shape[-1] - 1)


def _draws(row: _Row, params: Params) -> np.ndarray:
    """The uniform random numbers of one completion, from the prompt's tokens, the completion's number and the seed alone."""
    name = f"{params.seed} {row.draw} {row.ids}".encode()
    key = int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key)).random(params.max_tokens)


def _digest(net: Any) -> str:
    """Hash of all weights: names, types, shapes and bytes."""
    found = hashlib.blake2b(digest_size=16)
    for name, weight in sorted(net.state_dict().items()):
        found.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        found.update(memoryview(weight.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy()))
    return found.hexdigest()


def without_adapter(model: Model) -> Model:
    """The model with its adapter merged into a copy, if the model is small enough to be copied for every evaluation.

    In bfloat16 the adapter of a Llama stays beside the weights (`cavesson.sampling.llama`): the copy would have to be float32, which
    reads half as fast.
    """
    if not hasattr(model.net, "peft_config"):
        return model
    weights = [*model.net.parameters()]
    beside = weights[0].dtype == torch.bfloat16 and fits(model.net)
    if beside or sum(weight.numel() for weight in weights) > MERGED_UP_TO:
        return model
    from cavesson.models.model import merged

    return merged(model)
