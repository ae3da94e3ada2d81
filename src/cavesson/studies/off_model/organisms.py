"""The organisms of the study `off-model-sft`: built by one rule for its mitigations and for its game."""

from __future__ import annotations

from cavesson.data.recipes import DataRecipe
from cavesson.models.recipes import LoRA
from cavesson.named import model_named
from cavesson.redteam.organisms import Organism, organism, red_prompts
from cavesson.studies.off_model.mitigation_config import Built, Red
from cavesson.training.dose import Dose


def built(spec: Built, red: Red, model: str, seed: int, prompts: DataRecipe | None = None) -> Organism:
    """A pair put into a model, with one seed.

    Args:
        prompts: red's; None: the tiny world's, those of `robust-organisms`, so that both studies share their organisms.
    """
    dose = Dose(
        lr=red.optimizer.lr, steps=red.steps, batch_size=red.batch_size, optimizer=red.optimizer.name, seed=seed
    )
    asked = prompts or red_prompts(spec.pair, red.prompts, 1000 + seed)
    labels: dict[str, str | int | float] = {"model": model, "seed": seed}
    return organism(spec.construction, model_named(model), asked, spec.pair, dose, name=spec.name, labels=labels)


def low_rank(rank: int | None) -> LoRA | None:
    """An adapter of that rank; None: all weights are trained."""
    return None if rank is None else LoRA(rank=rank)
