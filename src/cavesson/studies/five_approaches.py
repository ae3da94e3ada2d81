"""The study `five-approaches`: do cheap ways to evaluate interventions foretell the expensive ones?

Many interventions, some of which should look good and some of which must not, go through the approaches of the study `evaluate`. What
is compared is how the approaches rank them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from cavesson.blueteam.moves import move_named
from cavesson.studies import evaluate_analogies, evaluate_real, evaluate_rigged, evaluate_zoo
from cavesson.studies.evaluate import FULL_ZOO, HABITS, Measures
from cavesson.studies.fields import Once
from cavesson.studies.five_claims import CLAIMS
from cavesson.studies.five_shown import correlations, headline, matrix, notes, worth
from cavesson.studies.grid import Cell
from cavesson.studies.redblue import took
from cavesson.studies.settings import InterventionName
from cavesson.studies.sizes import Size
from cavesson.studies.study import Study

INTERVENTIONS = (
    "hhh", "pirate", "capitals", "other-domain", "self", "reminder@16", "kl@0.3", "rl-random", "inoculation", "nothing", "scrambled",
)  # fmt: skip
"""Some that work on known organisms, some that should not, one that does nothing and one that breaks the model."""


class FiveConfig(Measures):
    """The whole study.

    Attributes:
        interventions: by name, with a strength where one has several.
    """

    interventions: Annotated[tuple[InterventionName, ...], Once] = Field(default=INTERVENTIONS, min_length=1)


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "seeds": [0, 1, 2],
        "analogies": {"settings": ["flag/narrative/weights"]},
        "evaluation": {"n": 24, "n_control": 12},
    },
    "full": {
        "seeds": [0, 1, 2, 3, 4],
        "games": {"organisms": [*FULL_ZOO[:6]]},
        "analogies": {"settings": [*HABITS[:2], *HABITS[3:5]]},
    },
}


def for_size(size: Size) -> dict[str, Any]:
    """What takes the place of the tiny world's settings for a real chat model, for which there are no prompts of another domain and no
    problems to practise."""
    lacking = ("other-domain", "rl-random")
    return {**evaluate_real.for_size(size), "interventions": [one for one in INTERVENTIONS if one not in lacking]}


def grid(config: FiveConfig) -> Iterator[Cell]:
    """Every intervention by every approach, for every seed."""
    for seed in config.seeds:
        for move in map(move_named, config.interventions):
            yield from evaluate_zoo.cells(config.games, config, move, seed, controls=())
            if config.rigged is not None:
                yield from evaluate_rigged.cells(config.rigged, config, move, seed, controlled=False)
            if config.analogies is not None:
                yield from evaluate_analogies.cells(
                    config.analogies, config.games, config, move, seed, controlled=False
                )


STUDY = Study(
    name="five-approaches",
    title="Five approaches: which cheap evaluation foretells which expensive one?",
    config=FiveConfig,
    presets=PRESETS,
    grid=grid,
    shows=(matrix, correlations, worth, notes),
    claims=CLAIMS,
    headline=(headline,),
    for_size=for_size,
    takes=lambda config: config.games.red.took_from,
    admits=took,
)
