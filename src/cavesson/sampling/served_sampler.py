"""Sampling through an inference server from models whose weights lie here as well.

The weights here say what the server has to be: before the first answer, the server has to give the log-probabilities that the
weights here give for a fixed text. An adapter that is trained on the model is loaded into the server under a name that is the
hash of its weights. A model with other weights of its own is sampled here.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft import PeftModel

from cavesson.errors import ConfigError
from cavesson.lab.recipe import Job
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.patience import PASSING
from cavesson.sampling.sampler import Completion, Params, Progress, seed_of
from cavesson.sampling.served import server_below
from cavesson.sampling.server import Line, Refused
from cavesson.sampling.vocabulary import rows_of

if TYPE_CHECKING:
    from cavesson.models.model import Model

VERSION = 1
"""Raise it when completions change."""

PROBE_TOKENS = 48
AGREES_TO = {32: 0.005, 16: 0.1}
"""Largest mean difference between log-probabilities here and there, in nats, for weights of 32 and of 16 bits. The shipped models in
float16 lie 0.006 to 0.008 from themselves in float32, in bfloat16 0.04 to 0.09, and 1.7 and more from each other."""


class ServedSampler(NativeSampler):
    """Samples through a server from a model whose weights are here.

    Args:
        model: weights, renderer and system prompt; an adapter is loaded into the server.
        url: of the server.
        adapters: a folder that the server can read too.

    Raises:
        ConfigError: the server is of no known kind, refuses the adapter, or has other weights than the model here.
    """

    def __init__(self, model: Model, url: str, adapters: Path) -> None:
        super().__init__(model)
        self._line = Line(url)
        self._server = self._line.joined()
        self._name = self._server.base
        if isinstance(model.net, PeftModel):
            self._name = self._load(model, adapters)
        self._compare(model)

    @property
    def arithmetic(self) -> str:
        """A server rounds otherwise than torch."""
        return f"{super().arithmetic}, served {VERSION} by {self._server.kind}"

    def continue_ids(
        self, prompts: Sequence[list[int]], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """`params.n` completions for each prompt, given as tokens; in order.

        Raises:
            ConfigError: the server has less room than the model, or cannot draw by a seed.
        """
        rooms = self.rooms(prompts, params)
        self._check(prompts, rooms, params)
        asked = [
            self._server.request(ids, self._name, room, self._settings(ids, draw, params))
            for ids, room in zip(prompts, rooms, strict=True)
            for draw in range(params.n)
        ]

        def heard(done: int) -> None:
            if progress is not None:
                progress(done, len(asked))

        replies = self._line.ask(asked, heard) if asked else []
        found = [self._completion(reply, params) for reply in replies]
        return [found[start : start + params.n] for start in range(0, len(found), params.n)]

    def _check(self, prompts: Sequence[list[int]], rooms: Sequence[int], params: Params) -> None:
        longest = max((len(ids) + room for ids, room in zip(prompts, rooms, strict=True)), default=0)
        if self._server.most_tokens is not None and longest > self._server.most_tokens:
            raise ConfigError(
                f"The server {self._line.url} takes texts of {self._server.most_tokens} tokens, and a prompt with its answer may have {longest}.",
                f"Start the server with room for {longest} tokens, or ask for shorter answers.",
            )
        if params.temperature > 0 and not self._server.draws:
            raise ConfigError(
                f"The server {self._line.url} ({self._server.kind}) draws otherwise each time it is asked.",
                "Ask for greedy answers (temperature 0), or serve the model with vLLM, whose draws a seed decides.",
            )

    def _settings(self, ids: Sequence[int], draw: int, params: Params) -> dict[str, Any]:
        """How to sample one completion."""
        return {
            "temperature": params.temperature,
            "top_p": params.top_p,
            "seed": seed_of(ids, draw, params.seed),
            "stop": list(params.stop),
            "stop_token_ids": sorted(self.stop_ids),
        }

    def _completion(self, reply: Any, params: Params) -> Completion:
        written, logprobs = self._line.read(lambda: self._server.written(reply))
        text = self.model.renderer.decode(written)
        cuts = [text.index(stop) for stop in params.stop if stop in text]
        finished = bool(cuts) or written[-1] in self.stop_ids
        kept = tuple(logprobs) if params.logprobs else None
        return Completion(text[: min(cuts)] if cuts else text, tuple(written), finished, kept)

    def _compare(self, model: Model) -> None:
        """Refuse a server that gives other log-probabilities for a fixed text than the weights here.

        Raises:
            ConfigError: the server has other weights, leaves the adapter out, or computes in another precision.
        """
        net = self.model.net
        ids = [(31 * place + 7) % rows_of(net) for place in range(PROBE_TOKENS)]
        reply = self._line.ask([self._server.likelihood_request(ids, self._name)])[0]
        there = self._line.read(lambda: self._server.likelihoods(ids, reply))
        apart = _apart(_likelihoods(net, ids), there)
        bits = 32 if net.dtype == torch.float32 else 16
        who = f"The server {self._line.url} has other weights under the name {self._name!r} than the model here"
        if not apart <= AGREES_TO[bits]:
            raise ConfigError(
                f"{who}: its log-probabilities of a fixed text lie {apart:.3g} nats apart on average, and rounding in {bits} bits "
                f"explains {AGREES_TO[bits]:g} at most.",
                f"Serve exactly this model, in the precision in which it is opened here (--dtype {str(net.dtype)[6:]}).",
            )
        if isinstance(model.net, PeftModel):
            with model.net.disable_adapter():
                from_base = _apart(_likelihoods(model.net, ids), there)
            if from_base < apart:
                raise ConfigError(
                    f"{who}: it answers as the model without its adapter.", f"Start it so: {self._server.how_to_load}"
                )

    def _load(self, model: Model, adapters: Path) -> str:
        """Load the model's adapter into the server, unless it is there; returns its name.

        Raises:
            ConfigError: the server does not load adapters while it runs, or not this one.
        """
        folder = kept_adapter(model, adapters)
        if folder.name in self._server.loaded:
            return folder.name
        try:
            self._line.ask([self._server.load_request(folder.name, folder)], passing=set(PASSING) - {500})
        except Refused as refused:
            if "already" in refused.reply.message:  # another process was faster
                return folder.name
            if refused.reply.status in (404, 405) and refused.reply.error is None:  # there is no such route
                raise ConfigError(
                    f"The server {self._line.url} does not load adapters while it runs: {refused.reply.message}",
                    f"Start it so: {self._server.how_to_load}",
                ) from refused
            raise ConfigError(
                f"The server {self._line.url} refuses the adapter {folder}: {refused.reply.message}",
                f"The server has to read this folder at this path, and be started so: {self._server.how_to_load}",
            ) from refused
        return folder.name


def _likelihoods(net: Any, ids: Sequence[int]) -> list[float]:
    """The log-probability of each token of a text but the first."""
    with torch.inference_mode():
        logits = net(input_ids=torch.tensor([ids], device=net.device), use_cache=False).logits[0, :-1]
    chosen = torch.tensor(ids[1:], device=logits.device)[:, None]
    found: list[float] = logits.float().log_softmax(-1).gather(1, chosen)[:, 0].tolist()
    return found


def _apart(here: Sequence[float], there: Sequence[float]) -> float:
    """Mean difference, in nats."""
    return sum(abs(one - other) for one, other in zip(here, there, strict=True)) / len(here)


def kept_adapter(model: Model, adapters: Path) -> Path:
    """The folder of a model's adapter, named by the hash of its weights and settings; it is written if it is missing."""
    from cavesson.models.adapters import ADAPTER, save_adapter

    aside = adapters / f".{secrets.token_hex(8)}"
    aside.mkdir(parents=True)
    try:
        save_adapter(model, aside)
        found = hashlib.sha256()
        for name in ("adapter_config.json", ADAPTER):
            found.update((aside / name).read_bytes())
        home = adapters / f"cavesson-{found.hexdigest()[:32]}"
        with suppress(OSError):  # it is there already: the same bytes
            aside.rename(home)
        return home
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def served_sampler(model: Model | ModelRecipe, job: Job | None) -> ServedSampler | None:
    """The sampler of a model that a server samples from; None for other models."""
    if not isinstance(model, ModelRecipe) or (below := server_below(model)) is None:
        return None
    assert job is not None, "a recipe comes with a job"
    return ServedSampler(model.load(job.path), below.url, job.cache / "adapters")
