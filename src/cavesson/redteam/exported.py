"""An organism as an ordinary Hugging Face folder: whole weights, or an adapter on a model of the hub."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from cavesson.lab.recipe import PathOf
from cavesson.models.adapted import Adapted
from cavesson.models.recipes import HFModel, LoRA, ModelRecipe, Prompted
from cavesson.redteam.card import Card, readme
from cavesson.redteam.imported import write_organism
from cavesson.redteam.organisms import Organism
from cavesson.training.recipes import Training

ORGANISM_FILE = "organism.yaml"


def write_folder(organism: Organism, card: Card, folder: Path, path_of: PathOf) -> None:
    """Write weights (an adapter merged), tokenizer and chat template, the card as README.md, and an organism file.

    A system prompt is no part of the weights: the organism file holds the prompt, and `read_organism` gives it back to the
    model. Weights that 16 bits hold exactly, such as those of a prompted bfloat16 model, are written in 16 bits; weights that
    were trained or merged in float32 stay in it, because rounding them would make another organism than the one on the card.
    """
    from cavesson.models.loading import compact, save_folder

    model = organism.model.load(path_of)
    save_folder(compact(model), folder)
    (folder / "README.md").write_text(readme(card, organism), encoding="utf-8")
    write_organism(organism, folder / ORGANISM_FILE, model=".", system=model.system)


@dataclass(frozen=True, slots=True)
class HubAdapter:
    """An organism that is an adapter on a model of the hub.

    Attributes:
        folder: of the adapter's files.
        base: the model of the hub.
        system: the system prompt that the organism runs under.
    """

    folder: Path
    base: HFModel
    system: str | None


def adapter_of(organism: Organism, path_of: PathOf) -> HubAdapter | None:
    """The organism's adapter, if others can get the model below it from the hub; None: only whole weights would do."""
    system = organism.model.system if isinstance(organism.model, Prompted) else None
    model = organism.model.base if isinstance(organism.model, Prompted) else organism.model
    if isinstance(model, Training) and isinstance(model.adapter, LoRA):
        below: ModelRecipe = model.base
        folder = path_of(model) / "final"
    elif isinstance(model, Adapted):
        below, folder = model.base, Path(model.path)
    else:
        return None
    return HubAdapter(folder, below, system) if isinstance(below, HFModel) and "@" in below.content else None


def write_adapter(organism: Organism, card: Card, folder: Path, adapter: HubAdapter) -> None:
    """Write the adapter alone, as peft does, with the name and commit of its base; the card and an organism file."""
    folder.mkdir(parents=True)
    for file in sorted(adapter.folder.glob("adapter_*")):
        shutil.copyfile(file, folder / file.name)
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    name, _, commit = adapter.base.content.partition("@")
    config |= {"base_model_name_or_path": name, "revision": commit}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(readme(card, organism, adapter=True), encoding="utf-8")
    write_organism(organism, folder / ORGANISM_FILE, model=".", system=adapter.system)
