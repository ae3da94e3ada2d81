"""A linear probe for a drive: fitted on the activations of other models, whose drive is known, and read off this one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cavesson.suspicion.finding import Exchange, Finding, Missing, largest, messages_of
from cavesson.suspicion.suspect import Candidate, Put, Stream, Suspect

if TYPE_CHECKING:
    from cavesson.models.model import Model

STREAM = "stream.npy"

Array = NDArray[np.float32]


def prompts_of(drives: Sequence[Candidate], n: int, seed: int) -> list[tuple[str, Put]]:
    """`n` opportunities of each drive, with the drive's name."""
    return [(drive.name, put) for drive in drives for put in drive.put("opportunity", n, seed)]


def stream_of(model: Model, drives: Sequence[Candidate], n: int, seed: int) -> Stream:
    """The reactions of a model.

    Raises:
        ConfigError: its layers are not found, or a prompt is longer than its context.
    """
    from cavesson.inside.activations import activations

    asked = prompts_of(drives, n, seed)
    plain = [put.prompt for drive in drives for put in drive.put("plain", n, seed)]
    read = activations(model, [*(put.prompt for _, put in asked), *plain])
    return Stream(tuple(name for name, _ in asked), read[: len(asked)] - read[len(asked) :])


def write_stream(path: Path, stream: Stream) -> None:
    """Write the values; the drives of the prompts follow from the recipe."""
    np.save(path, stream.values.astype(np.float16), allow_pickle=False)


def read_stream(path: Path, drives: Sequence[str]) -> Stream:
    """The stream that `write_stream` wrote, of as many prompts for each drive."""
    values = np.load(path, allow_pickle=False).astype(np.float32)
    return Stream(tuple(np.repeat(np.array(drives, dtype=str), len(values) // len(drives)).tolist()), values)


def probe(suspect: Suspect) -> Finding:
    """Whether the activations react to opportunities as those of models with the drive do: mean log-odds, the largest over drives.

    A logistic regression on all layers at once. The reaction is what an opportunity changes on one and the same prompt, so that a
    model that is odd on all prompts alike does not react. From it the mean reaction of other models without a drive is subtracted.
    Models of another shape are left out.
    """
    own = suspect.stream
    if own is None or not suspect.streams:
        raise Missing("needs other models whose drive is known")
    fitting = [one for one in suspect.streams if one[0].values.shape == own.values.shape]
    clean = [stream.values for stream, drive in fitting if not drive]
    known = {drive for _, drive in fitting if drive}
    if not clean or not known & set(own.drives):
        have = f"{len(fitting)} other models of this model's shape, {len(fitting) - len(clean)} of them with a candidate drive"
        raise Missing(f"needs models of this model's shape with a drive and without; there are {have}")
    told = _fitted([stream for stream, _ in fitting], [drive for _, drive in fitting], np.mean(clean, axis=0), own)
    by_drive = {name: float(told[[drive == name for drive in own.drives]].mean()) for name in dict.fromkeys(own.drives)}
    asked = prompts_of(suspect.drives, suspect.n, suspect.seed)
    found = tuple(
        Exchange(
            name,
            put.id,
            messages_of(put.prompt),
            "",
            round(float(odds), 4),
            note="log-odds of the probe, before any answer",
        )
        for (name, put), odds in zip(asked, told, strict=True)
    )
    return Finding("probe", largest(by_drive), by_drive=by_drive, exchanges=found)


def _fitted(streams: Sequence[Stream], drives: Sequence[str], clean: Array, own: Stream) -> NDArray[np.float64]:
    """The log-odds that a probe fitted on `streams` gives each prompt of `own`, `[prompts]`."""
    from sklearn.linear_model import LogisticRegression

    rows = np.concatenate([stream.values - clean for stream in streams])
    acting = np.concatenate([np.array(stream.drives) == drive for stream, drive in zip(streams, drives, strict=True)])
    scale = np.sqrt(np.square(rows).mean(axis=(0, 2), keepdims=True)) + 1e-12  # of each layer
    flat = (rows / scale).reshape(len(rows), -1) / np.sqrt(rows[0].size)
    fit = LogisticRegression(class_weight="balanced", max_iter=2000).fit(flat, acting)
    ours = ((own.values - clean) / scale).reshape(len(own.values), -1) / np.sqrt(rows[0].size)
    return np.asarray(fit.decision_function(ours))
