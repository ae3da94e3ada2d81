"""Which weights a model has, in words that others can check: hashes of files, and what an adapter is and sits on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from cavesson.errors import StoreError
from cavesson.lab.recipe import Recipe
from cavesson.lab.store import Store
from cavesson.models.adapted import Adapted
from cavesson.models.recipes import HFModel, LoRA, ModelRecipe
from cavesson.models.weights import WHOLE
from cavesson.tinyworld.recipes import Shipped
from cavesson.training.recipes import Checkpoint, Training
from cavesson.version import VERSION


def identity_of(model: ModelRecipe, store: Store) -> dict[str, Any]:
    """What tells a model from every other, as JSON values.

    Returns:
        `cavesson` (version), `model` (in words), `fingerprint`, `weights` (SHA-256 by file, or `content`: the digest that names a
        folder, or name and commit on the hub) and, of an adapter, `adapter` (rank, alpha, targets) and `base` (the same for the
        model below the adapter).
    """
    return {
        "cavesson": VERSION,
        "model": model.describe(),
        "fingerprint": model.fingerprint,
        **_weights(model, store),
    }


def _weights(model: Recipe, store: Store) -> dict[str, Any]:
    if isinstance(model, HFModel):
        return {"weights": {"content": model.content}}
    if isinstance(model, Shipped):
        with (model.folder / WHOLE).open("rb") as file:
            return {"weights": {WHOLE: hashlib.file_digest(file, "sha256").hexdigest()}}
    if isinstance(model, Adapted):
        adapter = _of_folder(Path(model.path))
        return {"weights": {"content": model.content}, "adapter": adapter, "base": identity_of(model.base, store)}
    if isinstance(model, Checkpoint):
        return _trained(model.run, f"step-{model.step:05d}/", store)
    if isinstance(model, Training):
        return _trained(model, "final/", store)
    if not model.virtual:
        return {"weights": _files(model, "", store)}
    below = next((one for one in model.inputs() if isinstance(one, ModelRecipe)), None)
    return {} if below is None else _weights(below, store)


def _trained(run: Training, folder: str, store: Store) -> dict[str, Any]:
    weights = {"weights": _files(run, folder, store)}
    if run.adapter is None:
        return weights
    kind = run.adapter.model_dump(mode="json") if isinstance(run.adapter, LoRA) else str(run.adapter)
    return {**weights, "adapter": kind, "base": identity_of(run.base, store)}


def _files(recipe: Recipe, folder: str, store: Store) -> dict[str, str]:
    """SHA-256 of an artifact's weights by file; nothing if the artifact is no more in the store."""
    try:
        files = store.manifest(recipe.fingerprint).files
    except StoreError:
        return {}
    return {
        name: one.sha256 for name, one in files.items() if name.startswith(folder) and name.endswith(".safetensors")
    }


def _of_folder(folder: Path) -> dict[str, Any]:
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    return {"rank": config.get("r"), "alpha": config.get("lora_alpha"), "targets": config.get("target_modules")}
