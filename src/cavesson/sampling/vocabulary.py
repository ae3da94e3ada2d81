"""The tokens that end an answer, the tokens that a model can read, and the settings of `generate` that are left out here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cavesson.errors import ConfigError
from cavesson.models.context import base_of
from cavesson.models.notes import note

if TYPE_CHECKING:
    from cavesson.models.model import Model

LEFT_OUT = {
    "repetition_penalty": (None, 1.0),
    "encoder_repetition_penalty": (None, 1.0),
    "no_repeat_ngram_size": (None, 0),
    "bad_words_ids": (None, []),
    "sequence_bias": (None, {}, []),
    "suppress_tokens": (None, []),
    "begin_suppress_tokens": (None, []),
    "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,),
    "exponential_decay_length_penalty": (None,),
    "min_length": (None, 0),
    "min_new_tokens": (None, 0),
    "num_beams": (None, 1),
    "penalty_alpha": (None,),
    "guidance_scale": (None, 1.0),
    "stop_strings": (None, []),
}
"""Settings of generation_config.json that change what `generate` writes, whatever temperature a caller gives; each with the
values that change nothing."""


def stop_ids_of(model: Model) -> frozenset[int]:
    """Tokens that end an answer: the tokenizer's end of text, the template's end of turn, and all of generation_config.json."""
    further = _generation(model.net).get("eos_token_id")
    listed = further if isinstance(further, list | tuple) else [] if further is None else [further]
    return frozenset(
        token for token in {*model.renderer.stop_ids, *map(int, listed)} if 0 <= token < rows_of(model.net)
    )


def check_known(net: Any, prompts: Sequence[Sequence[int]]) -> None:
    """Refuse tokens that the network has no row for.

    Raises:
        ConfigError: the tokenizer is larger than the network's vocabulary.
    """
    largest, rows = max((max(ids, default=0) for ids in prompts), default=0), rows_of(net)
    if largest >= rows:
        raise ConfigError(
            f"The tokenizer writes token {largest}, but the model's vocabulary has {rows} tokens only.",
            "Give the model the tokenizer that it was trained with, or enlarge its vocabulary (resize_token_embeddings).",
        )


def left_out(net: Any) -> dict[str, Any]:
    """The settings of the model's generation_config.json that samplers here leave out: completions are draws from the model's
    own distribution, as training and likelihoods see that distribution."""
    found = {name: value for name, value in _generation(net).items() if name in LEFT_OUT}
    return {name: value for name, value in found.items() if value not in LEFT_OUT[name]}


def note_left_out(net: Any) -> None:
    """Say which settings of the model's generation_config.json are left out."""
    if found := left_out(net):
        base = base_of(net)
        settings = ", ".join(f"{name}={value}" for name, value in sorted(found.items()))
        note(
            f"generation_config.json of {base.config.name_or_path or type(base).__name__!r} sets {settings}; samplers here leave "
            "that out and draw from the model's own distribution."
        )


def rows_of(net: Any) -> int:
    """Number of tokens that the network can read."""
    return int(base_of(net).get_input_embeddings().weight.shape[0])


def _generation(net: Any) -> dict[str, Any]:
    settings = getattr(base_of(net), "generation_config", None)
    return {} if settings is None else dict(settings.to_dict())
