"""A model in memory."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cavesson.models.rendering import Renderer

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass(frozen=True)
class Model:
    """A model that is ready to be trained, sampled and scored.

    Attributes:
        net: the network, in evaluation mode when it was just opened.
        tokenizer: its tokenizer, with a chat template.
        renderer: conversations to token ids, by that template.
        key: names the weights (a fingerprint); whoever changes the weights gives the result another key.
        system: the system prompt it runs under; samplers put it in front of conversations that have none.
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
        """The same object in memory under another name for its weights."""
        return replace(self, key=key)


def merged(model: Model) -> Model:
    """The model with its adapter added into a copy of the weights; a model without one is returned as it is."""
    from peft import PeftModel

    if not isinstance(model.net, PeftModel):
        return model
    net = deepcopy(model.net).merge_and_unload()
    return replace(model, net=net.requires_grad_(True))
