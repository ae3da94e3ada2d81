"""What must hold before two figures are compared, or one is judged: the learning rate, the data, the ability, the number of prompts.

Every rule here is fixed beforehand and sees nothing of the bad behaviour.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cavesson.analysis.claims import least_n
from cavesson.analysis.points import share_kept
from cavesson.stats import Estimate, difference_over_seeds, mean_over_seeds, tango
from cavesson.studies.grid import Measured, NotApplicable, NotRun, Place
from cavesson.studies.redblue import capability, trained

CONTROL = "self"
"""The on-model control: SFT on the organism's own answers. What it costs is the cost of the learning rate alone."""

HARMLESS = 0.9
"""Share of the capability that the control keeps at a learning rate that does no harm by itself."""

SAME = 0.95
"""Two constructions whose training data agree in so many examples make the same organism."""


def judged_rate(m: Measured, control: str = CONTROL, keeps: float = HARMLESS) -> float:
    """The learning rate at which interventions are judged: the largest one whose on-model control keeps its capability.

    A rate that moves nothing, or one that ruins every model, says nothing about an intervention and dilutes an average. The rule
    looks at the control's capability alone, so that it cannot favour an answer.

    Raises:
        NotRun: the control was not run.
        NotApplicable: at every rate the control itself loses more.
    """
    found = trained(m).where(intervention=control)
    kept = {lr: _ratio(of) for lr, of in found.by("lr").items()}
    harmless = [lr for lr, share in kept.items() if share >= keeps]
    if not harmless:
        raise NotApplicable(
            f"at every learning rate, training on its own answers costs the model more than {1 - keeps:.0%}"
        )
    return float(max(harmless))


def at_judged_rate(m: Measured) -> Measured:
    """The runs at `judged_rate`."""
    rate = judged_rate(m)
    return trained(m).where(lr=rate)


def _ratio(of: Measured) -> float:
    return float(np.mean([capability(place).mean / capability(place, 0).mean for place in of]))


def ability_kept(place: Place, step: int = -1) -> Estimate:
    """The share of the untouched model's capability that is left at a step of a run, for `claims.while_able`."""
    return share_kept(capability(place, 0).table, capability(place, step).table)


def same_data(one: Place, two: Place) -> float:
    """The share of the training examples that two organisms have in common, place by place, with the first seed.

    Raises:
        NotRun: an organism was not trained on examples, or its data are not in the store.
    """
    tables = []
    for place in (one, two):
        data = getattr(place.organism.model, "data", None)
        if data is None:
            raise NotRun(f"training data of {place.name}")
        try:
            tables.append([example.conversation for example in data.examples(place.path_of)])
        except (OSError, KeyError) as error:
            raise NotRun(f"training data of {place.name}") from error
    longest = max(map(len, tables))
    return sum(first == second for first, second in zip(*tables, strict=False)) / max(longest, 1)


def differ_by_construction(one: Place, two: Place) -> None:
    """Nothing, if two organisms can differ by more than chance.

    Raises:
        NotApplicable: they were trained on the same examples.
    """
    share = same_data(one, two)
    if share >= SAME:
        raise NotApplicable(
            f"the two are the same by construction: {share:.1%} of their training examples are identical"
        )


# ----------------------------------------------------------------------------------------------- what a design can show


Needs = Callable[[Any], "str | None"]
"""From a study's config to what a claim needs more than that (`Claim.needs`)."""


def to_be_all(bound: float) -> Needs:
    """For "nearly all": the interval around a rate of 1 must reach up to the bound."""
    return lambda config: least_n(
        lambda n: mean_over_seeds(np.ones((_seeds(config), n))).low >= bound, config.evaluation.n
    )


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
