"""An organism as an ordinary Hugging Face folder."""

from __future__ import annotations

from pathlib import Path

from cavesson.lab.recipe import PathOf
from cavesson.redteam.card import Card, readme
from cavesson.redteam.imported import write_organism
from cavesson.redteam.organisms import Organism

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
