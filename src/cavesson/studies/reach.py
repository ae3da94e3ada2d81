"""What a design can show at best: a claim whose interval cannot reach its bound is refused when the study is planned.

Each function gives the `needs` of a claim (`analysis.claims.Claim`): from a config to the prompts that it takes, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from cavesson.analysis.claims import least_n
from cavesson.stats import difference_over_seeds, mean_over_seeds, tango

Needs = Callable[[Any], "str | None"]
"""From a study's config to what a claim needs more than that (`Claim.needs`)."""


def to_be_all(bound: float) -> Needs:
    """For "nearly all": the interval around a rate of 1 must reach up to the bound."""
    return lambda config: least_n(
        lambda n: mean_over_seeds(np.ones((_seeds(config), n))).low >= bound, config.evaluation.n
    )


def to_be_none(bound: float) -> Needs:
    """For "hardly ever" on the prompts of the controls: the interval around a rate of 0 must lie below the bound."""

    def narrow(config: Any, n: int) -> bool:
        return mean_over_seeds(np.zeros((_seeds(config), n))).high <= bound

    return lambda config: least_n(partial(narrow, config), config.evaluation.n_control, name="n_control")


def to_be_alike(margin: float) -> Needs:
    """For "no difference": the interval around no difference, with no prompt that differs, must lie within ±margin."""

    def narrow(seeds: int, n: int) -> bool:
        nothing = np.zeros((seeds, n))
        return difference_over_seeds(nothing, nothing).high <= margin

    return lambda config: least_n(lambda n: narrow(_seeds(config), n), config.evaluation.n)


def to_rule_out_returns(runs: Callable[[Any], int], steps: Callable[[Any], int], rise: float = 0.1) -> Needs:
    """For "it returns in no run": with no prompt that differs, no run's interval may reach the rise, all of them together.

    Args:
        runs: the number of runs of a config.
        steps: the number of steps at which a run is scored.
    """

    def narrow(config: Any, n: int) -> bool:
        count = steps(config)
        pairs = count * (count - 1) // 2 * runs(config)
        return float(tango(np.array([0]), np.array([0]), n, confidence=1 - 0.05 / max(pairs, 1))[1][0]) < rise

    return lambda config: least_n(lambda n: narrow(config, n), config.evaluation.n)


def _seeds(config: Any) -> int:
    return len(config.seeds)
