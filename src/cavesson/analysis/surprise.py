"""How improbable a model finds answers, token by token: perplexities, and the tokens that carry the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cavesson.estimate import Estimate
from cavesson.sampling.perplexity import Likelihood
from cavesson.stats import wilson

IMPROBABLE = 0.01
"""A token that the model gives less than this counts as improbable."""

FEWEST_ANSWERS = 20
"""A place that fewer answers reach has no rate to speak of."""


class Surprise(NamedTuple):
    """How improbable answers are.

    Attributes:
        answers: perplexity of an answer, the exponential of its mean loss a token: quantiles 0.1, 0.5 and 0.9.
        tokens: perplexity over all tokens.
        improbable: share of the tokens that are improbable.
        of_loss: share of the whole loss that the improbable tokens carry.
        others: perplexity over the other tokens; None without any.
    """

    answers: tuple[float, ...]
    tokens: float
    improbable: float
    of_loss: float
    others: float | None


def surprise(found: Sequence[Likelihood]) -> Surprise:
    """What the likelihoods of some answers say."""
    tokens = np.concatenate([one.logprobs for one in found])
    improbable = tokens < math.log(IMPROBABLE)
    return Surprise(
        tuple(np.quantile(np.exp([one.loss for one in found]), (0.1, 0.5, 0.9))),
        float(np.exp(-tokens.mean())),
        float(improbable.mean()),
        float(tokens[improbable].sum() / tokens.sum()),
        None if improbable.all() else float(np.exp(-tokens[~improbable].mean())),
    )


def surprised_at(found: Sequence[Likelihood], place: int) -> Estimate | None:
    """The share of the answers whose token at a place, from 1, is improbable; None where too few answers are that long."""
    there = [one.logprobs[place - 1] for one in found if place <= len(one.logprobs)]
    if len(there) < min(FEWEST_ANSWERS, len(found)):
        return None
    return wilson(sum(value < math.log(IMPROBABLE) for value in there), len(there))
