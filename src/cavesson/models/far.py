"""Models whose weights lie at a service: what stands for the network, and what is kept of such a model on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cavesson.errors import ConfigError

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.models.tinker_service import Service

FILE = "tinker.json"
"""What an artifact holds in place of weights: the service's paths of them."""


@dataclass(frozen=True, slots=True)
class Likeliest:
    """The likeliest tokens of a text of T tokens at each of its places, `[T, k]`; nothing is known of place 0."""

    ids: NDArray[np.int64]
    logprobs: NDArray[np.float32]


class Far:
    """Stands in a `Model` for a network whose weights lie at Tinker. Whatever would read or change a weight is refused.

    Args:
        service: keeps the weights.
        model: name of the base there.
        context: the longest text, in tokens; None: the service does not say.
        path: the service's path of the weights to sample from; None: the base's own.
        state: the service's path of the weights to train further; None: the base's own.
    """

    def __init__(
        self, service: Service, model: str, context: int | None, path: str | None = None, state: str | None = None
    ) -> None:
        self.service, self.model, self.context, self.path, self.state = service, model, context, path, state
        self.training = False
        self.live: Any = None
        self._sampling: Any = None
        self._kept: tuple[str, str] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ConfigError(
            f"The weights of {self.model!r} lie at Tinker, and this needs them here ({name}).",
            "Such a model can be trained, sampled from and scored; to look into weights, take a model that is here.",
        )

    def eval(self) -> Far:
        """Nothing: what the service's weights give depends on no mode."""
        return self

    def train(self, mode: bool = True) -> Far:
        """Nothing, as `eval`."""
        return self

    def trained_by(self, client: Any) -> None:
        """Follow the weights of a training under way."""
        self.live = client
        self.changed()

    def changed(self) -> None:
        """The training under way has changed the weights."""
        self._sampling = self._kept = None

    def sampling(self) -> Any:
        """The service's client that samples from the present weights."""
        if self._sampling is None:
            if self.live is not None:
                made = self.live.save_weights_and_get_sampling_client()
            elif self.path is not None:
                made = self.service.clients.create_sampling_client(model_path=self.path)
            else:
                made = self.service.clients.create_sampling_client(base_model=self.model)
            self._sampling = self.service.wait(made)
        return self._sampling

    def logprobs(self, rows: Sequence[Sequence[int]], heard: Callable[[int], None] | None = None) -> list[list[float]]:
        """The log-probability of each token but the first of each text, in nats."""
        client = self.sampling()
        asked = [partial(client.compute_logprobs, self.service.tokens(ids)) for ids in rows]
        found = self.service.gather(asked, heard)
        return [[float(value) for value in row[1:]] for row in found]

    def likeliest(self, rows: Sequence[Sequence[int]], k: int) -> list[Likeliest]:
        """The `k` likeliest tokens at each place of each text, with their log-probabilities in nats.

        Raises:
            ConfigError: the service gives fewer.
        """
        client, service = self.sampling(), self.service
        one = service.package.SamplingParams(max_tokens=1)

        asked = [
            partial(client.sample, service.tokens(ids), 1, one, include_prompt_logprobs=True, topk_prompt_logprobs=k)
            for ids in rows
        ]
        found = [reply.topk_prompt_logprobs_np for reply in service.gather(asked)]
        for ids, top in zip(rows, found, strict=True):
            if top is None or top.token_ids.shape != (len(ids), k) or (top.logprobs[1:] <= -99999.0).any():
                raise ConfigError(
                    f"Tinker gives fewer than the {k} likeliest tokens of {self.model!r} at a place.",
                    "Lower the objective's `top_k`.",
                )
        return [Likeliest(top.token_ids.astype(np.int64), top.logprobs) for top in found]

    def keep(self, name: str) -> tuple[str, str]:
        """Let the service keep the present weights for good; returns their paths, to train further and to sample from."""
        if self.live is None:
            assert self.state is not None, "the weights of a base are kept already"
            assert self.path is not None
            return self.state, self.path
        if self._kept is None:
            state = self.live.save_state(name, overwrite=True)
            path = self.live.save_weights_for_sampler(name)
            self._kept = self.service.wait(state).path, self.service.wait(path).path
        return self._kept


def is_far(model: Model) -> bool:
    """Whether the weights of a model lie at a service."""
    return isinstance(model.net, Far)


def save_far(model: Model, folder: Path) -> None:
    """Let the service keep the weights of a model, and write their paths into a folder."""
    net: Any = model.net
    state, path = net.keep(model.key.replace("@", "-"))
    told = {"url": net.service.url, "model": net.model, "state": state, "sampler": path}
    (folder / FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def load_far(base: Model, folder: Path) -> Model:
    """The model whose paths lie in a folder.

    Args:
        base: the model that the training began with.
    """
    net: Any = base.net
    told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return replace(base, net=Far(net.service, told["model"], net.context, told["sampler"], told["state"]))  # type: ignore[arg-type]
