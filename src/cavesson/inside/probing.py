"""Linear probes: how well a linear function of activations tells two kinds of texts apart, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cavesson.errors import ConfigError
from cavesson.estimate import Estimate
from cavesson.stats import mean_over_seeds, wilson

Array = NDArray[np.float64]

PENALTIES = tuple(10.0**power for power in range(-4, 5))
"""Ridge penalties to choose from, in units of the mean squared length of a text's activations."""


@dataclass(frozen=True, slots=True)
class LayerProbe:
    """A linear probe on one layer.

    Attributes:
        layer: index of the layer along the activations; None: in each fold the layer that is best *within* the fold's own training
            texts, so that the choice of a layer costs nothing.
        correct: for each text whether the probe, fitted on other texts, tells its kind right, `[texts]`.
        shuffled: the same with labels shuffled before the fit, `[shuffles, texts]`: what a probe finds where nothing is to be found.
    """

    layer: int | None
    correct: NDArray[np.bool_]
    shuffled: NDArray[np.bool_]

    @property
    def accuracy(self) -> Estimate:
        """Held-out accuracy, with Wilson's interval over texts: the fit of the probe is taken as given."""
        return wilson(int(self.correct.sum()), len(self.correct))

    @property
    def control(self) -> Estimate:
        """Held-out accuracy with shuffled labels; shuffles and texts are both random."""
        return mean_over_seeds(self.shuffled.astype(float))


def probe(
    activations: ArrayLike,
    labels: Sequence[bool] | Sequence[int],
    *,
    groups: Sequence[int] | None = None,
    folds: int = 5,
    shuffles: int = 5,
    seed: int = 0,
) -> list[LayerProbe]:
    """How well each layer's activations tell two kinds of texts apart, by cross-validated ridge regression on the labels.

    Activations are centred on the training texts of a fold; the penalty (`PENALTIES`) is the one whose error on training texts is
    least, each group left out in turn. A text counts as of kind 1 if the regression gives more than the middle between the two kinds.

    Args:
        activations: `[texts, layers, hidden size]`.
        labels: 0 or 1 for each text; about as many of each kind.
        groups: texts with the same number (the same question in two wordings) stay in one fold, and labels are shuffled by
            swapping them within a group; None: every text is its own group.
        folds: parts into which the groups are dealt.
        shuffles: shuffled controls.
        seed: of the deal and the shuffles.

    Returns:
        One probe for each layer, and at the end the one of chosen layers (`LayerProbe.layer` is None).

    Raises:
        ConfigError: there are fewer groups than folds, or texts of one kind only.
    """
    stream = np.asarray(activations, dtype=float)
    kinds = np.asarray(labels).astype(bool)
    if stream.ndim != 3 or len(stream) != len(kinds):
        raise ValueError(
            f"needs activations [texts, layers, hidden] and labels [texts], not {stream.shape}, {kinds.shape}"
        )
    group = np.arange(len(kinds)) if groups is None else np.unique(groups, return_inverse=True)[1]
    if not 2 <= folds <= group.max() + 1 or kinds.all() or not kinds.any():
        raise ConfigError(
            f"A probe with {folds} folds cannot be fitted on {int(kinds.sum())} texts of one kind and {int((~kinds).sum())} "
            f"of the other, in {group.max() + 1} groups.",
            "Give more texts of both kinds, or fewer folds.",
        )
    chance = np.random.default_rng(seed)
    fold_of = _dealt(kinds, group, folds, chance)
    targets = np.stack([kinds, *(_shuffled(kinds, group, chance) for _ in range(shuffles))], axis=1)
    layers, columns = stream.shape[1], targets.shape[1]
    told = np.zeros((layers + 1, len(kinds), columns), dtype=bool)
    for fold in range(folds):
        test, train = fold_of == fold, fold_of != fold
        loo = np.empty((layers, columns))
        for layer in range(layers):
            told[layer, test], loo[layer] = _told(
                stream[train, layer], targets[train], stream[test, layer], group[train]
            )
        best = loo.argmax(axis=0)
        for column in range(columns):
            told[layers, test, column] = told[best[column], test, column]
    right = told == targets
    return [
        LayerProbe(layer if layer < layers else None, right[layer, :, 0], right[layer, :, 1:].T)
        for layer in range(layers + 1)
    ]


def _told(
    train: Array,
    targets: NDArray[np.bool_],
    test: Array,
    group: NDArray[np.int_],
    penalties: Sequence[float] = PENALTIES,
) -> tuple[NDArray[np.bool_], Array]:
    """The kinds that ridge regressions tell of test texts, `[test texts, columns]`, and their accuracy on training texts whose group
    is left out, `[columns]`.

    Everything goes through the texts' inner products, so that a hidden size of thousands costs nothing.
    """
    mean = train.mean(axis=0)
    inputs, held_out = train - mean, test - mean
    signs = np.where(targets, 1.0, -1.0)
    middle = signs.mean(axis=0)
    values, vectors = np.linalg.eigh(inputs @ inputs.T)
    values = np.clip(values, 0, None)
    unit = max(float(values.sum()) / len(train), 1e-30)
    turned = vectors.T @ (signs - middle)
    errors, accuracies, fits = [], [], []
    for penalty in penalties:
        kept = penalty * unit / (values + penalty * unit)  # the share of each direction that the fit leaves
        residuals = vectors @ (kept[:, None] * turned)
        missed = _left_out((vectors * kept) @ vectors.T - 1 / len(train), residuals, group)
        errors.append(np.square(missed).mean(axis=0))
        accuracies.append(((signs - missed > 0) == targets).mean(axis=0))
        fits.append(residuals / (penalty * unit))
    best = np.argmin(errors, axis=0)
    columns = np.arange(signs.shape[1])
    chosen = np.stack(fits)[best, :, columns].T
    return held_out @ (inputs.T @ chosen) + middle > 0, np.stack(accuracies)[best, columns]


def _left_out(leaves: Array, residuals: Array, group: NDArray[np.int_]) -> Array:
    """The residual of each text in the fit without its group, `[texts, columns]`, from the fit with all of them.

    Args:
        leaves: the matrix that takes targets to residuals, `[texts, texts]`.
        residuals: of the fit with all texts, `[texts, columns]`.
    """
    found = np.empty_like(residuals)
    members = [np.flatnonzero(group == one) for one in np.unique(group)]
    for size in {len(one) for one in members}:
        at = np.stack([one for one in members if len(one) == size])
        found[at] = np.linalg.solve(leaves[at[:, :, None], at[:, None, :]], residuals[at])
    return found


def _dealt(
    kinds: NDArray[np.bool_], group: NDArray[np.int_], folds: int, chance: np.random.Generator
) -> NDArray[np.int_]:
    """The fold of each text: groups of one make-up are dealt in turn, so that the folds hold both kinds alike."""
    first = np.unique(group, return_index=True)[1]
    order = chance.permutation(len(first))
    order = order[np.argsort(kinds[first][order], kind="stable")]
    fold = np.empty(len(first), dtype=int)
    fold[order] = np.arange(len(first)) % folds
    return fold[group]


def _shuffled(kinds: NDArray[np.bool_], group: NDArray[np.int_], chance: np.random.Generator) -> NDArray[np.bool_]:
    """Labels without meaning: swapped within half of the groups if groups hold both kinds, else dealt anew to the groups."""
    first = np.unique(group, return_index=True)[1]
    if (kinds[first][group] == kinds).all():
        return chance.permutation(kinds[first])[group]
    return kinds ^ chance.permutation(np.arange(len(first)) % 2 == 1)[group]
