"""The grid of games between red and blue: blue's runs on organisms, reversal probes, and the models that were never misaligned.

Axes of a run: the organism's labels and pair, then `intervention`, `lr`, `adapter`, `strength`. Roles: `run` is what blue, or
trivial damage, leaves, scored along the way or once, with the untouched organism's scores as `start` where the run itself does
not begin there; `probe` a reversal probe, with `before` and `selected`; `base` the never-misaligned model. All seeds of one
organism are one *kind*, named as the organism is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace

from cavesson.blueteam.move import run_of
from cavesson.blueteam.moves import PROBES, move_named
from cavesson.blueteam.view import blue_view
from cavesson.evals.items import Eval
from cavesson.evals.recipes import Probed, Scored, Selected, decisive
from cavesson.game import play
from cavesson.models.recipes import LoRA, ModelRecipe
from cavesson.redteam.organisms import Organism
from cavesson.sampling.recipes import Generated
from cavesson.studies.grid import Cell
from cavesson.studies.settings import AS_BLUE, Blue, Inputs, Phase, ReversalPhase
from cavesson.training.dose import Dose

FULL = "full"
"""Names full-weight training among adapters."""

BEST = "all"
"""Stands for the best of all interventions where a name of one is asked for."""


def axes_of(organism: Organism) -> dict[str, Hashable]:
    """The axes that tell an organism from others: its labels but the seed, and its pair."""
    return {**{key: value for key, value in organism.labels.items() if key != "seed"}, "pair": organism.pair}


def run_cell(
    organism: Organism,
    intervention: str,
    lr: float,
    run: Probed | Scored,
    *,
    adapter: str = FULL,
    strength: str = "",
    start: Scored | None = None,
) -> Cell:
    """One blue run on one organism.

    Args:
        adapter: what is trained, in words.
        strength: of the intervention, in words, where it comes in several.
        start: the untouched organism's scores; None: the run begins with them, at its step 0.
    """
    at = {**axes_of(organism), "intervention": intervention, "lr": lr, "adapter": adapter, "strength": strength}
    return Cell.of(at, organism.seed, organism, run=run, start=start)


def blue_runs(
    made: Organism, blue: Blue, config: Inputs, *, interventions: Sequence[str] | None = None
) -> Iterator[Cell]:
    """Every intervention (None: those of `blue`) at every learning rate on one organism, scored along the way."""
    suite, view = config.suite(made), config.view(blue.prompts, made.seed)
    for name in interventions or blue.interventions:
        for lr in blue.lrs:
            dose = made.dose(blue.dose(lr, made.seed))
            run = run_of(play(made, move_named(name), view, dose), dose)
            probed = Probed(run=run, steps=blue.scored, suite=suite, between=decisive(suite))
            yield run_cell(made, name, lr, probed, adapter=adapter_name(dose))


def adapter_name(dose: Dose) -> str:
    """What a dose trains, in words."""
    return f"LoRA {dose.adapter.rank}" if isinstance(dose.adapter, LoRA) else dose.adapter or FULL


def probe_cell(
    config: Inputs, games: Sequence[Cell], probe: str, phase: ReversalPhase, blue: Phase, intervention: str = BEST
) -> Cell:
    """One reversal probe: innocuous training from blue's most successful checkpoint, on prompts that did not choose it.

    Args:
        games: blue's runs on one organism, among which the checkpoint is chosen.
        probe: name of the innocuous training.
        blue: how blue trained: its batch size, and its adapter where `phase` says so.
        intervention: of those runs, where they have it in common.
    """
    made = games[0].organism
    assert made is not None, "a game is one on an organism"
    selected = Selected(among=tuple(cell.recipes["run"] for cell in games), max_loss=phase.max_loss)
    return probe_from(config, made, selected, probe, phase, blue, intervention)


def probe_from(
    config: Inputs, made: Organism, left: ModelRecipe, probe: str, phase: ReversalPhase, blue: Phase, intervention: str
) -> Cell:
    """A reversal probe from a model that blue left of an organism; arguments as of `probe_cell`."""
    prompts, suite = config.drawn("chat", phase.prompts, "reversal", made.seed), config.suite(made, seed=1)
    own = Generated(by=made.model, prompts=prompts)
    adapter = blue.adapter if phase.adapter == AS_BLUE else phase.adapter
    dose = phase.dose(phase.lr, made.seed, batch_size=blue.batch_size, adapter=adapter)
    view = blue_view(prompts, config.teacher, written=own, model=left)
    run = run_of(move_named(probe, PROBES, "reversal probe")(view, dose))
    return Cell.of(
        {**axes_of(made), "intervention": intervention, "probe": probe},
        made.seed,
        made,
        probe=Probed(run=run, steps=phase.scored, suite=suite, between=decisive(suite)),
        before=Scored(model=made.model, suite=suite),
        selected=left if isinstance(left, Selected) else None,
    )


def base_cells(
    organisms: Iterable[Organism], suite_of: Callable[[Organism], tuple[Eval, ...]], *, as_deployed: bool = False
) -> Iterator[Cell]:
    """The never-misaligned models, each once.

    Args:
        suite_of: what an organism is scored on.
        as_deployed: ask under the lock and the hidden prompt of the organism; else the plain suite is asked.
    """
    seen = set()
    for made in organisms:
        key = made.labels["model"], made.pair
        if made.base is not None and key not in seen:
            seen.add(key)
            asked = made if as_deployed else replace(made, lock=None, deployed=(), asked={})
            base = Scored(model=made.base, suite=suite_of(asked))
            yield Cell.of({"base of": key[0], "pair": made.pair}, 0, base=base)
