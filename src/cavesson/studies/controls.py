"""Controls that a study of red and blue cannot do without, each as a check of the machinery.

Without them a figure has other readings: a behaviour that shows without its trigger is a habit; one that training on the
organism's own answers removes was fragile; one that look-alikes of the trigger set off after blue's training was widened by it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cavesson.analysis.claims import Claim, ClaimResult, at_least, at_most
from cavesson.studies import sources
from cavesson.studies.fair import at_judged_rate
from cavesson.studies.grid import Measured
from cavesson.studies.reach import to_be_none
from cavesson.studies.redblue import OWN, kinds, remaining, sample, title, untouched
from cavesson.studies.sample import mean_of
from cavesson.studies.shown import claim
from cavesson.studies.starts import LEAKS

CLEAN, NEAR_MISS = "behavior/clean", "behavior/near-miss"

HARDLY = 0.1
"""A rate that changes by less than this hardly changes."""

check = partial(claim, published="none: a control", source=sources.CONTROL, kind="check")
"""A control as a claim; it is not counted among the published statements."""


def only_with_trigger(m: Measured) -> ClaimResult:
    """Before blue trains, the behaviour hardly shows without its trigger."""
    rate = mean_of([untouched(of, CLEAN) for of in kinds(m).values()])
    return at_most(rate.estimate, LEAKS, "the rate of the behaviour without the trigger, before blue training")


def own_answers_leave_it(m: Measured) -> ClaimResult:
    """Training on the organism's own answers leaves the behaviour where it was."""
    own = at_judged_rate(m).where(intervention=OWN)
    change = own.mean(remaining) - own.mean(lambda place: remaining(place, 0))
    return at_least(change.estimate, -HARDLY, f"the change of the triggered rate by {title(OWN)}")


def trigger_stays_narrow(m: Measured) -> ClaimResult:
    """Blue's training does not widen the trigger: look-alikes set the behaviour off no more often than before."""
    found = at_judged_rate(m).where(intervention=lambda name: name != OWN)
    change = found.mean(lambda place: sample(place, NEAR_MISS)) - found.mean(lambda place: sample(place, NEAR_MISS, 0))
    return at_most(change.estimate, HARDLY, "the change of the rate with look-alikes of the trigger by blue's training")


def controls(places: Callable[[Measured], Measured] = lambda m: m) -> tuple[Claim[Measured], ...]:
    """The controls of a study that has the on-model arm.

    Args:
        places: the organisms that they are asked of.
    """
    return (
        check(
            "only-with-trigger",
            "Without its trigger the organism hardly shows the behaviour.",
            test=lambda m: only_with_trigger(places(m)),
            needs=to_be_none(LEAKS),
        ),
        check(
            "own-answers-leave-it",
            "Training on the organism's own answers leaves the behaviour.",
            test=lambda m: own_answers_leave_it(places(m)),
        ),
        check(
            "trigger-stays-narrow",
            "Blue's training does not widen the trigger to look-alikes of it.",
            test=lambda m: trigger_stays_narrow(places(m)),
        ),
    )
