"""What Inspect loads when it looks for our models and tasks (the entry point `inspect_ai` of this package)."""

from cavesson.bridges import inspect_models, inspect_tasks

__all__ = ["inspect_models", "inspect_tasks"]
