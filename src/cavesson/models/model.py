"""A model in memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cavesson.errors import ConfigError
from cavesson.models.rendering import Renderer

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass(frozen=True)
class Model:
    """A model that is ready to be trained, sampled and scored.

    Attributes:
        net: the network; in evaluation mode after loading.
        tokenizer: the model's tokenizer, with a chat template.
        renderer: turns conversations into token ids, by the chat template.
        key: name of the weights (a fingerprint); code that changes the weights must also change the key.
        system: the model's system prompt; samplers put it in front of conversations without a system prompt.
    """

    net: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    renderer: Renderer
    key: str
    system: str | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = next(self.net.parameters()).device
        return device

    def with_key(self, key: str) -> Model:
        """The same model in memory, with another name of its weights."""
        return replace(self, key=key)

    def with_template_args(self, arguments: Mapping[str, Any]) -> Model:
        """The same model with arguments of its chat template set; a saved model keeps them.

        Raises:
            ConfigError: the template does not read one of the arguments.
        """
        renderer = self.renderer.with_arguments(arguments)
        return replace(self, renderer=renderer, tokenizer=renderer.tokenizer)


def merged(model: Model) -> Model:
    """The model with its adapter added into a copy of the weights; a model without an adapter is returned as it is.

    The copy is float32: in 16 bits most small changes of an adapter would be rounded away.
    """
    from peft import PeftModel

    if not isinstance(model.net, PeftModel):
        return model
    net = deepcopy(model.net).float().merge_and_unload()
    return replace(model, net=net.requires_grad_(True))


def check_finite(tensors: Iterable[tuple[str, Tensor]], whose: str) -> None:
    """Refuse weights of which one is no number, or infinite: a training went wrong, or a file is damaged.

    Raises:
        ConfigError: there is such a weight; the message begins with `whose`.
    """
    for name, tensor in tensors:
        if tensor.is_meta or not tensor.numel():
            continue
        low, high = tensor.detach().aminmax()
        if not math.isfinite(low) or not math.isfinite(high):
            raise ConfigError(
                f"{whose} are damaged: {name!r} holds values that are no numbers.",
                "Copy the weights again; if a training made them, repeat it with a lower learning rate.",
            )
