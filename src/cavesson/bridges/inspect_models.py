"""Models of the store for Inspect: `inspect eval TASK --model cavesson/NAME`. Imported when Inspect asks for such a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inspect_ai.model import GenerateConfig

from cavesson.bridges.identity import identity_of
from cavesson.errors import ConfigError
from cavesson.lab.manifest import artifacts_below
from cavesson.lab.store import Store
from cavesson.models.recipes import ModelRecipe
from cavesson.named import model_named
from cavesson.redteam.imported import read_organism
from cavesson.sampling.cache import CachedSampler, GenerationCache
from cavesson.sampling.choice import sampler_for
from cavesson.sampling.inspected import Sampled, told


class FromStore(Sampled):
    """A model by its name in Cavesson: first digits of a fingerprint, an organism's name, a shipped name, a folder or a hub id.

    Args:
        model_name: the name; `FINGERPRINT@100` is a checkpoint.
        store: folder of the store (`-M store=FOLDER`); None: the usual one.

    Raises:
        PrerequisiteError: there is no such model, or it is not made yet.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),
        store: str | None = None,
    ) -> None:
        place = Store(None if store is None else Path(store))
        with told():
            recipe = _recipe(model_name, place)
            sampler = sampler_for(recipe.load(place.path))
        cached = CachedSampler(sampler, GenerationCache(place.cache / "generations"))
        super().__init__(model_name, cached, recipe.usual_room, identity_of(recipe, place), config)


def _recipe(name: str, store: Store) -> ModelRecipe:
    """The recipe of a model that can be loaded now."""
    file = store.root / "organisms" / f"{name}.yaml"
    recipe: Any = read_organism(file).model if "/" not in name and file.is_file() else model_named(name, store)
    if not recipe.has_weights:
        raise ConfigError(f"{recipe.describe()} is behind an API.", "Name it as one of Inspect's own providers does.")
    needed = artifacts_below(recipe) if recipe.virtual else (recipe,)
    missing = next((one for one in needed if not store.has(one)), None)
    if missing is not None:
        raise ConfigError(
            f"The model {name!r} is not made yet: {missing.describe()} is not in {store.root}.",
            "Run its study, or `cavesson organism card NAME`, first.",
        )
    found: ModelRecipe = recipe
    return found
