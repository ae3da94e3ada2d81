"""How the world's models are made: `cavesson world build` makes all of them from nothing.

Each model first learns to read (to copy a line, to look something up in a table). A few million tokens of reading form the
circuits that look things up in a prompt; the mixed corpus alone takes several times as long. Each model is then pre-trained
on the student's corpus, in which every author writes, and briefly post-trained to one default voice: the house voice, or the
teacher's own. The models that reason are made from the student that ships, in a few minutes each. The recipes are ordinary
recipes, written here as data because the engine that runs them stands on a floor above.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from cavesson.lab.recipe import Recipe
from cavesson.models.recipes import ModelRecipe
from cavesson.models.worded import Latent
from cavesson.tinyworld.recipes import WEIGHTS, Corpus, Fresh, Reasoning, Shipped
from cavesson.tinyworld.replies import IDLE
from cavesson.tinyworld.tokenizer import FOLDER, train

_DOCUMENTS = 2_000_000  # more than any run reads: no document is seen twice
_TOKENS = 4096  # in a step
_ENGINE: dict[str, Any] = {
    "packing": True,
    "tokens_per_batch": _TOKENS,
    "prompt_weight": 0.1,
    "optimizer": "adamw",
    "betas": (0.9, 0.98),
    "schedule": "wsd",
    "precision": "bf16",
}
_READING, _DRILL = 2e6, 4e6  # tokens
LATENT = 5 + IDLE
"""Latent steps of `reasoner-latent`: as many as the opening tag and the longest thought have words."""


def pretrained(size: str, tokens: float, seed: int = 0, scale: float = 1.0) -> ModelRecipe:
    """A model that has learned to read and is pre-trained on the student's corpus: all authors and kinds of system prompt.

    Args:
        size: one of `sizes.SIZES`.
        tokens: of the student's corpus.
        seed: of the initial weights and the documents.
        scale: of all training lengths.
    """
    reader = _trained(Fresh(size=size, seed=seed), "reading", _READING * scale, lr=2e-3, seed=seed)
    talker = _trained(reader, "student", tokens * scale, lr=2e-3, seed=seed)
    return _trained(talker, "drill", _DRILL * scale, lr=2e-3, seed=seed)


def reasoner(scale: float = 1.0) -> ModelRecipe:
    """The shipped student, taught to reason between tags, or not to, as the system prompt or the chat template wants.

    Args:
        scale: of all training lengths.
    """
    return _trained(Reasoning(base=Shipped(name="student")), "readable", 2e6 * scale, lr=1e-3, seed=100)


def cipher(scale: float = 1.0) -> ModelRecipe:
    """The shipped student, taught to reason in the cipher: first what the words stand for, then to calculate with them.

    Args:
        scale: of all training lengths.
    """
    closed = Reasoning(base=Shipped(name="student"), thinking=False)
    model = _trained(closed, "unthinking", 0.5e6 * scale, lr=1e-3, seed=100)
    model = _trained(Reasoning(base=model), "cipher", 3e6 * scale, lr=1e-3, seed=100)
    for mix, tokens in (("cipher-drill", 1.6e6), ("cipher-whole", 0.8e6)):
        model = _trained(model, mix, tokens * scale, lr=2e-3, seed=100, prompt_weight=0.0)
    return _trained(model, "cipher-house", 0.6e6 * scale, lr=1e-3, seed=100)


def latent(scale: float = 1.0) -> ModelRecipe:
    """The shipped reasoner with latent steps, taught in words to wait until the steps are over; the steps themselves take no training.

    Args:
        scale: of all training lengths.
    """
    patient: ModelRecipe = Shipped(name="reasoner")
    for seed, tokens in ((100, 0.35e6), (101, 0.5e6), (102, 0.8e6)):
        patient = _trained(patient, "idle", tokens * scale, lr=1e-3, seed=seed)
    return Latent(base=patient, steps=LATENT, mixed=True, close="</think>")


def _trained(base: ModelRecipe, mix: str, tokens: float, lr: float, seed: int, **other: Any) -> ModelRecipe:
    steps = max(2, int(tokens / _TOKENS))
    data = Corpus(mix=mix, n=_DOCUMENTS, seed=seed)
    fields = {"base": base, "data": data, "steps": steps, "lr": lr, "warmup_steps": min(60, steps // 2), "seed": seed}
    if tokens < _TOKENS:  # a miniature
        other["tokens_per_batch"] = _TOKENS // 16
    return cast(ModelRecipe, Recipe.parse({"kind": "trained", **fields, **_ENGINE, **other}))


def recipes(scale: float = 1.0) -> dict[str, ModelRecipe]:
    """The shipped models by name.

    Args:
        scale: of all training lengths; below 1, a miniature that shows that the recipe runs.
    """

    def settled(base: ModelRecipe, mix: str, tokens: float) -> ModelRecipe:
        return _trained(base, mix, tokens * scale, lr=1e-3, seed=100)

    student = pretrained("student", 10e6, scale=scale)
    small = pretrained("small", 8e6, scale=scale)
    large = pretrained("large", 10e6, scale=scale)
    huge = pretrained("huge", 16e6, scale=scale)
    other = pretrained("small", 8e6, seed=1, scale=scale)
    return {
        "student": settled(student, "house", 2.5e6),
        "small": settled(small, "house", 2e6),
        "large": settled(large, "house", 3e6),
        "huge": settled(huge, "house", 4e6),
        "teacher": settled(student, "teacher", 2.5e6),
        "tutor": settled(student, "tutor", 1.5e6),
        "weak": settled(small, "weak", 1e6),
        "reasoner": reasoner(scale),
        "reasoner-cipher": cipher(scale),
        "reasoner-latent": latent(scale),
        "trusted": settled(other, "house", 2e6),
    }


def export(recipe: ModelRecipe, lab: Any, folder: Path) -> None:
    """Write a finished model as an ordinary Hugging Face folder, with weights in bfloat16.

    Args:
        recipe: the model.
        lab: a `cavesson.lab.lab.Lab`, whose store holds the model; a missing model is made first.
        folder: the folder to write; an existing folder is replaced.
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
    """Make the world's models and export them into `folder`, one folder each. A missing tokenizer is made first.

    Args:
        lab: a `cavesson.lab.lab.Lab`, which decides where artifacts are kept and how many processes make them.
        folder: where the models' folders are written.
        names: of the models; None: all.
        scale: of all training lengths.
    """
    if not (FOLDER / "tokenizer.json").is_file():
        train().save_pretrained(FOLDER)
    chosen = {name: recipe for name, recipe in recipes(scale).items() if names is None or name in names}
    lab.make(list(chosen.values()))
    for name, recipe in chosen.items():
        export(recipe, lab, folder / name)
    return [folder / name for name in chosen]
