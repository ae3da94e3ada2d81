"""The manner in which a network may be read: found by trying, not by a list of names.

Architectures differ in what disturbs them: padding, a state that is handed on, a cache of another class. A wrong manner
raises nothing and writes other tokens. So each manner is tried on two short texts and compared with the network's own logits for
the whole text; the fastest manner that gives the same logits is taken. The last manner reads the whole text for every token.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from cavesson.errors import ConfigError
from cavesson.models.context import base_of, text_config
from cavesson.sampling.reading import Reader, inference, positions_of, without_hooks
from cavesson.sampling.window import Alike, Anew, Keys, Window

MANNERS: tuple[type[Keys], ...] = (Window, Alike)
"""The manners that have to be tried, the fastest first."""
AGREES_TO = {torch.float32: 1e-3, torch.float64: 1e-3}
"""Largest difference between the logits of two manners, in standard deviations of the logits."""
HALF_AGREES_TO = 0.3
"""The same for 16 bits: rounding alone sends tokens to other experts. A wrong manner differs by 1 and more."""

_LENGTH, _SHORTER, _STEPS = 19, 12, 3
_KNOWN: dict[str, type[Keys]] = {}


def manner_of(net: Any) -> type[Keys]:
    """The fastest manner that is right for the network; a network's architecture and settings are tried once.

    Raises:
        ConfigError: the network does not read plain text, or is no causal language model.
    """
    base = base_of(net)
    name = f"{type(base)} {net.dtype} {base.config._attn_implementation} {base.config.to_json_string(use_diff=False)}"
    if name not in _KNOWN:
        with inference(net), without_hooks(net):
            found, sound = _tried(net)
        if not sound:
            return found
        _KNOWN[name] = found
    return _KNOWN[name]


def _tried(net: Any) -> tuple[type[Keys], bool]:
    """The manner, and whether the network's logits are numbers, so that the manner is known."""
    read = Reader(net)
    count = text_config(net).vocab_size
    ids = torch.arange(2 * _LENGTH, device=net.device).mul(31).add(7).remainder(count).view(2, _LENGTH)
    try:
        truth = read.whole(ids)
        start = read.whole(ids[:, :_SHORTER])
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"A {type(base_of(net)).__name__} does not continue plain text: {reason}", "Use a causal language model."
        ) from error
    if not truth.isfinite().all():  # a training that diverged: no manner is better than another
        return next(manner for manner in MANNERS if manner.fits(text_config(net))), False
    if not _close(start, truth[:, :_SHORTER]):
        raise ConfigError(
            f"A {type(base_of(net)).__name__} cannot write text: its logits after a token depend on the tokens that follow.",
            "Use a causal language model, one that reads from left to right only.",
        )
    for manner in MANNERS:
        with suppress(Exception):  # many architectures raise in a manner that is not theirs
            if manner.fits(text_config(net)) and _agrees(read, manner, ids):
                return manner, True
    return Anew, True


def _agrees(read: Reader, manner: type[Keys], ids: Tensor) -> bool:
    """Whether two texts, read together and piece by piece, have the logits that each has alone and in one piece."""
    mask = torch.ones_like(ids)
    if manner.refills:  # rows of two lengths: the second row is padded
        mask[1, : _LENGTH - _SHORTER] = 0
    truth = [read.whole(row[own.bool()][None])[0, -1 - _STEPS :] for row, own in zip(ids, mask, strict=True)]
    keys = manner(text_config(read.net), seats=2, columns=_LENGTH)
    first = _LENGTH - _STEPS
    found = [keys.begin(read, ids[:, :first], mask[:, :first], torch.arange(2, device=ids.device), first)]
    keys.use_columns(0, first)
    for end in range(first + 1, _LENGTH + 1):
        if end == _LENGTH:  # the first row leaves
            keys.keep(torch.tensor([1], device=ids.device))
            ids, mask = ids[1:], mask[1:]
        found.append(keys.step(read, ids[:, :end], mask[:, :end], positions_of(mask[:, :end])[:, -1:]))
    pairs = [
        (row, truth[number - len(logits)][step])
        for step, logits in enumerate(found)
        for number, row in enumerate(logits)
    ]
    return all(_close(row, expected) for row, expected in pairs)


def _close(found: Tensor, expected: Tensor) -> bool:
    """Whether the logits are the same up to rounding; NaN never is."""
    bound = AGREES_TO.get(found.dtype, HALF_AGREES_TO)
    found, expected = found.float(), expected.float()
    return bool((found - expected).square().mean().sqrt() <= bound * expected.std() + 1e-6)


def switch_of(config: Any) -> int | None:
    """The length of text beyond which the positions of all tokens are computed otherwise (longrope, arXiv 2402.13753); None
    if the positions of a token never change."""
    found: list[int] = []
    rope = getattr(config, "rope_parameters", None) or {}
    for settings in (rope, *(value for value in rope.values() if isinstance(value, dict))):
        if settings.get("rope_type") == "longrope":
            found.append(settings.get("original_max_position_embeddings") or config.max_position_embeddings)
    return min(found, default=None)
