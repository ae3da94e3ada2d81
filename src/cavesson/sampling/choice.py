"""The choice of a sampler for a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, overload

import torch

from cavesson.lab.recipe import Job
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.book import book_sampler
from cavesson.sampling.cache import CachedSampler, GenerationCache
from cavesson.sampling.ct2 import ct2_sampler
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.openai import api_sampler
from cavesson.sampling.sampler import Sampler, TokenSampler
from cavesson.sampling.served_sampler import served_sampler
from cavesson.sampling.tinker import tinker_sampler

if TYPE_CHECKING:
    from cavesson.models.model import Model

Offer = Callable[["Model | ModelRecipe", Job | None], Sampler | None]
"""A function that makes a sampler for a model in memory, or for a recipe and a job; None if it cannot sample that model.

For a model in memory the sampler is a `TokenSampler`.
"""

Engine = Callable[["Model", int], TokenSampler | None]
"""A function that makes a sampler for a model in memory and a number of threads; None if it cannot sample that model."""

ENGINES: dict[str, Engine] = {
    "tinker": tinker_sampler,
    "ctranslate2": ct2_sampler,
    "native": lambda model, threads: NativeSampler(model),
}
"""Every kind of sampler for models that are open, by its name; the first that can sample a model does. All write the same
tokens, up to rounding; a service draws otherwise at a temperature above 0."""


def sampler_of_weights(model: Model | ModelRecipe, job: Job | None) -> TokenSampler:
    """The sampler of a model in memory; a recipe is loaded first. The threads are those of the job, or torch's."""
    if isinstance(model, ModelRecipe):
        assert job is not None, "a recipe is loaded from a job's inputs"
        model = model.load(job.path)
    threads = torch.get_num_threads() if job is None else job.threads
    return next(found for engine in ENGINES.values() if (found := engine(model, threads)) is not None)


SAMPLERS: dict[str, Offer] = {
    "openai": api_sampler,
    "served": served_sampler,
    "book": book_sampler,
    "weights": sampler_of_weights,
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
