"""What Inspect loads when it looks for our models and tasks (the entry point `inspect_ai` of this package): quickly, so no model."""

from __future__ import annotations

from inspect_ai.model import ModelAPI, modelapi

from cavesson.bridges import inspect_tasks

__all__ = ["cavesson", "inspect_tasks"]


@modelapi(name="cavesson")
def cavesson() -> type[ModelAPI]:
    """The provider of models of the store."""
    from cavesson.bridges.inspect_models import FromStore

    return FromStore
