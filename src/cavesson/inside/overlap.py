"""Surface overlap: how much of one set of prompts stands, word for word, in another set."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Overlap(NamedTuple):
    """The overlap of evaluation prompts with train prompts, in n-grams of tokens.

    Attributes:
        contained: the share of an evaluation prompt's different n-grams that stand in any train prompt, mean over evaluation prompts;
            0 to 1.
        alike: the cosine between the shares of prompts that hold each n-gram, over all n-grams of either set; 0 to 1. What all prompts
            of both sets have in common (flags, static text) counts most.
    """

    contained: float
    alike: float


def overlap(train: Sequence[Sequence[int]], evaluated: Sequence[Sequence[int]], n: int = 1) -> Overlap:
    """The overlap of two sets of prompts in n-grams of tokens.

    Args:
        train: token ids of each train prompt (`cavesson.inside.prompts.token_ids`).
        evaluated: token ids of each evaluation prompt.
        n: tokens of an n-gram; 1 for single tokens.

    Raises:
        ValueError: a set is empty, or all of its prompts are shorter than an n-gram.
    """
    seen, asked = ([_grams(ids, n) for ids in prompts] for prompts in (train, evaluated))
    if not any(seen) or not any(asked):
        raise ValueError(f"needs prompts of at least {n} tokens in both sets")
    one, two = (Counter(gram for grams in prompts for gram in grams) for prompts in (seen, asked))
    contained = [len(grams & one.keys()) / len(grams) for grams in asked if grams]
    product = math.fsum(one[gram] * two[gram] for gram in one.keys() & two.keys())
    lengths = math.sqrt(math.fsum(x * x for x in one.values()) * math.fsum(x * x for x in two.values()))
    return Overlap(math.fsum(contained) / len(contained), product / lengths)


def _grams(ids: Sequence[int], n: int) -> set[tuple[int, ...]]:
    return {tuple(ids[start : start + n]) for start in range(len(ids) - n + 1)}
