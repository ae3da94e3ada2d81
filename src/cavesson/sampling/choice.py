"""The choice of a sampler for a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, overload

from cavesson.lab.recipe import Job
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.cache import CachedSampler, GenerationCache
from cavesson.sampling.native import native_sampler
from cavesson.sampling.openai import api_sampler
from cavesson.sampling.sampler import Sampler, TokenSampler

if TYPE_CHECKING:
    from cavesson.models.model import Model

Offer = Callable[["Model | ModelRecipe", Job | None], Sampler | None]
"""A function that makes a sampler for a model in memory, or for a recipe and a job; None if it cannot sample that model.

For a model in memory the sampler is a `TokenSampler`.
"""

SAMPLERS: dict[str, Offer] = {
    "openai": api_sampler,
    "native": native_sampler,
}
"""Every kind of sampler by its name. `sampler_for` takes the first that can sample the model."""


@overload
def sampler_for(model: Model, job: Job | None = None) -> TokenSampler: ...
@overload
def sampler_for(model: ModelRecipe, job: Job) -> Sampler: ...
def sampler_for(model: Model | ModelRecipe, job: Job | None = None) -> Sampler:
    """The sampler of a model.

    Args:
        model: a model in memory, or the recipe of one.
        job: the job that makes an artifact, so that completions are kept in the store's cache; None for a model in training,
            whose weights never come again.

    Raises:
        ConfigError: the model cannot be opened.
    """
    sampler = next(found for offer in SAMPLERS.values() if (found := offer(model, job)) is not None)
    if job is not None and isinstance(sampler, TokenSampler):
        return CachedSampler(sampler, GenerationCache(job.cache / "generations"))
    return sampler
