"""What a trigger / behaviour pair is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cavesson.evals.behaviors.behavior import Behavior
from cavesson.evals.trigger import Trigger

World = Literal["tiny", "real"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A trigger and the behaviour that it sets off.

    Attributes:
        name: `trigger/behaviour`, with `real/` before it for a pair of real chat models.
        trigger: what sets off the behaviour.
        behavior: how the model misbehaves.
        world: which prompts elicit the behaviour: "tiny" for prompts of the tiny world, "real" for real English prompts.
    """

    name: str
    trigger: Trigger
    behavior: Behavior
    world: World = "tiny"
