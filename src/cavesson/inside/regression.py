"""Gradient descent on linear regression from any start, solved exactly: what training keeps, and what moves.

A model `x · w` starts at weights that show the initial behaviour and is trained on inputs on which two behaviours agree. Gradient
descent moves the weights within the span of the train inputs only; what the train inputs do not span stays as at the start, after
any number of steps at any rate. On another input the model therefore moves as far as the input overlaps with train inputs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def descended(inputs: ArrayLike, targets: ArrayLike, start: ArrayLike, *, lr: float, steps: float) -> Array:
    """The weights after gradient descent on half the mean squared error, exactly.

    Along the eigenvector of `inputsᵀ inputs / n` with eigenvalue λ, the distance to the solution shrinks by `1 - lr λ` in each step.

    Args:
        inputs: `[n, features]`.
        targets: `[n]` or `[n, outputs]`.
        start: weights before training, `[features]` or `[features, outputs]`.
        lr: learning rate.
        steps: number of steps; infinity gives the limit, if `lr` is low enough for one.

    Returns:
        weights in the shape of `start`.

    Raises:
        ValueError: descent at this rate has no limit, and `steps` is infinite.
    """
    x, y, w = (np.asarray(part, dtype=float) for part in (inputs, targets, start))
    left, singular, right = np.linalg.svd(x, full_matrices=False)
    real = singular > singular.max(initial=0.0) * max(x.shape) * np.finfo(float).eps
    left, singular, right = left[:, real], singular[real], right[real]
    factor = 1 - lr * singular**2 / len(x)
    if np.isinf(steps) and (np.abs(factor) >= 1).any():
        raise ValueError(
            f"descent with lr {lr:g} has no limit: it needs less than {2 * len(x) / singular.max() ** 2:.3g}"
        )
    left_over = np.zeros_like(factor) if np.isinf(steps) else factor**steps
    done = (1 - left_over) / singular
    return np.asarray(w + right.T @ (done.reshape(-1, *[1] * (y.ndim - 1)) * (left.T @ (y - x @ w))))
