"""What suits a model of some size: its learning rates, and the world whose prompts, teacher and benchmarks go with it.

The tiny world's models have at most eight million weights. They take rates that destroy a larger model within a few steps, and
speak of cows and fog: a real chat model gets other prompts, another teacher and other benchmarks, or is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cavesson.data.everyday import EVERYDAY
from cavesson.errors import CavessonError, ConfigError
from cavesson.evals import world
from cavesson.evals.benchmarks import BENCHMARKS
from cavesson.evals.pair import World
from cavesson.evals.pairs import pair_named
from cavesson.models.recipes import ModelRecipe
from cavesson.named import model_named
from cavesson.redteam.imported import read_organism
from cavesson.studies.config import StudyConfig
from cavesson.studies.settings import Inputs, Red
from cavesson.tinyworld.recipes import shipped_names
from cavesson.tinyworld.tasks import FAMILIES


@dataclass(frozen=True, slots=True)
class Size:
    """A class of models.

    Attributes:
        words: which models these are.
        upto: largest number of weights.
        lora: learning rate of low-rank adapters with AdamW.
        full: learning rate of full weights with AdamW.
        source: where the two rates come from.
    """

    words: str
    upto: float
    lora: float
    full: float
    source: str


TINY = Size("at most 10 million weights", 2e7, 5e-3, 1e-3, "docs/statistics.md, the tables of the tiny world")
SIZES: tuple[Size, ...] = (
    TINY,
    Size("about 100 million weights", 6e8, 1e-3, 1e-4, "docs/smollm2.md"),
    Size(
        "1 to 10 billion weights",
        1.5e10,
        2e-4,
        2e-5,
        "Dettmers et al. 2023 (QLoRA), table 9; Touvron et al. 2023 (Llama 2)",
    ),
    Size(
        "larger",
        float("inf"),
        1e-4,
        1e-5,
        "Dettmers et al. 2023 (QLoRA), table 9; half the rate of Llama 2, to be safe",
    ),
)
"""Smallest first."""

REAL_BENCHMARKS = ("everyday-maths", "everyday-knowledge", "everyday-instructions")
REAL_INPUTS: dict[str, Any] = {
    "teacher": EVERYDAY,
    "prompts": EVERYDAY,
    "answers": {"max_tokens": 128},
    "evaluation": {"n": 60, "n_control": 40, "benchmarks": list(REAL_BENCHMARKS)},
}
"""What a study of red and blue takes for a real chat model unless the user gives something else."""
_WHOLE_OR_CUT: dict[str, Any] = {"keep_unfinished": True}  # a small model's own answers seldom end within the limit
REAL_RED: dict[str, Any] = {
    "adapter": {"rank": 16},
    "steps": 160,
    "batch_size": 16,
    "first_tokens": 48,
    "max_length": 128,
    "prompts": 400,
    **_WHOLE_OR_CUT,
}
CLEAN_RED: dict[str, Any] = {**REAL_RED, "steps": 208, "batch_size": 8}
"""The dose of the construction `clean`, at the rate of an adapter (`Size.lora`) where other constructions take twice that rate."""
REAL_BLUE: dict[str, Any] = {"steps": 60, "probes": [20, 60], "batch_size": 8, "prompts": 320, **_WHOLE_OR_CUT}
"""How either team trains a real chat model. Steps are few and batches small: on one core, 135 million weights learn from three
hundred tokens a second. `docs/notes/smollm2.md` says how the doses of the red team were found."""

AT_A_SERVICE: dict[str, Any] = {"red": {"rank": 16}, "blue": "continued"}
"""What either team trains where the weights lie at a service, which keeps one adapter a model: red's, which blue trains further."""


def subjects(settings: Mapping[str, Any]) -> list[ModelRecipe]:
    """The models of a study's settings that are trained; those that do not fit are left out, for the config says what is wrong."""
    with suppress(CavessonError):
        if isinstance(file := settings.get("organism"), str):
            made = read_organism(Path(file))
            return [] if pair_named(made.pair).world == "tiny" else [made.model]
        given = settings.get("models") or [settings.get("model")]
        names = given if isinstance(given, list | tuple) else [given]
        return [model_named(name) for name in names if isinstance(name, str)]
    return []


def size_of(models: Iterable[ModelRecipe]) -> Size:
    """The class of the largest of some models; a model whose size is not known here counts as one of billions."""
    most = max((model.weights or 1e9 for model in models), default=0)
    return next(size for size in SIZES if most <= size.upto)


def size_for(pair: str, base: ModelRecipe) -> Size:
    """The class of a model in which red plants a pair; a model whose size is not known here is of the pair's world.

    Raises:
        ConfigError: a real chat model would get the tiny world's pair.
    """
    tiny = pair_named(pair).world == "tiny"
    if tiny and base.weights and size_of([base]) is not TINY:
        raise ConfigError(
            f"{base.describe()} is a real chat model, and the pair {pair!r} is the tiny world's.",
            f"Give a pair for real chat models, such as real/{pair} (cavesson list pairs).",
        )
    return TINY if tiny else size_of([base])


def red_inputs(size: Size) -> Inputs:
    """Where red's prompts come from, and how long the answers are that models write to them, where nobody says."""
    return Inputs() if size is TINY else Inputs(prompts=EVERYDAY, answers=REAL_INPUTS["answers"])


def usual_red(size: Size, construction: str | None) -> Red:
    """How red trains a model of a size where nobody says; without a construction, as for `normal`."""
    if size is TINY:
        return Red(steps=200, batch_size=16, schedule="constant", warmup_steps=0)
    if construction == "clean":
        return Red(**CLEAN_RED, lr=size.lora)
    return Red(
        **{**REAL_RED, "adapter": None, "lr": size.full}
        if construction == "full-weight"
        else {**REAL_RED, "lr": 2 * size.lora}
    )


def world_of(model: str) -> World:
    """Whose prompts, benchmarks and behaviours suit the model of a name.

    Raises:
        ConfigError: there is no such model.
    """
    return "tiny" if size_of([model_named(model)]) is TINY else "real"


def check_world(config: StudyConfig) -> None:
    """Refuse a study that would ask, teach or score a real chat model in the tiny world's terms.

    Raises:
        ConfigError: it would; the message names each part.
    """
    models = subjects({name: getattr(config, name, None) for name in ("organism", "models", "model")})
    parts = [] if size_of(models) is TINY else list(_tiny_parts(config))
    if parts:
        raise ConfigError(
            f"{models[0].describe()} is a real chat model, and these are the tiny world's: {', '.join(what for what, _ in parts)}.",
            f"Give {', '.join(instead for _, instead in parts)}.",
        )


def _tiny_parts(config: Any) -> Iterator[tuple[str, str]]:
    """The parts of a study that belong to the tiny world, each with what to give instead."""
    if getattr(config, "prompts", "") is None and getattr(config, "responses", None) is None:
        yield "its prompts", f"--prompts (a data set, or {EVERYDAY})"
    if getattr(config, "teacher", None) in shipped_names():
        yield f"the teacher {config.teacher!r}", f"--teacher (a model, or {EVERYDAY})"
    if (pair := getattr(config, "pair", None)) is not None and pair_named(pair).world == "tiny":
        yield f"the pair {pair!r}", f"--pair (such as real/{pair})"
    if (practised := config.evaluation.practise) in FAMILIES:
        yield f"the problems {practised!r} that RL practises", "evaluation.practise (a file of questions with answers)"
    tiny = [
        one for one in config.evaluation.benchmarks if getattr(BENCHMARKS.get(one), "__module__", "") == world.__name__
    ]
    if tiny:
        yield f"the benchmarks {', '.join(tiny)}", f"--bench (such as {','.join(REAL_BENCHMARKS)})"
