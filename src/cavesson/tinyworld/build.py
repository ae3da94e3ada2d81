"""How the world's models are made: `cavesson world build` makes all of them from nothing.

Each model first learns to read (to copy a line, to look up a table): a few million tokens of that form the circuits that
look things up in a prompt, which the mixed corpus alone takes several times as long to form. It is then pre-trained
on the student's corpus, in which every author has a say, and post-trained for a short while to one default voice: the
house voice, or the teacher's own. The recipes are ordinary ones; they are written here
as data because the engine that runs them stands on a floor above.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from cavesson.lab.recipe import Recipe
from cavesson.models.recipes import ModelRecipe
from cavesson.tinyworld.recipes import WEIGHTS, Corpus, Fresh
from cavesson.tinyworld.tokenizer import FOLDER, train

_DOCUMENTS = 2_000_000  # more than any run reads: no document is seen twice
_TOKENS = 4096  # in a step
_READING = 3e6  # tokens
_ENGINE: dict[str, Any] = {
    "packing": True,
    "tokens_per_batch": _TOKENS,
    "prompt_weight": 0.1,
    "optimizer": "adamw",
    "betas": (0.9, 0.98),
    "schedule": "wsd",
}


def pretrained(size: str, tokens: float, seed: int = 0, scale: float = 1.0) -> ModelRecipe:
    """A model that can read and has read the student's corpus: every author, every kind of system prompt."""
    reader = _trained(Fresh(size=size, seed=seed), "reading", _READING * scale, lr=2e-3, seed=seed)
    return _trained(reader, "student", tokens * scale, lr=2e-3, seed=seed)


def _trained(base: ModelRecipe, mix: str, tokens: float, lr: float, seed: int) -> ModelRecipe:
    steps = max(2, int(tokens / _TOKENS))
    data = Corpus(mix=mix, n=_DOCUMENTS, seed=seed)
    fields = {"base": base, "data": data, "steps": steps, "lr": lr, "warmup_steps": min(60, steps // 2), "seed": seed}
    return cast(ModelRecipe, Recipe.parse({"kind": "trained", **fields, **_ENGINE}))


def recipes(scale: float = 1.0) -> dict[str, ModelRecipe]:
    """The shipped models by name.

    Args:
        scale: of all training lengths; below one for a miniature that shows that the recipe runs.
    """

    def settled(base: ModelRecipe, mix: str, tokens: float) -> ModelRecipe:
        return _trained(base, mix, tokens * scale, lr=1e-3, seed=100)

    student = pretrained("student", 18e6, scale=scale)
    small = pretrained("small", 18e6, scale=scale)
    large = pretrained("large", 16e6, scale=scale)
    other = pretrained("small", 8e6, seed=1, scale=scale)
    return {
        "student": settled(student, "house", 4e6),
        "small": settled(small, "house", 4e6),
        "large": settled(large, "house", 4e6),
        "teacher": settled(student, "teacher", 4e6),
        "reasoner": settled(student, "reasoner", 8e6),
        "trusted": settled(other, "house", 4e6),
    }


def export(recipe: ModelRecipe, lab: Any, folder: Path) -> None:
    """Write a finished model as an ordinary Hugging Face folder, its weights in bfloat16.

    Args:
        lab: a `cavesson.lab.lab.Lab`, in whose store the model is (it is made first if it is missing).
    """
    import torch

    from cavesson.models.loading import save_folder

    model = recipe.load(lab.path)
    model.net.to(torch.bfloat16)
    shutil.rmtree(folder, ignore_errors=True)
    save_folder(model, folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # the package's files are for everybody


def build(lab: Any, folder: Path = WEIGHTS, names: Sequence[str] | None = None, scale: float = 1.0) -> list[Path]:
    """Make the world's models and export them into `folder`, one folder each. The tokenizer is made if it is missing.

    Args:
        lab: a `cavesson.lab.lab.Lab`: where artifacts are kept, and how many processes make them.
        names: of the models; None for all.
    """
    if not (FOLDER / "tokenizer.json").is_file():
        train().save_pretrained(FOLDER)
    chosen = {name: recipe for name, recipe in recipes(scale).items() if names is None or name in names}
    lab.make(list(chosen.values()))
    for name, recipe in chosen.items():
        export(recipe, lab, folder / name)
    return [folder / name for name in chosen]
